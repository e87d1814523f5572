"""Streams to clients, judged by the official client library."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest

from gateway.chat import (
    ChatRequest,
    Event,
    Failure,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from gateway.errors import UpstreamFailed, UpstreamRateLimited
from gateway.wire.openai import DIALECT
from tests.wire.openai.chunks import decode

ASK: dict[str, Any] = {"model": "smart", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
SAYS_ALL: list[Event] = [
    Start("msg_1", "claude"),
    ReasoningDelta("hm"),
    ReasoningDelta(signature="s"),
    TextDelta('Let me "see" é漢🙂\u2028\n'),
    TextDelta("…"),
    ToolCallDelta(0, "a", "f"),
    ToolCallDelta(0, arguments='{"x":'),
    ToolCallDelta(0, arguments="1}"),
    ToolCallDelta(1, None, "g"),
    UsageReport(Usage(input=9, output=1)),
    UsageReport(Usage(output=5, cache_read=4, cache_write=3, reasoning=2)),
    Finish("tool_calls"),
]


def asked(**fields: Any) -> ChatRequest:
    return DIALECT.decode_request(json.dumps(ASK | fields).encode())


def stream(events: list[Event], **fields: Any) -> bytes:
    encoder = DIALECT.encoder(asked(**fields), "smart-model", "req1", 1700000000.9)
    return b"".join(map(encoder.encode, events)) + encoder.close()


def chunks(sent: bytes) -> list[Any]:
    """The data of every event, as JSON but for the terminator."""
    assert sent.endswith(b"\n\n")
    found = [event.removeprefix(b"data: ") for event in sent[:-2].split(b"\n\n")]
    return [data.decode() if data == b"[DONE]" else json.loads(data) for data in found]


def client(sent: bytes) -> openai.OpenAI:
    """The official client, at the other end of a network that carries ``sent``."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=sent)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="k", base_url="http://relay/v1", max_retries=0, http_client=http)


def test_the_official_client_gets_everything() -> None:
    sent = stream(SAYS_ALL, stream_options={"include_usage": True})
    tools: Any = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("f", "g")]
    with (
        client(sent) as library,
        library.chat.completions.stream(
            model="smart",
            messages=[{"role": "user", "content": "Hi"}],
            tools=tools,
            stream_options={"include_usage": True},
        ) as answer,
    ):
        kinds = [event.type for event in answer]
        final = answer.get_final_completion()
    assert "content.done" in kinds
    assert "tool_calls.function.arguments.done" in kinds
    assert (final.id, final.model, final.created, final.object) == ("msg_1", "claude", 1700000000, "chat.completion")
    message = final.choices[0].message
    assert message.role == "assistant"
    assert message.content == 'Let me "see" é漢🙂\u2028\n…'
    assert message.model_extra == {"reasoning_content": "hm"}
    calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    assert calls == [("a", "f", '{"x":1}'), ("call_req1_1", "g", "{}")]
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.usage is not None
    assert (final.usage.prompt_tokens, final.usage.completion_tokens, final.usage.total_tokens) == (9, 5, 14)
    assert final.usage.prompt_tokens_details is not None
    assert final.usage.prompt_tokens_details.cached_tokens == 4
    assert final.usage.completion_tokens_details is not None
    assert final.usage.completion_tokens_details.reasoning_tokens == 2


def test_the_official_client_raises_an_in_band_error() -> None:
    encoder = DIALECT.encoder(asked(), "m", "req1", 1.0)
    sent = encoder.encode(TextDelta("a")) + encoder.error(UpstreamFailed("the provider failed"))
    with client(sent) as library:
        answer = library.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}], stream=True)
        seen: list[Any] = []
        with pytest.raises(openai.APIError, match="the provider failed") as caught:
            seen.extend(answer)
    assert len(seen) == 2
    assert caught.value.code == "upstream_error"


def test_an_in_band_error_is_the_last_event() -> None:
    encoder = DIALECT.encoder(asked(), "", "req1", 1.0)
    assert encoder.error(UpstreamRateLimited("slow down")) == (
        b'data: {"error":{"message":"slow down","type":"rate_limit_error","param":null,'
        b'"code":"upstream_rate_limited"}}\n\n'
    )


