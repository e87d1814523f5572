"""Clients' requests to /api/chat and /api/generate."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gateway.chat import (
    Audio,
    ChatRequest,
    Effort,
    Image,
    Message,
    Reasoning,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from gateway.errors import BadRequest
from gateway.wire.ollama import DIALECT, GENERATE
from gateway.wire.ollama.request import split_model

HELLO = {"role": "user", "content": "hello"}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()


def chat(**fields: Any) -> ChatRequest:
    return DIALECT.decode_request(json.dumps({"model": "smart", "messages": [HELLO], **fields}).encode())


def generate(**fields: Any) -> ChatRequest:
    return GENERATE.decode_request(json.dumps({"model": "smart", "prompt": "hello", **fields}).encode())


def messages(*items: Any) -> tuple[Message, ...]:
    return chat(messages=items).messages


# --- the chat itself --------------------------------------------------------------------------------------------------


def test_a_plain_chat() -> None:
    request = chat(messages=[{"role": "system", "content": "Be brief."}, HELLO])
    assert request.dialect == "ollama"
    assert request.model == "smart"
    assert request.messages == (Message("system", (Text("Be brief."),)), Message("user", (Text("hello"),)))
    assert list(request.fields) == ["model", "messages"]
    assert request.include_usage


@pytest.mark.parametrize(
    ("fields", "stream"), [({}, True), ({"stream": None}, True), ({"stream": True}, True), ({"stream": False}, False)]
)
def test_streams_unless_told_otherwise(fields: dict[str, Any], stream: bool) -> None:
    assert chat(**fields).stream is stream
    assert generate(**fields).stream is stream


@pytest.mark.parametrize(
    ("name", "model", "tags"),
    [
        ("smart", "smart", ()),
        ("smart:latest", "smart", ()),
        ("smart:LATEST", "smart", ()),
        ("Smart", "Smart", ()),
        ("llama3:8b", "llama3:8b", ()),
        ("smart@teamA", "smart", ("teamA",)),
        ("smart@teamA:latest", "smart", ("teamA",)),
        ("smart:latest@teamA", "smart", ("teamA",)),
        ("smart@a@b", "smart", ("a", "b")),
        ("smart@", "smart@", ()),
        ("@teamA", "@teamA", ()),
        ("smart@team A", "smart@team A", ()),
        ("smart@" + "x" * 65, "smart@" + "x" * 65, ()),
        ("cloudflare/@cf/meta/llama-3", "cloudflare/@cf/meta/llama-3", ()),
        ("vertex/claude@2025", "vertex/claude@2025", ()),
        ("ollama/llama3:latest", "ollama/llama3:latest", ()),
        (":latest", ":latest", ()),
    ],
)
def test_model_names(name: str, model: str, tags: tuple[str, ...]) -> None:
    assert split_model(name) == (model, tags)
    request = chat(model=name)
    assert (request.model, request.tags) == (model, tags)


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"role": "user", "content": ""}, (Text(""),)),
        ({"role": "USER", "content": "a"}, (Text("a"),)),
        ({"role": "user", "content": "a", "unknown": 1}, (Text("a"),)),
        ({"role": "user", "content": "a", "images": None, "tool_calls": None}, (Text("a"),)),
        ({"role": "user", "content": "", "images": [PNG]}, (Image("image/png", PNG),)),
        ({"role": "user", "content": "a", "images": [PNG]}, (Text("a"), Image("image/png", PNG))),
        ({"role": "assistant", "content": "b", "thinking": "a"}, (Reasoning("a"), Text("b"))),
        ({"role": "assistant", "thinking": "a"}, (Reasoning("a"),)),
        # Ollama's own client for Python leaves out what is empty.
        ({"role": "system"}, (Text(""),)),
        ({"role": "user", "images": [PNG]}, (Image("image/png", PNG),)),
        ({"role": "tool", "tool_name": "f"}, (ToolResult("", (Text(""),), "f"),)),
    ],
)
def test_message_parts(message: dict[str, Any], parts: tuple[Any, ...]) -> None:
    (decoded,) = messages(message)
    assert decoded.role == message["role"].lower()
    assert decoded.parts == parts


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBP", "image/webp"),
        (b"BM", "application/octet-stream"),
        (b"RIFF\x00\x00\x00\x00WAVE", "wav"),
        (b"ID3", "mp3"),
        (b"\xff\xfb", "mp3"),
    ],
)
def test_the_first_bytes_tell_what_an_image_is(beginning: bytes, kind: str) -> None:
    data = base64.b64encode(beginning + bytes(40)).decode()
    (message,) = messages({"role": "user", "content": "", "images": [data]})
    expected = Audio(data, kind) if kind in ("wav", "mp3") else Image(kind, data)
    assert message.parts == (expected,)


def test_a_tiny_image() -> None:
    (message,) = messages({"role": "user", "content": "", "images": ["R0lGODlh"]})
    assert message.parts == (Image("image/gif", "R0lGODlh"),)


# --- tools ------------------------------------------------------------------------------------------------------------


def call(name: str, arguments: Any = None, **more: Any) -> dict[str, Any]:
    return {**more, "function": {"name": name, "arguments": arguments}}


def calls(*made: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": list(made)}


def result(content: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content, **more}


def test_calls_and_arguments() -> None:
    (message,) = messages(calls(call("a", {"x": 1.0, "y": "é"}), call("b", {}), call("c")))
    assert message.parts == (
        ToolCall("call_0", "a", '{"x":1.0,"y":"é"}'),
        ToolCall("call_1", "b", "{}"),
        ToolCall("call_2", "c", "{}"),
    )


def test_a_call_keeps_its_own_id() -> None:
    made = {"id": "call_x1", "function": {"index": 0, "name": "a", "arguments": {}}}
    (message,) = messages(calls(made))
    assert message.parts == (ToolCall("call_x1", "a", "{}"),)


@pytest.mark.parametrize(
    ("made", "results", "expected"),
    [
        pytest.param([call("a")], [result("1")], [("call_0", "a")], id="the-only-one"),
        pytest.param(
            [call("a"), call("b")], [result("1"), result("2")], [("call_0", "a"), ("call_1", "b")], id="order"
        ),
        pytest.param(
            [call("a"), call("b")],
            [result("2", tool_name="b"), result("1", tool_name="a")],
            [("call_1", "b"), ("call_0", "a")],
            id="by-name",
        ),
        pytest.param(
            [call("a"), call("a")],
            [result("1", tool_name="a"), result("2", tool_name="a")],
            [("call_0", "a"), ("call_1", "a")],
            id="same-name-twice",
        ),
        pytest.param(
            [call("a", id="x"), call("b", id="y")],
            [result("2", tool_call_id="y"), result("1", tool_call_id="x")],
            [("y", "b"), ("x", "a")],
            id="by-id",
        ),
        pytest.param([call("a")], [result("1", name="a")], [("call_0", "a")], id="old-field-name"),
        pytest.param([call("a")], [result("1", tool_name="z")], [("call_0", "a")], id="misspelt-name"),
        pytest.param([call("a")], [result("1", tool_call_id="z")], [("z", None)], id="foreign-id"),
        pytest.param([call("a")], [result("1"), result("2")], [("call_0", "a"), ("", None)], id="one-too-many"),
    ],
)
def test_results_find_their_calls(made: list[Any], results: list[Any], expected: list[tuple[str, str | None]]) -> None:
    decoded = messages(HELLO, calls(*made), *results)
    found = []
    for message in decoded[2:]:
        (part,) = message.parts
        assert message.role == "tool"
        assert isinstance(part, ToolResult)
        found.append((part.id, part.name))
    assert found == expected


def test_ids_go_on_counting_over_the_turns_and_stay_the_same() -> None:
    turns = [HELLO, calls(call("a")), result("1"), calls(call("a")), result("2")]
    decoded = messages(*turns)
    assert [part.id for message in decoded for part in message.parts if isinstance(part, (ToolCall, ToolResult))] == [
        "call_0",
        "call_0",
        "call_1",
        "call_1",
    ]
    assert messages(*turns, HELLO)[:5] == decoded


def test_a_result_with_a_picture() -> None:
    decoded = messages(calls(call("a")), result("", images=[PNG]))
    assert decoded[1].parts == (ToolResult("call_0", (Image("image/png", PNG),), "a"),)


def test_tools() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    tools = [
        {"type": "function", "function": {"name": "a", "description": "A.", "parameters": schema}},
        {"function": {"name": "b"}},
    ]
    assert chat(tools=tools).tools == (Tool("a", "A.", schema), Tool("b"))
    assert chat(tools=[]).tools == ()
    assert chat(tools=None).tools == ()


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decode", [chat, generate])
@pytest.mark.parametrize(
    ("options", "attribute", "value"),
    [
        ({"num_predict": 10}, "max_tokens", 10),
        ({"num_predict": 10.9}, "max_tokens", 10),
        ({"num_predict": -1}, "max_tokens", None),
        ({"num_predict": -2}, "max_tokens", None),
        ({"temperature": 0}, "temperature", 0.0),
        ({"temperature": None}, "temperature", None),
        ({"top_p": 0.9}, "top_p", 0.9),
        ({"top_k": 40}, "top_k", 40),
        ({"top_k": 0}, "top_k", None),
        ({"seed": 0}, "seed", 0),
        ({"seed": -1}, "seed", None),
        ({"presence_penalty": 0.5}, "presence_penalty", 0.5),
        ({"frequency_penalty": -0.5}, "frequency_penalty", -0.5),
        ({"stop": ["a", "", "b"]}, "stop", ("a", "b")),
        ({"num_ctx": 4096, "mirostat": "x"}, "max_tokens", None),
    ],
)
def test_options(decode: Any, options: dict[str, Any], attribute: str, value: Any) -> None:
    assert getattr(decode(options=options), attribute) == value


@pytest.mark.parametrize("decode", [chat, generate])
@pytest.mark.parametrize(
    ("fields", "attribute", "value"),
    [
        ({"format": ""}, "response_format", None),
        ({"format": None}, "response_format", None),
        ({"format": "json"}, "response_format", ResponseFormat("json")),
        ({"format": {"type": "object"}}, "response_format", ResponseFormat("json_schema", {"type": "object"})),
        ({"think": None}, "effort", None),
        ({"think": True}, "effort", Effort()),
        ({"think": False}, "effort", Effort(enabled=False)),
        ({"think": "high"}, "effort", Effort("high")),
        ({"think": "max"}, "effort", Effort("max")),
        ({"options": None}, "temperature", None),
    ],
)
def test_settings(decode: Any, fields: dict[str, Any], attribute: str, value: Any) -> None:
    assert getattr(decode(**fields), attribute) == value


# --- generate ---------------------------------------------------------------------------------------------------------


def test_generate_is_a_conversation_of_one_turn() -> None:
    request = generate(system="Be brief.", images=[PNG], template="x", context=[1, 2])
    assert request.dialect == "ollama.generate"
    assert request.messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("hello"), Image("image/png", PNG))),
    )


@pytest.mark.parametrize("fields", [{"prompt": ""}, {"prompt": None}, {"prompt": "", "system": "x"}])
def test_without_a_prompt_there_are_no_messages(fields: dict[str, Any]) -> None:
    assert generate(**fields).messages == ()


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"raw": True}, "raw"), ({"suffix": "}"}, "suffix"), ({"raw": True, "suffix": "}"}, "raw")],
)
def test_what_only_ollama_can_do(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        GENERATE.check_translatable(generate(**fields))
    assert (caught.value.code, caught.value.param) == ("unsupported", param)


@pytest.mark.parametrize("fields", [{}, {"raw": False}, {"raw": None}, {"suffix": ""}, {"suffix": None}])
def test_what_others_can_do_too(fields: dict[str, Any]) -> None:
    GENERATE.check_translatable(generate(**fields))
    DIALECT.check_translatable(chat(raw=True))
