"""Whole answers, from providers and to clients."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from gateway.chat import Answer, ChatRequest, FinishReason, Reasoning, Text, ToolCall, Usage
from gateway.errors import UpstreamError, UpstreamFailed, UpstreamInvalidResponse
from gateway.wire.openai import DIALECT, WIRE

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def whole(message: object, finish: object = "stop", **more: object) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
    return json.dumps(body | more).encode()


def say(content: object, **more: object) -> dict[str, object]:
    return {"role": "assistant", "content": content, **more}


def answer(*parts: Text | Reasoning | ToolCall, finish: FinishReason = "stop", refusal: str | None = None) -> Answer:
    return Answer("c1", "m", parts, finish, Usage(3, 2), refusal=refusal)


CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (whole(say("Hi")), answer(Text("Hi"))),
        (whole(say("Hi"), "length"), answer(Text("Hi"), finish="length")),
        (whole(say("Hi"), "eos"), answer(Text("Hi"))),
        (whole(say("Hi"), ""), answer(Text("Hi"))),
        (whole(say("Hi"), None), answer(Text("Hi"))),
        (whole(say("")), answer()),
        (whole({"role": "assistant"}), answer()),
        (whole(say(None, refusal="No")), answer(refusal="No")),
        (
            whole(say("Hi", refusal="", tool_calls=None, function_call={"name": "", "arguments": ""})),
            answer(Text("Hi")),
        ),
        (whole(say("Hi", reasoning_content="hm")), answer(Reasoning("hm"), Text("Hi"))),
        (whole(say("Hi", reasoning="hm", reasoning_details=[{"text": "hm"}])), answer(Reasoning("hm"), Text("Hi"))),
        (
            whole(say("Hi", reasoning_details=[{"text": "hm", "signature": "s", "format": "anthropic-claude-v1"}])),
            answer(Reasoning("hm", "s"), Text("Hi")),
        ),
        (
            whole(
                say(
                    [
                        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True},
                        {"type": "text", "text": "Hi"},
                    ]
                )
            ),
            answer(Reasoning("hm"), Text("Hi")),
        ),
        (whole(say({"title": "x"})), answer(Text('{"title":"x"}'))),
        (
            whole(say("I look", tool_calls=[CALL, CALL | {"id": "b", "index": 1}]), "tool_calls"),
            answer(Text("I look"), ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "f", '{"x": 1}'), finish="tool_calls"),
        ),
        (whole(say(None, tool_calls=[CALL])), answer(ToolCall("a", "f", '{"x": 1}'), finish="tool_calls")),
        (
            whole({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}, "?"]}, ""),
            answer(ToolCall("", "f", '{"x":1}'), finish="tool_calls"),
        ),
        (
            whole(say(None, tool_calls=[CALL | {"id": "0"}, CALL | {"id": "0"}])),
            answer(ToolCall("", "f", '{"x": 1}'), ToolCall("", "f", '{"x": 1}'), finish="tool_calls"),
        ),
        (whole(say(None, tool_calls=CALL)), answer(ToolCall("a", "f", '{"x": 1}'), finish="tool_calls")),
        (
            whole(say(None, tool_calls=[{"id": "a", "type": "custom", "custom": {"name": "f", "input": "4"}}])),
            answer(ToolCall("a", "f", '{"input":"4"}'), finish="tool_calls"),
        ),
        (
            whole(say(None, function_call={"name": "f", "arguments": ""}), "function_call"),
            answer(ToolCall("", "f", "{}"), finish="tool_calls"),
        ),
        (
            json.dumps({"choices": [{"message": say("Hi"), "finish_details": {"type": "max_tokens"}}]}).encode(),
            Answer(None, None, (Text("Hi"),), "length", Usage()),
        ),
        (
            json.dumps({"id": "", "model": "", "choices": [{"message": say("a")}, {"message": say("b")}]}).encode(),
            Answer(None, None, (Text("a"),), "stop", Usage()),
        ),
        (whole(say("Hi"), error=None), answer(Text("Hi"))),
        (whole(say("a?b")).replace(b"?", b"\\ud83d"), answer(Text("a\ufffdb"))),
    ],
)
def test_answers(body: bytes, expected: Answer) -> None:
    assert WIRE.decode_answer(body) == expected
    progress = WIRE.watch_answer(body)
    called = next((part.id for part in expected.parts if type(part) is ToolCall), None)
    assert progress.complete
    assert progress.content is bool(expected.parts or expected.refusal)
    assert (progress.finish, progress.usage, progress.model) == (expected.finish, expected.usage, expected.model)
    assert progress.tool_call_id == called


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (b"", UpstreamInvalidResponse, "not JSON"),
        (b"<html>captive portal</html>", UpstreamInvalidResponse, "not JSON"),
        (b'{"id": "c1", "choices": [', UpstreamInvalidResponse, "not JSON"),
        (b"[" * 5000, UpstreamInvalidResponse, "not JSON"),
        (b"{}", UpstreamInvalidResponse, "not a chat completion"),
        (b"[]", UpstreamInvalidResponse, "not a chat completion"),
        (b'"text"', UpstreamInvalidResponse, "not a chat completion"),
        (b'{"choices": []}', UpstreamInvalidResponse, "not a chat completion"),
        (b'{"choices": "x"}', UpstreamInvalidResponse, "not a chat completion"),
        (b'{"choices": [{"text": "legacy"}]}', UpstreamInvalidResponse, "not a chat completion"),
        (b'{"choices": [{"message": "Hi"}]}', UpstreamInvalidResponse, "not a chat completion"),
        (b'{"error": {"message": "m", "code": 500}}', UpstreamFailed, "m"),
        (b'{"error": "m"}', UpstreamFailed, "m"),
        (b'[{"error": {"code": 500, "message": "m", "status": "INTERNAL"}}]', UpstreamFailed, "m"),
        (b'{"object": "error", "message": "m", "code": 400}', UpstreamFailed, "m"),
        (b'{"detail": "m"}', UpstreamFailed, "m"),
        (b'{"choices": [], "error": {"message": "m"}}', UpstreamFailed, "m"),
        (b'{"choices": [{"error": {"message": "m"}, "message": {"content": ""}}]}', UpstreamFailed, "m"),
        (whole(say(""), "error"), UpstreamFailed, "broke off"),
    ],
)
def test_no_answers(body: bytes, error: type[UpstreamError], message: str) -> None:
    for read in (WIRE.decode_answer, WIRE.watch_answer):
        with pytest.raises(error, match=message):
            read(body)


# --- to clients -------------------------------------------------------------------------------------------------------

ASK: dict[str, Any] = {"model": "smart", "messages": [{"role": "user", "content": "Hi"}]}


def asked(**fields: Any) -> ChatRequest:
    return DIALECT.decode_request(json.dumps(ASK | fields).encode())


def encode(value: Answer, **fields: Any) -> dict[str, Any]:
    sent = DIALECT.encode_answer(value, asked(**fields), "smart-model", "req1", 1700000000.9)
    ChatCompletion.model_validate_json(sent, strict=True)
    body: dict[str, Any] = json.loads(sent)
    return body


def test_a_whole_answer() -> None:
    assert encode(answer(Text("Hi"), Text(" there"))) == {
        "id": "c1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi there", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }


def test_what_the_provider_left_out_is_made() -> None:
    body = encode(Answer(None, None, (ToolCall("", "f", ""), ToolCall("", "g", "{}")), "tool_calls", Usage()))
    assert (body["id"], body["model"]) == ("chatcmpl-req1", "smart-model")
    assert "usage" not in body
    calls = body["choices"][0]["message"]["tool_calls"]
    assert [(call["id"], call["function"]["arguments"]) for call in calls] == [
        ("call_req1_0", "{}"),
        ("call_req1_1", "{}"),
    ]


@pytest.mark.parametrize(
    ("value", "message", "finish"),
    [
        (answer(Reasoning("hm", "s"), Text("Hi")), say("Hi", refusal=None, reasoning_content="hm"), "stop"),
        (answer(), say("", refusal=None), "stop"),
        (answer(refusal="No", finish="refusal"), say(None, refusal="No"), "stop"),
        (answer(finish="refusal"), say("", refusal=None), "content_filter"),
        (answer(Text("a"), finish="stop_sequence"), say("a", refusal=None), "stop"),
        (answer(Text("a"), finish="pause"), say("a", refusal=None), "stop"),
        (
            answer(ToolCall("a", "f", '{"x": 1}'), finish="tool_calls"),
            say(None, refusal=None, tool_calls=[CALL]),
            "tool_calls",
        ),
    ],
)
def test_words_for_answers(value: Answer, message: dict[str, object], finish: str) -> None:
    choice = encode(value)["choices"][0]
    assert choice["message"] == message
    assert choice["finish_reason"] == finish


def test_a_client_of_functions_is_answered_in_their_terms() -> None:
    value = answer(ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}"), finish="tool_calls")
    sent = json.loads(DIALECT.encode_answer(value, asked(functions=[{"name": "f"}]), "m", "req1", 1.0))
    assert sent["choices"][0]["message"] == say(None, refusal=None, function_call={"name": "f", "arguments": "{}"})
    assert sent["choices"][0]["finish_reason"] == "function_call"


@pytest.mark.parametrize(
    "value",
    [
        answer(Text("Hi")),
        answer(Reasoning("hm"), Text("Hi"), ToolCall("a", "f", "{}"), finish="tool_calls"),
        answer(refusal="No"),
        Answer("c1", "m", (Text("é漢🙂\u2028"),), "length", Usage(9, 5, 4, 3, 2)),
    ],
)
def test_what_is_sent_can_be_read_again(value: Answer) -> None:
    assert WIRE.decode_answer(DIALECT.encode_answer(value, asked(), "x", "req1", 1.0)) == value