def test_what_is_sent_can_be_read_again() -> None:
    sent = stream(SAYS_ALL, stream_options={"include_usage": True})
    events, progress = decode(sent)
    merged = Usage(9, 5, 4, 3, 2)
    told = [event for event in SAYS_ALL if event != ReasoningDelta(signature="s") and type(event) is not UsageReport]
    told[told.index(ToolCallDelta(1, None, "g"))] = ToolCallDelta(1, "call_req1_1", "g")
    assert events == [*told[:-1], ToolCallDelta(1, arguments="{}"), UsageReport(merged), Finish("tool_calls")]
    assert progress.usage == merged


def test_the_first_chunk_has_the_role_and_the_last_the_finish() -> None:
    first, text, last, done = chunks(stream([Start(), TextDelta("Hi"), Finish("stop")]))
    envelope = {"id": "chatcmpl-req1", "object": "chat.completion.chunk", "created": 1700000000, "model": "smart-model"}
    choice = {"index": 0, "logprobs": None, "finish_reason": None}
    assert first == envelope | {"choices": [choice | {"delta": {"role": "assistant", "content": ""}}]}
    assert text == envelope | {"choices": [choice | {"delta": {"content": "Hi"}}]}
    assert last == envelope | {"choices": [choice | {"delta": {}, "finish_reason": "stop"}]}
    assert done == "[DONE]"


@pytest.mark.parametrize(
    "event", [TextDelta("a"), RefusalDelta("a"), ReasoningDelta("a"), ToolCallDelta(0, "a", "f", "{}"), Finish("stop")]
)
def test_an_answer_that_begins_without_a_start_gets_its_first_chunk_all_the_same(event: Event) -> None:
    sent = chunks(stream([event, *([] if type(event) is Finish else [Finish("stop")])]))
    assert sent[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [chunk["choices"][0]["delta"].get("role") for chunk in sent[1:-1]] == [None] * (len(sent) - 2)


def test_usage_goes_only_to_those_who_asked() -> None:
    events: list[Event] = [Start(), TextDelta("a"), UsageReport(Usage(1, 2)), Finish("stop")]
    assert all("usage" not in chunk for chunk in chunks(stream(events))[:-1])
    *others, last, _ = chunks(stream(events, stream_options={"include_usage": True}))
    assert [chunk["usage"] for chunk in others] == [None] * 3
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def test_usage_may_come_after_the_finish_or_not_at_all() -> None:
    late = chunks(
        stream([TextDelta("a"), Finish("stop"), UsageReport(Usage(output=2))], stream_options={"include_usage": True})
    )
    assert late[-2]["usage"] == {"prompt_tokens": 0, "completion_tokens": 2, "total_tokens": 2}
    never = chunks(stream([TextDelta("a"), Finish("stop")], stream_options={"include_usage": True}))
    assert never[-2]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("stop_sequence", "stop"),
        ("pause", "stop"),
        ("content_filter", "content_filter"),
        ("refusal", "content_filter"),
    ],
)
def test_finish_reasons(reason: FinishReason, finish: str) -> None:
    assert chunks(stream([TextDelta("a"), Finish(reason)]))[-2]["choices"][0]["finish_reason"] == finish


def test_a_refusal_that_was_told_finishes_with_stop() -> None:
    sent = chunks(stream([RefusalDelta("No"), Finish("refusal")]))
    assert sent[1]["choices"][0]["delta"] == {"refusal": "No"}
    assert sent[-2]["choices"][0]["finish_reason"] == "stop"


def test_a_client_of_functions_is_answered_in_their_terms() -> None:
    events: list[Event] = [
        ToolCallDelta(0, "a", "f"),
        ToolCallDelta(0, arguments="{}"),
        ToolCallDelta(1, "b", "f", "{}"),
        Finish("tool_calls"),
    ]
    sent = chunks(stream(events, functions=[{"name": "f"}]))
    deltas = [chunk["choices"][0]["delta"] for chunk in sent[1:-2]]
    assert deltas == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": "{}"}},
    ]
    assert sent[-2]["choices"][0]["finish_reason"] == "function_call"


@pytest.mark.parametrize("event", [UsageReport(Usage(1)), ReasoningDelta(redacted="x"), Failure("m")])
def test_what_has_no_place_in_the_stream(event: Event) -> None:
    encoder = DIALECT.encoder(asked(), "m", "req1", 1.0)
    encoder.encode(Start())
    assert encoder.encode(event) == b""
    assert encoder.encode(Start("again")) == b""
