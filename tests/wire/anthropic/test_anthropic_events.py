"""Hub events to a client's event stream, read back by the official SDK's stream helper."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import Message as SdkMessage

from gateway.chat import (
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
from gateway.errors import (
    NoCandidate,
    RelayError,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from gateway.wire.anthropic import DIALECT, WIRE
from gateway.wire.anthropic.events import Encoder
from gateway.wire.anthropic.vocabulary import UNSIGNED

REQUEST = DIALECT.decode_request(b'{"model":"smart","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}')


def encoder() -> Encoder:
    return DIALECT.encoder(REQUEST, "openai/gpt-x", "7f3a", 1.0)


def encode(*events: Event) -> bytes:
    machine = encoder()
    return b"".join(map(machine.encode, events)) + machine.close()


def read(stream: bytes) -> list[dict[str, Any]]:
    """Every event's data, after a check that its name is the data's type."""
    found: list[dict[str, Any]] = []
    for event in stream.decode().removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def sdk_message(stream: bytes) -> SdkMessage:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=stream, headers={"content-type": "text/event-stream"})

    with (
        httpx2.Client(transport=httpx2.MockTransport(answer)) as http,
        anthropic.Anthropic(api_key="k", http_client=http, max_retries=0) as client,
        client.messages.stream(model="smart", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]) as helper,
    ):
        return helper.get_final_message()


def sdk_content(*events: Event) -> list[dict[str, Any]]:
    blocks = sdk_message(encode(*events, Finish("stop"))).content
    return [block.model_dump(exclude_none=True) for block in blocks]


def test_the_whole_stream_of_a_plain_answer() -> None:
    stream = encode(
        Start("chatcmpl-1", "gpt-x-1"),
        UsageReport(Usage(input=12, cache_read=8)),
        TextDelta("Hé"),
        TextDelta(""),
        TextDelta('"\u2028\n'),
        UsageReport(Usage(output=5, reasoning=2)),
        Finish("stop"),
    )
    assert read(stream) == [
        {
            "type": "message_start",
            "message": {
                "id": "chatcmpl-1",
                "type": "message",
                "role": "assistant",
                "model": "gpt-x-1",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 4, "cache_read_input_tokens": 8, "output_tokens": 0},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hé"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": '"\u2028\n'}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {
                "input_tokens": 4,
                "cache_read_input_tokens": 8,
                "output_tokens": 5,
                "output_tokens_details": {"thinking_tokens": 2},
            },
        },
        {"type": "message_stop"},
    ]
    message = sdk_message(stream)
    assert (message.id, message.model, message.stop_reason) == ("chatcmpl-1", "gpt-x-1", "end_turn")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 5)


def test_nothing_is_sent_before_the_first_content() -> None:
    machine = encoder()
    assert machine.encode(Start()) == machine.encode(UsageReport(Usage(3))) == machine.encode(TextDelta("")) == b""
    assert machine.encode(ReasoningDelta()) == machine.encode(Failure("broken")) == b""
    assert machine.encode(TextDelta("Hi")).startswith(b"event: message_start\n")


def test_an_answer_without_content() -> None:
    message = sdk_message(encode(Finish("stop")))
    assert (message.id, message.model, message.content) == ("msg_7f3a", "openai/gpt-x", [])
    assert (message.usage.input_tokens, message.usage.output_tokens) == (0, 0)


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("stop_sequence", "stop_sequence"),
        ("content_filter", "refusal"),
        ("refusal", "refusal"),
        ("pause", "pause_turn"),
    ],
)
def test_stop_reasons(reason: FinishReason, sent: str) -> None:
    message = sdk_message(encode(TextDelta("Hi"), Finish(reason, "END" if reason == "stop_sequence" else None)))
    assert message.stop_reason == sent
    assert message.stop_sequence == ("END" if reason == "stop_sequence" else None)


def test_calls_are_told_even_where_the_provider_calls_it_an_ordinary_end() -> None:
    message = sdk_message(encode(ToolCallDelta(0, "a", "f", "{}"), Finish("stop")))
    assert message.stop_reason == "tool_use"


def test_a_refusal_is_text_with_its_stop_reason() -> None:
    message = sdk_message(encode(RefusalDelta("I can"), RefusalDelta(""), RefusalDelta("not."), Finish("stop")))
    assert [block.model_dump(exclude_none=True) for block in message.content] == [{"type": "text", "text": "I cannot."}]
    assert message.stop_reason == "refusal"


def call(index: int, said: str = "", call_id: str | None = None) -> ToolCallDelta:
    return ToolCallDelta(index, call_id, None if call_id is None else f"f{index}", said)


def use(index: int, call_id: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": f"f{index}", "input": given}


@pytest.mark.parametrize(
    ("events", "content"),
    [
        (
            [ReasoningDelta("h"), ReasoningDelta("m"), TextDelta("Hi")],
            [{"type": "thinking", "thinking": "hm", "signature": UNSIGNED}, {"type": "text", "text": "Hi"}],
        ),
        (
            [ReasoningDelta("h"), ReasoningDelta(signature="Eo="), ReasoningDelta("m"), ReasoningDelta(redacted="Ev=")],
            [
                {"type": "thinking", "thinking": "h", "signature": "Eo="},
                {"type": "thinking", "thinking": "m", "signature": UNSIGNED},
                {"type": "redacted_thinking", "data": "Ev="},
            ],
        ),
        ([ReasoningDelta(signature="Eo=")], [{"type": "thinking", "thinking": "", "signature": "Eo="}]),
        (
            [TextDelta("a"), call(0, '{"x"', "c0"), call(0, ":1}"), TextDelta("b")],
            [{"type": "text", "text": "a"}, use(0, "c0", x=1), {"type": "text", "text": "b"}],
        ),
        (
            [call(0, "", "c0"), call(0, '{"x":{}}'), call(1, '{"y":2}', "c1"), call(2, "", "c2"), call(2, " {}")],
            [use(0, "c0", x={}), use(1, "c1", y=2), use(2, "c2")],
        ),
        # Two calls at once: the second waits for the first.
        (
            [call(0, "", "c0"), call(1, "", "c1"), call(1, '{"y"'), call(0, '{"x"'), call(1, ":2}"), call(0, ":1}")],
            [use(0, "c0", x=1), use(1, "c1", y=2)],
        ),
        (
            [call(0, "", "c0"), call(1, '{"y":2}', "c1"), TextDelta("b")],
            [use(0, "c0"), use(1, "c1", y=2), {"type": "text", "text": "b"}],
        ),
        (
            [call(0, '{"x":{}', "c0"), call(1, "{}", "c1"), call(0, "}")],
            [use(0, "c0", x={}), use(1, "c1")],
        ),
        # What comes amid a call's arguments follows the call.
        (
            [call(0, '{"x":', "c0"), TextDelta("b"), ReasoningDelta("hm"), call(0, "1}"), TextDelta("c")],
            [
                use(0, "c0", x=1),
                {"type": "text", "text": "b"},
                {"type": "thinking", "thinking": "hm", "signature": UNSIGNED},
                {"type": "text", "text": "c"},
            ],
        ),
        (
            [call(0, '{"x":', "c0"), TextDelta("b"), call(1, "{}", "c1"), call(0, "1}")],
            [use(0, "c0", x=1), use(1, "c1"), {"type": "text", "text": "b"}],
        ),
        # Nobody may send a block of blanks to Anthropic, and clients send back what they got.
        ([TextDelta("\n"), TextDelta("\n"), call(0, "{}", "c0"), TextDelta("\n")], [use(0, "c0")]),
        ([TextDelta("\n"), TextDelta(" a"), TextDelta(" ")], [{"type": "text", "text": "\n a "}]),
        (
            [TextDelta("\n"), ReasoningDelta("hm"), TextDelta("\n"), TextDelta("a")],
            [{"type": "thinking", "thinking": "hm", "signature": UNSIGNED}, {"type": "text", "text": "\na"}],
        ),
        # What comes for a call after its block ended is lost; its place is gone.
        ([call(0, "{}", "c0"), TextDelta("b"), call(0, "{}")], [use(0, "c0"), {"type": "text", "text": "b"}]),
        ([call(0, "null", "c0")], [use(0, "c0")]),
        ([call(0, "none", "c0"), call(1, "{}", "c1")], [use(0, "c0"), use(1, "c1")]),
        ([call(0, "{}", "")], [use(0, "toolu_7f3a_0")]),
        ([ToolCallDelta(0, name="f0"), ToolCallDelta(1, name="f1")], [use(0, "toolu_7f3a_0"), use(1, "toolu_7f3a_1")]),
    ],
)
def test_blocks_one_after_the_other(events: list[Event], content: list[dict[str, Any]]) -> None:
    stream = encode(*events, Finish("stop"))
    blocks = [event for event in read(stream) if event["type"].startswith("content_block")]
    opened: list[int] = []
    for event in blocks:
        if event["type"] == "content_block_start":
            assert event["index"] == len(opened)
            opened.append(event["index"])
        assert event["index"] == len(opened) - 1
    starts, stops = (
        [event["index"] for event in blocks if event["type"] == f"content_block_{edge}"] for edge in ("start", "stop")
    )
    assert starts == stops
    assert sdk_content(*events) == content


def test_ids_outside_the_alphabet_are_not_shown() -> None:
    # A client sends them back, maybe to Anthropic.
    (block,) = sdk_content(call(0, "{}", "functions.f:0"))
    assert block["id"].replace("_", "").isalnum()


def test_what_is_encoded_decodes_to_the_same() -> None:
    events: list[Event] = [
        Start("msg_1", "m"),
        UsageReport(Usage(10, 0, 4, 2)),
        ReasoningDelta("hm"),
        ReasoningDelta(signature="Eo="),
        TextDelta("Hi"),
        ToolCallDelta(0, "a", "f"),
        ToolCallDelta(0, arguments='{"x":1}'),
        UsageReport(Usage(10, 7, 4, 2)),
        Finish("tool_calls"),
    ]
    decoder = WIRE.decoder()
    assert decoder.feed(encode(*events)) + decoder.close() == events


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UpstreamFailed("broken"), "api_error"),
        (UpstreamOverloaded("full"), "overloaded_error"),
        (UpstreamRateLimited("slow down"), "rate_limit_error"),
        (UpstreamTimeout("late"), "timeout_error"),
        (NoCandidate("none"), "overloaded_error"),
    ],
)
def test_an_error_in_band(error: RelayError, kind: str) -> None:
    machine = encoder()
    begun = machine.encode(TextDelta("Hi"))
    event = machine.error(error)
    assert read(event) == [{"type": "error", "error": {"type": kind, "message": error.message}}]
    with pytest.raises(anthropic.APIStatusError, match=error.message):
        sdk_message(begun + event)


def test_arguments_too_deep_to_be_read_are_passed_on() -> None:
    deep = '{"a":' * 10_000 + "1" + "}" * 10_000
    stream = encode(ToolCallDelta(0, "a", "f", deep), TextDelta("later"), Finish("tool_calls"))
    said = [event["delta"] for event in read(stream) if event["type"] == "content_block_delta"]
    assert "".join(delta.get("partial_json", "") for delta in said) == deep
    assert [delta["text"] for delta in said if "text" in delta] == ["later"]
