"""Whole messages, both ways."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message as SdkMessage

from gateway.chat import Answer, Reasoning, Text, ToolCall, Usage
from gateway.errors import UpstreamError, UpstreamFailed, UpstreamInvalidResponse
from gateway.wire.anthropic import DIALECT, WIRE
from gateway.wire.anthropic.vocabulary import UNSIGNED
from gateway.wire.protocol import Progress

REQUEST = DIALECT.decode_request(b'{"model":"smart","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}')


def message(*content: dict[str, Any], **fields: Any) -> bytes:
    whole = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5, "service_tier": "standard"},
    }
    return json.dumps({**whole, **fields}).encode()


USAGE = Usage(input=7, output=5, cache_read=4)


def test_a_whole_message() -> None:
    body = message(
        {"type": "thinking", "thinking": "hm", "signature": "Eo="},
        {"type": "redacted_thinking", "data": "Ev="},
        {"type": "text", "text": "Hi", "citations": None},
        {"type": "text", "text": ""},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1.50}, "caller": {"type": "direct"}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
        stop_reason="tool_use",
    )
    parts = (
        Reasoning("hm", "Eo="),
        Reasoning("", redacted="Ev="),
        Text("Hi"),
        ToolCall("toolu_1", "f", '{"x": 1.5}'),
        ToolCall("toolu_2", "g", "{}"),
    )
    assert WIRE.decode_answer(body) == Answer("msg_1", "claude-x", parts, "tool_calls", USAGE)
    assert WIRE.watch_answer(body) == Progress(
        content=True, complete=True, finish="tool_calls", usage=USAGE, model="claude-x", tool_call_id="toolu_1"
    )


@pytest.mark.parametrize(
    ("fields", "finish", "usage"),
    [
        ({}, "stop", USAGE),
        ({"stop_reason": "refusal"}, "refusal", USAGE),
        ({"stop_reason": None, "usage": None}, "stop", Usage()),
        ({"id": None, "model": None, "usage": {}}, "stop", Usage()),
    ],
)
def test_an_answer_without_content(fields: dict[str, Any], finish: str, usage: Usage) -> None:
    body = message(**fields)
    answer, progress = WIRE.decode_answer(body), WIRE.watch_answer(body)
    assert (answer.parts, answer.finish, answer.usage) == ((), finish, usage)
    assert (progress.content, progress.complete, progress.finish, progress.usage) == (False, True, finish, usage)


def test_the_stop_sequence_that_was_hit() -> None:
    answer = WIRE.decode_answer(
        message({"type": "text", "text": "Hi"}, stop_reason="stop_sequence", stop_sequence="END")
    )
    assert (answer.finish, answer.stop_sequence) == ("stop_sequence", "END")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", UpstreamInvalidResponse),
        (b"{}", UpstreamInvalidResponse),
        (b"[]", UpstreamInvalidResponse),
        (b"<html>", UpstreamInvalidResponse),
        (b'{"type":"message","content":"Hi"}', UpstreamInvalidResponse),
        (b'{"type":"message","content":[{"text":"Hi"}]}', UpstreamInvalidResponse),
        (b'{"choices":[{"message":{"content":"Hi"}}]}', UpstreamInvalidResponse),
        (b'{"type":"message","content":[{"type":"text","text":"\xff"}]}', UpstreamInvalidResponse),
        (b'{"type":"error","error":{"type":"api_error","message":"broken"}}', UpstreamFailed),
        (b'{"error":"broken"}', UpstreamFailed),
    ],
)
def test_what_is_no_message(body: bytes, kind: type[UpstreamError]) -> None:
    for read in (WIRE.decode_answer, WIRE.watch_answer):
        with pytest.raises(kind) as caught:
            read(body)
        assert type(caught.value) is kind
        assert kind is UpstreamInvalidResponse or caught.value.message == "broken"


def encode(answer: Answer) -> dict[str, Any]:
    body = DIALECT.encode_answer(answer, REQUEST, "openai/gpt-x", "7f3a", 1.0)
    SdkMessage.model_validate_json(body)
    decoded: dict[str, Any] = json.loads(body)
    return decoded


def test_an_answer_of_another_wire() -> None:
    parts = (
        Reasoning("hm"),
        Text("Hi"),
        ToolCall("functions.f:0", "f", '{"b": 1, "a": 123456789012345678901234567890}'),
        ToolCall("", "g", "nonsense"),
    )
    body = encode(Answer(None, None, parts, "stop", Usage(10, 5, 4, 1, 2)))
    assert body["content"][0] == {"type": "thinking", "thinking": "hm", "signature": UNSIGNED}
    assert body["content"][1] == {"type": "text", "text": "Hi"}
    assert body["content"][2]["input"] == {"b": 1, "a": 123456789012345678901234567890}
    assert body["content"][2]["id"].replace("_", "").isalnum()
    assert body["content"][3] == {"type": "tool_use", "id": "toolu_7f3a_1", "name": "g", "input": {}}
    assert (body["id"], body["model"], body["stop_reason"]) == ("msg_7f3a", "openai/gpt-x", "tool_use")
    assert body["usage"] == {
        "input_tokens": 5,
        "cache_creation_input_tokens": 1,
        "cache_read_input_tokens": 4,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
    }


def test_blanks_are_no_block() -> None:
    # A client sends the answer back, and Anthropic refuses a text block of blanks.
    body = encode(Answer(None, None, (Text("\n\n"), ToolCall("a", "f", "{}")), "tool_calls", Usage()))
    assert body["content"] == [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]


def test_a_refusal() -> None:
    body = encode(Answer("chatcmpl-1", "gpt-x", (Text(""),), "stop", Usage(), refusal="I cannot."))
    assert (body["content"], body["stop_reason"]) == ([{"type": "text", "text": "I cannot."}], "refusal")
    assert (body["id"], body["model"], body["usage"]) == (
        "chatcmpl-1",
        "gpt-x",
        {"input_tokens": 0, "output_tokens": 0},
    )


def test_what_is_encoded_decodes_to_the_same() -> None:
    parts = (Reasoning("hm", "Eo="), Reasoning("", redacted="Ev="), Text("Hi"), ToolCall("a", "f", '{"x":1}'))
    answer = Answer("msg_1", "m", parts, "stop_sequence", Usage(10, 5, 4, 1), stop_sequence="END")
    assert WIRE.decode_answer(DIALECT.encode_answer(answer, REQUEST, "m", "7f3a", 1.0)) == answer
