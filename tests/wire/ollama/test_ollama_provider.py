"""Requests to an Ollama server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.chat import (
    Audio,
    ChatRequest,
    Document,
    Effort,
    Image,
    Message,
    Reasoning,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.errors import BadRequest
from gateway.wire.ollama import DIALECT, GENERATE, WIRE
from gateway.wire.ollama.provider import arguments_object
from gateway.wire.protocol import Target

LLAMA = Target("llama3:8b")
HELLO = Message("user", (Text("hello"),))


def encode(*messages: Message, **fields: Any) -> dict[str, Any]:
    """What a chat of another dialect becomes."""
    path, body = WIRE.encode_request(ChatRequest("openai", "smart", messages or (HELLO,), {}, **fields), LLAMA)
    assert path == "/api/chat"
    decoded: dict[str, Any] = json.loads(body)
    return decoded


def messages(*given: Message) -> list[dict[str, Any]]:
    encoded: list[dict[str, Any]] = encode(*given)["messages"]
    return encoded


# --- the same wire ----------------------------------------------------------------------------------------------------


def test_own_fields_travel_byte_for_byte() -> None:
    body = (
        b'{ "messages":[{"role":"user", "content":"\\u00e9"}], "model" : "smart@a", "options":{"num_ctx":1e3},'
        b' "new_field" : [ 1.0, 123456789012345678901234567890 ], "stream":null}'
    )
    path, forwarded = WIRE.encode_request(DIALECT.decode_request(body), LLAMA)
    assert path == "/api/chat"
    assert forwarded == (
        b'{"messages":[{"role":"user", "content":"\\u00e9"}],"model":"llama3:8b","options":{"num_ctx":1e3},'
        b'"new_field":[ 1.0, 123456789012345678901234567890 ],"stream":null}'
    )


def test_generate_goes_to_its_own_endpoint() -> None:
    body = b'{"model":"smart","prompt":"a","suffix":"b","raw":true,"context":[1]}'
    path, forwarded = WIRE.encode_request(GENERATE.decode_request(body), LLAMA)
    assert path == "/api/generate"
    assert forwarded == b'{"model":"llama3:8b","prompt":"a","suffix":"b","raw":true,"context":[1]}'


def test_what_is_internal_to_gateways_stays_here() -> None:
    body = (
        b'{"model":"m","prompt":"a","metadata":{},"guardrails":[],"callbacks":[],"success_callback":[],'
        b'"failure_callback":[],"litellm_params":{},"keep_alive":0}'
    )
    _, forwarded = WIRE.encode_request(GENERATE.decode_request(body), LLAMA)
    assert forwarded == b'{"model":"llama3:8b","prompt":"a","keep_alive":0}'


# --- over the hub -----------------------------------------------------------------------------------------------------


def test_a_plain_chat() -> None:
    assert encode() == {
        "model": "llama3:8b",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": False,
    }


@pytest.mark.parametrize(
    ("fields", "name", "expected"),
    [
        ({"stream": True}, "stream", True),
        ({"max_tokens": 5}, "options", {"num_predict": 5}),
        ({"temperature": 0.0, "top_p": 0.5, "top_k": 3}, "options", {"temperature": 0.0, "top_p": 0.5, "top_k": 3}),
        ({"seed": 0, "stop": ("a", "b")}, "options", {"seed": 0, "stop": ["a", "b"]}),
        (
            {"presence_penalty": 1.0, "frequency_penalty": -1.0},
            "options",
            {"presence_penalty": 1.0, "frequency_penalty": -1.0},
        ),
        ({"response_format": ResponseFormat("json")}, "format", "json"),
        ({"response_format": ResponseFormat("json_schema", {"type": "object"})}, "format", {"type": "object"}),
        ({"effort": Effort()}, "think", None),
        ({"effort": Effort(budget=2000)}, "think", None),
        ({"effort": Effort(enabled=False)}, "think", False),
        ({"effort": Effort("none")}, "think", False),
        ({"effort": Effort("minimal")}, "think", "low"),
        ({"effort": Effort("medium")}, "think", "medium"),
        ({"effort": Effort("xhigh")}, "think", "max"),
        ({"effort": Effort("of tomorrow")}, "think", None),
        ({"user": "u", "parallel_tool_calls": False}, "options", None),
    ],
)
def test_settings(fields: dict[str, Any], name: str, expected: Any) -> None:
    assert encode(**fields).get(name) == expected


TOOLS = (Tool("a", "A.", {"type": "object", "properties": {}}), Tool("b"))
A = {"type": "function", "function": {"name": "a", "description": "A.", "parameters": TOOLS[0].parameters}}
B = {"type": "function", "function": {"name": "b", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    ("choice", "offered"),
    [
        (None, [A, B]),
        (ToolChoice("auto"), [A, B]),
        (ToolChoice("required"), [A, B]),
        (ToolChoice("named", "b"), [B]),
        (ToolChoice("none"), None),
    ],
)
def test_tools_and_their_choice(choice: ToolChoice | None, offered: Any) -> None:
    assert encode(tools=TOOLS, tool_choice=choice).get("tools") == offered


def test_text_and_pictures() -> None:
    parts = (
        Text("a"),
        Image("image/png", "aWJ"),
        Document(text="b"),
        Document(text="c", name="d.txt"),
        Audio("UklG", "wav"),
    )
    assert messages(Message("system", (Text("s"), Text("t"))), Message("user", parts)) == [
        {"role": "system", "content": "s\nt"},
        {"role": "user", "content": "a\nb\nd.txt:\nc", "images": ["aWJ", "UklG"]},
    ]


def test_a_tool_loop() -> None:
    turns = (
        HELLO,
        Message(
            "assistant",
            (Reasoning("hm", signature="x"), Text("wait"), ToolCall("i", "f", '{"x": 1}'), ToolCall("j", "g", "")),
        ),
        Message("tool", (ToolResult("j", (Text("2"),)), ToolResult("i", (Text("1"), Image("image/png", "aWJ"))))),
        Message("tool", (ToolResult("z", (), name="h", is_error=True),)),
    )
    assert messages(*turns)[1:] == [
        {
            "role": "assistant",
            "content": "wait",
            "thinking": "hm",
            "tool_calls": [
                {"id": "i", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}},
                {"id": "j", "function": {"index": 1, "name": "g", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "2", "tool_name": "g", "tool_call_id": "j"},
        {"role": "tool", "content": "1", "images": ["aWJ"], "tool_name": "f", "tool_call_id": "i"},
        {"role": "tool", "content": "", "tool_name": "h", "tool_call_id": "z"},
    ]


def test_a_result_beside_other_parts_comes_first() -> None:
    turn = Message("user", (ToolResult("i", (Text("1"),)), Text("and now?")))
    assert messages(turn) == [
        {"role": "tool", "content": "1", "tool_call_id": "i"},
        {"role": "user", "content": "and now?"},
    ]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", b"{}"),
        ("  ", b"{}"),
        ("{}", b"{}"),
        ("[1]", b"{}"),
        ("null", b"{}"),
        ('"x"', b"{}"),
        ('{"a":', b"{}"),
        ('{"a": "\\ud800"}', b"{}"),
        ("[" * 100_000, b"{}"),
        ('{"a": 1.0,\n "b": 123456789012345678901234567890}', b'{"a":1.0,"b":123456789012345678901234567890}'),
    ],
)
def test_arguments_become_an_object(text: str, arguments: bytes) -> None:
    assert bytes(arguments_object(text)) == arguments


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        pytest.param({"n": 2}, "n", id="n"),
        pytest.param({"messages": (Message("user", (Image(url="https://x.test/a.png"),)),)}, None, id="picture-by-url"),
        pytest.param({"messages": (Message("user", (Document("application/pdf", "JVBE"),)),)}, None, id="document"),
        pytest.param({"messages": (Message("tool", (ToolResult("i", (Document(file_id="f"),)),)),)}, None, id="file"),
    ],
)
def test_what_ollama_cannot_say(request_: dict[str, Any], param: str | None) -> None:
    fields = {"messages": (HELLO,), "fields": {}, **request_}
    with pytest.raises(BadRequest) as caught:
        WIRE.encode_request(ChatRequest("openai", "smart", **fields), LLAMA)
    assert (caught.value.code, caught.value.param) == ("unsupported", param)


def test_there_and_back() -> None:
    body = json.dumps(
        {
            "model": "llama3:8b",
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "a", "images": ["iVBORw0KGgoAAAANSUhEUg=="]},
                {
                    "role": "assistant",
                    "content": "",
                    "thinking": "t",
                    "tool_calls": [{"id": "i", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}],
                },
                {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "i"},
            ],
            "stream": True,
            "tools": [A],
            "format": "json",
            "options": {"num_predict": 5, "temperature": 0.5, "seed": 1, "stop": ["x"]},
            "think": "low",
        }
    ).encode()
    request = DIALECT.decode_request(body)
    request.dialect, request.fields = "openai", {}
    assert json.loads(WIRE.encode_request(request, LLAMA)[1]) == json.loads(body)


@pytest.mark.parametrize(("key", "headers"), [(None, []), ("", []), ("k", [(b"authorization", b"Bearer k")])])
def test_headers(key: str | None, headers: list[tuple[bytes, bytes]]) -> None:
    assert WIRE.auth_headers(key) == headers
    assert WIRE.forward_headers == WIRE.return_headers == frozenset()
    assert WIRE.filter_header(b"cookie", b"x") is None
