"""Requests to /api/chat and /api/generate that are refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.chat import ChatRequest
from gateway.errors import BadRequest
from gateway.wire.ollama import DIALECT, GENERATE, WIRE
from gateway.wire.ollama.request import MAX_MESSAGES
from gateway.wire.protocol import Target

HELLO = {"role": "user", "content": "hello"}
PNG = "iVBORw0KGgoAAAANSUhEUg=="


def chat(**fields: Any) -> ChatRequest:
    return DIALECT.decode_request(json.dumps({"model": "smart", "messages": [HELLO], **fields}).encode())


def generate(**fields: Any) -> ChatRequest:
    return GENERATE.decode_request(json.dumps({"model": "smart", "prompt": "hello", **fields}).encode())


def refused(decode: Any, **fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        decode(**fields)
    assert caught.value.status == 400
    return caught.value


def call(name: str, arguments: Any = None, **more: Any) -> dict[str, Any]:
    return {**more, "function": {"name": name, "arguments": arguments}}


BAD_MESSAGES: list[tuple[Any, str]] = [
    (None, "messages"),
    ([], "messages"),
    ({}, "messages"),
    ("hello", "messages"),
    ([HELLO] * (MAX_MESSAGES + 1), "messages"),
    ([HELLO, 5], "messages[1]"),
    ([{"content": "x"}], "messages[0].role"),
    ([{"role": "robot", "content": "x"}], "messages[0].role"),
    ([{"role": [], "content": "x"}], "messages[0].role"),
    ([{"role": "user", "content": None}], "messages[0].content"),
    ([{"role": "user", "content": 5}], "messages[0].content"),
    ([{"role": "user", "content": [{"type": "text", "text": "x"}]}], "messages[0].content"),
    ([{"role": "tool", "content": None}], "messages[0].content"),
    ([{"role": "tool", "content": "x", "tool_name": 5}], "messages[0].tool_name"),
    ([{"role": "tool", "content": "x", "tool_call_id": 5}], "messages[0].tool_call_id"),
    ([{"role": "assistant", "content": "x", "thinking": 5}], "messages[0].thinking"),
    ([{"role": "assistant", "content": None, "tool_calls": []}], "messages[0].content"),
    ([{"role": "assistant", "tool_calls": {}}], "messages[0].tool_calls"),
    ([{"role": "user", "tool_calls": [call("a")]}], "messages[0].tool_calls"),
    ([{"role": "assistant", "tool_calls": [5]}], "messages[0].tool_calls[0]"),
    ([{"role": "assistant", "tool_calls": [{"function": {}}]}], "messages[0].tool_calls[0].function.name"),
    ([{"role": "assistant", "tool_calls": [call("a", "{}")]}], "messages[0].tool_calls[0].function.arguments"),
    ([{"role": "assistant", "tool_calls": [call("a", id=5)]}], "messages[0].tool_calls[0].id"),
    ([{"role": "user", "content": "x", "images": PNG}], "messages[0].images"),
    ([{"role": "user", "content": "x", "images": [PNG, 5]}], "messages[0].images[1]"),
    ([{"role": "user", "content": "x", "images": ["https://x.test/a.png"]}], "messages[0].images[0]"),
    ([{"role": "user", "content": "x", "images": [""]}], "messages[0].images[0]"),
]


@pytest.mark.parametrize(("value", "param"), BAD_MESSAGES)
def test_bad_messages(value: Any, param: str) -> None:
    error = refused(chat, messages=value)
    assert (error.code, error.param) == ("invalid_messages", param)


@pytest.mark.parametrize("decode", [chat, generate])
@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"model": None}, "missing_model", "model"),
        ({"model": ""}, "missing_model", "model"),
        ({"model": 5}, "missing_model", "model"),
        ({"stream": "yes"}, "invalid_stream", "stream"),
        ({"stream": 1}, "invalid_stream", "stream"),
        ({"format": "yaml"}, "invalid_format", "format"),
        ({"format": 5}, "invalid_format", "format"),
        ({"think": "loudly"}, "invalid_think", "think"),
        ({"think": 1}, "invalid_think", "think"),
        ({"keep_alive": []}, "invalid_keep_alive", "keep_alive"),
        ({"keep_alive": True}, "invalid_keep_alive", "keep_alive"),
        ({"options": []}, "invalid_options", "options"),
        ({"options": {"temperature": 1e9}}, "invalid_temperature", "options.temperature"),
        ({"options": {"temperature": -1}}, "invalid_temperature", "options.temperature"),
        ({"options": {"temperature": True}}, "invalid_temperature", "options.temperature"),
        ({"options": {"temperature": "1"}}, "invalid_temperature", "options.temperature"),
        ({"options": {"top_p": 2}}, "invalid_top_p", "options.top_p"),
        ({"options": {"num_predict": -3}}, "invalid_num_predict", "options.num_predict"),
        ({"options": {"num_predict": 10**30}}, "invalid_num_predict", "options.num_predict"),
        ({"options": {"seed": 1e300}}, "invalid_seed", "options.seed"),
        ({"options": {"top_k": []}}, "invalid_top_k", "options.top_k"),
        ({"options": {"stop": "x"}}, "invalid_stop", "options.stop"),
        ({"options": {"stop": [5]}}, "invalid_stop", "options.stop"),
        ({"api_base": "http://canary.test"}, "forbidden_field", "api_base"),
    ],
)
def test_bad_fields(decode: Any, fields: dict[str, Any], code: str, param: str) -> None:
    error = refused(decode, **fields)
    assert (error.code, error.param) == (code, param)


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ({}, "tools"),
        ([5], "tools[0].function"),
        ([{"type": "function"}], "tools[0].function"),
        ([{"function": {"name": 5}}], "tools[0].function.name"),
        ([{"function": {"name": "a", "description": 5}}], "tools[0].function.description"),
        ([{"function": {"name": "a", "parameters": []}}], "tools[0].function.parameters"),
    ],
)
def test_bad_tools(tools: Any, param: str) -> None:
    error = refused(chat, tools=tools)
    assert (error.code, error.param) == ("invalid_tools", param)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"prompt": 5}, "invalid_prompt", "prompt"),
        ({"prompt": ["a"]}, "invalid_prompt", "prompt"),
        ({"system": 5}, "invalid_system", "system"),
        ({"suffix": 5}, "invalid_suffix", "suffix"),
        ({"template": 5}, "invalid_template", "template"),
        ({"raw": "yes"}, "invalid_raw", "raw"),
        ({"context": "x"}, "invalid_context", "context"),
        ({"images": "x"}, "invalid_images", "images"),
        ({"images": ["!"]}, "invalid_images", "images[0]"),
        ({"prompt": "", "images": ["!"]}, "invalid_images", "images[0]"),
    ],
)
def test_bad_generate(fields: dict[str, Any], code: str, param: str) -> None:
    error = refused(generate, **fields)
    assert (error.code, error.param) == (code, param)


@pytest.mark.parametrize("dialect", [DIALECT, GENERATE])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_body"),
        (b"{", "invalid_json"),
        (b"[]", "not_an_object"),
        (b'{"model":"a","model":"b"}', "duplicate_key"),
        (b'{"model":"\xff"}', "invalid_encoding"),
        (b'{"messages":' + b"[" * 100_000, "invalid_json"),
    ],
)
def test_bad_bodies(dialect: Any, body: bytes, code: str) -> None:
    with pytest.raises(BadRequest) as caught:
        dialect.decode_request(body)
    assert caught.value.code == code


def test_a_refusal_does_not_repeat_the_request() -> None:
    assert "hunter2" not in refused(chat, messages=[{"role": "hunter2", "content": "hunter2"}]).message


CHAT_BODY = {
    "model": "smart@team:latest",
    "messages": [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "b", "images": [PNG]},
        {"role": "assistant", "content": "", "thinking": "c", "tool_calls": [call("f", {"x": 1}, id="i")]},
        {"role": "tool", "content": "d", "tool_name": "f", "tool_call_id": "i"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "description": "e", "parameters": {"type": "object"}}}],
    "stream": True,
    "format": {"type": "object"},
    "think": "low",
    "keep_alive": "5m",
    "options": {"temperature": 0.5, "num_predict": 5, "stop": ["x"], "seed": 1, "top_k": 1, "top_p": 1},
}
GENERATE_BODY = {
    "model": "smart",
    "prompt": "a",
    "system": "b",
    "suffix": "c",
    "images": [PNG],
    "raw": False,
    "context": [1],
    "options": {"presence_penalty": 1},
}
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def mutated(draw: st.DrawFn, body: Any) -> Any:
    """``body`` with one value somewhere replaced or left out."""
    if isinstance(body, dict) and body and draw(st.integers(0, 9)):
        name = draw(st.sampled_from(sorted(body)))
        if draw(st.integers(0, 9)) == 0:
            return {key: value for key, value in body.items() if key != name}
        return {**body, name: draw(mutated(body[name]))}
    if isinstance(body, list) and body and draw(st.integers(0, 9)):
        position = draw(st.integers(0, len(body) - 1))
        return [*body[:position], draw(mutated(body[position])), *body[position + 1 :]]
    return draw(JUNK)


@settings(max_examples=300, deadline=None)
@given(st.one_of(mutated(CHAT_BODY), mutated(GENERATE_BODY)))
def test_no_body_gets_anything_but_a_request_or_a_bad_request(body: Any) -> None:
    raw = json.dumps(body).encode()
    for dialect in (DIALECT, GENERATE):
        with suppress(BadRequest):
            request = dialect.decode_request(raw)
            WIRE.encode_request(request, Target("llama3"))
            request.dialect = "openai"
            WIRE.encode_request(request, Target("llama3"))
