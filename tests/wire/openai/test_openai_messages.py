"""A client's messages to the hub's, and every way in which they can be wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.chat import Audio, Document, Image, Message, Part, Reasoning, Text, ToolCall, ToolResult
from gateway.errors import BadRequest
from gateway.wire.openai import DIALECT
from gateway.wire.openai.messages import MAX_MESSAGES

HI = {"role": "user", "content": "Hi"}
PNG = "data:image/png;base64,iVBORw0KGgo="


def decode(messages: Any) -> tuple[Message, ...]:
    return DIALECT.decode_request(json.dumps({"model": "smart", "messages": messages}).encode()).messages


def parts(*items: object) -> tuple[Part, ...]:
    return decode([{"role": "user", "content": list(items)}])[0].parts


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"role": "system", "content": "Be brief"}, Message("system", (Text("Be brief"),))),
        ({"role": "developer", "content": "Be brief"}, Message("system", (Text("Be brief"),))),
        ({"role": "user", "content": "Hi", "name": "ann"}, Message("user", (Text("Hi"),))),
        ({"role": "user", "content": ""}, Message("user", (Text(""),))),
        ({"role": "assistant", "content": "Yes"}, Message("assistant", (Text("Yes"),))),
        ({"role": "assistant", "content": None, "refusal": "No"}, Message("assistant", (Text("No"),))),
        ({"role": "assistant", "content": None, "audio": {"id": "audio_1"}}, Message("assistant", ())),
        (
            {"role": "assistant", "content": "Yes", "reasoning_content": "hm"},
            Message("assistant", (Reasoning("hm"), Text("Yes"))),
        ),
        ({"role": "assistant", "content": None, "reasoning": "hm"}, Message("assistant", (Reasoning("hm"),))),
        (
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "thinking"}]},
            Message("assistant", (Reasoning("hm"),)),
        ),
        (
            {
                "role": "assistant",
                "content": "",
                "reasoning_details": [{"text": "hm", "signature": "s", "format": "anthropic-claude-v1"}],
            },
            Message("assistant", (Reasoning("hm", "s"),)),
        ),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]},
            Message("assistant", (Text("No"),)),
        ),
        (
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "Yes"},
                ],
            },
            Message("assistant", (Reasoning("hm"), Text("Yes"))),
        ),
        (
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
                ],
            },
            Message("assistant", (ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", "{}"))),
        ),
        (
            {
                "role": "assistant",
                "content": "I look",
                "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "math", "input": "4 + 4"}}],
            },
            Message("assistant", (Text("I look"), ToolCall("a", "math", '{"input":"4 + 4"}'))),
        ),
        (
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            Message("assistant", (ToolCall("", "f", "{}"),)),
        ),
        ({"role": "tool", "tool_call_id": "a", "content": "5"}, Message("tool", (ToolResult("a", (Text("5"),)),))),
        (
            {
                "role": "tool",
                "tool_call_id": "a",
                "content": [{"type": "text", "text": "5"}, {"type": "image_url", "image_url": {"url": PNG}}],
            },
            Message("tool", (ToolResult("a", (Text("5"), Image("image/png", "iVBORw0KGgo="))),)),
        ),
        (
            {"role": "function", "name": "f", "content": "5"},
            Message("tool", (ToolResult("", (Text("5"),), "f"),)),
        ),
        ({"role": "function", "name": "f", "content": None}, Message("tool", (ToolResult("", (Text(""),), "f"),))),
    ],
)
def test_messages(item: dict[str, Any], expected: Message) -> None:
    assert decode([item]) == (expected,)


def test_a_result_knows_the_name_of_the_call_it_answers() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = decode(
        [
            HI,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "a", "content": "5"},
        ]
    )
    assert messages[2].parts == (ToolResult("a", (Text("5"),), "f"),)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}, Text("Hi")),
        ({"type": "image_url", "image_url": {"url": PNG}}, Image("image/png", "iVBORw0KGgo=")),
        (
            {"type": "image_url", "image_url": {"url": "DATA:image/PNG;name=x;BASE64,aa", "detail": "low"}},
            Image("image/png", "aa", detail="low"),
        ),
        ({"type": "image_url", "image_url": {"url": "https://x/y.png"}}, Image(url="https://x/y.png")),
        ({"type": "image_url", "image_url": "https://x/y.png"}, Image(url="https://x/y.png")),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, Image(url="file:///etc/passwd")),
        ({"type": "input_audio", "input_audio": {"data": "aa", "format": "wav"}}, Audio("aa", "wav")),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aa"}},
            Document("application/pdf", "aa", name="a.pdf"),
        ),
        ({"type": "file", "file": {"file_data": "aa"}}, Document("application/pdf", "aa")),
        ({"type": "file", "file": {"file_data": "https://x/y.pdf"}}, Document(url="https://x/y.pdf")),
        ({"type": "file", "file": {"file_id": "file-1"}}, Document(file_id="file-1")),
        ({"type": "document_url", "document_url": "https://x/y.pdf"}, Document(url="https://x/y.pdf")),
        ({"type": "video_url", "video_url": {"url": "https://x/y.mp4"}}, Document("video/*", url="https://x/y.mp4")),
        ({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,aa"}}, Document("video/mp4", "aa")),
    ],
)
def test_parts(item: dict[str, Any], expected: Part) -> None:
    assert parts(item) == (expected,)


def test_a_long_data_url_is_kept_whole() -> None:
    data = "A" * 3_000_000
    assert parts({"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}) == (
        Image("image/jpeg", data),
    )


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (None, "messages"),
        ([], "messages"),
        ({}, "messages"),
        ("Hi", "messages"),
        ([HI] * (MAX_MESSAGES + 1), "messages"),
        ([HI, "Hi"], "messages[1]"),
        ([{"content": "Hi"}], "messages[0].role"),
        ([{"role": ["user"], "content": "Hi"}], "messages[0].role"),
        ([{"role": "root", "content": "Hi"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([HI, {"role": "user", "content": None}], "messages[1].content"),
        ([{"role": "user", "content": 5}], "messages[0].content"),
        ([{"role": "user", "content": {"type": "text"}}], "messages[0].content"),
        ([{"role": "user", "content": ["Hi"]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"text": "Hi"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": ["text"]}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "video", "video": "x"}]}], "messages[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "text", "text": None}]}], "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "messages[0].content[0].image_url.url"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png,xx"}}]}],
            "messages[0].content[0].image_url.url",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x", "detail": 5}}]}],
            "messages[0].content[0].image_url.detail",
        ),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "messages[0].content[0].input_audio"),
        (
            [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "a"}}]}],
            "messages[0].content[0].input_audio.format",
        ),
        ([{"role": "user", "content": [{"type": "file", "file": "x"}]}], "messages[0].content[0].file"),
        ([{"role": "user", "content": [{"type": "file", "file": {}}]}], "messages[0].content[0].file"),
        (
            [{"role": "user", "content": [{"type": "file", "file": {"file_id": 5}}]}],
            "messages[0].content[0].file.file_id",
        ),
        ([{"role": "assistant"}], "messages[0].content"),
        ([{"role": "assistant", "content": None}], "messages[0].content"),
        ([{"role": "assistant", "content": None, "tool_calls": []}], "messages[0].content"),
        ([{"role": "assistant", "content": 5}], "messages[0].content"),
        ([{"role": "assistant", "content": "a", "tool_calls": {}}], "messages[0].tool_calls"),
        ([{"role": "assistant", "content": "a", "tool_calls": ["x"]}], "messages[0].tool_calls[0]"),
        ([{"role": "assistant", "tool_calls": [{"id": "a"}]}], "messages[0].tool_calls[0]"),
        ([{"role": "assistant", "tool_calls": [{"id": "a", "function": "f"}]}], "messages[0].tool_calls[0]"),
        ([{"role": "assistant", "function_call": "f"}], "messages[0].function_call[0]"),
        ([{"role": "tool", "content": "5"}], "messages[0].tool_call_id"),
        ([{"role": "tool", "tool_call_id": "", "content": "5"}], "messages[0].tool_call_id"),
        ([{"role": "tool", "tool_call_id": 5, "content": "5"}], "messages[0].tool_call_id"),
        ([{"role": "tool", "tool_call_id": "a", "content": None}], "messages[0].content"),
        ([{"role": "function", "content": "5"}], "messages[0].name"),
    ],
)
def test_wrong_messages(messages: Any, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(messages)
    assert (caught.value.code, caught.value.param) == ("invalid_messages", param)
    assert caught.value.message.startswith(param)
