"""Clients' Messages requests that are refused, and that no other error can come of one."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BadRequest
from gateway.wire.anthropic import DIALECT, WIRE
from gateway.wire.protocol import Target
from tests.wire.anthropic.requests import USER, body, decode


def in_user(block: Any) -> dict[str, Any]:
    return body(messages=[USER, {"role": "user", "content": [block]}])


def in_assistant(block: Any) -> dict[str, Any]:
    return body(messages=[USER, {"role": "assistant", "content": [block]}])


PLACE = "messages[1].content[0]"


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"max_tokens": 5, "messages": [USER]}, "missing_model", "model"),
        (body(model=None), "missing_model", "model"),
        (body(model=5), "missing_model", "model"),
        (body(model=""), "missing_model", "model"),
        ({"model": "smart", "messages": [USER]}, "invalid_max_tokens", "max_tokens"),
        (body(max_tokens=None), "invalid_max_tokens", "max_tokens"),
        (body(max_tokens=-1), "invalid_max_tokens", "max_tokens"),
        (body(max_tokens=True), "invalid_max_tokens", "max_tokens"),
        (body(max_tokens=1.5), "invalid_max_tokens", "max_tokens"),
        (body(max_tokens=10**30), "invalid_max_tokens", "max_tokens"),
        ({"model": "smart", "max_tokens": 5}, "invalid_messages", "messages"),
        (body(messages=[]), "invalid_messages", "messages"),
        (body(messages={}), "invalid_messages", "messages"),
        (body(messages=[USER] * 10_001), "invalid_messages", "messages"),
        (body(messages=["Hi"]), "invalid_messages", "messages[0]"),
        (body(messages=[{"role": "user", "content": ""}]), "invalid_messages", "messages"),
        (body(messages=[USER, {"role": "tool", "content": "x"}]), "invalid_messages", "messages[1].role"),
        (body(messages=[{"role": ["user"], "content": "x"}]), "invalid_messages", "messages[0].role"),
        (body(messages=[{"role": "user", "content": 5}]), "invalid_messages", "messages[0].content"),
        (body(messages=[{"role": "user", "content": None}]), "invalid_messages", "messages[0].content"),
        (in_user("x"), "invalid_messages", PLACE),
        (in_user({"text": "x"}), "invalid_messages", PLACE),
        (in_user({"type": ["text"]}), "invalid_messages", PLACE),
        (in_user({"type": "text", "text": None}), "invalid_messages", f"{PLACE}.text"),
        (in_user({"type": "image"}), "invalid_messages", f"{PLACE}.source"),
        (
            in_user({"type": "image", "source": {"type": "base64", "data": ""}}),
            "invalid_messages",
            f"{PLACE}.source.media_type",
        ),
        (in_user({"type": "image", "source": {"type": "url", "url": 5}}), "invalid_messages", f"{PLACE}.source.url"),
        (
            in_user({"type": "document", "source": {"type": "content", "content": 5}}),
            "invalid_messages",
            f"{PLACE}.source.content",
        ),
        (in_user({"type": "tool_result", "content": "x"}), "invalid_messages", f"{PLACE}.tool_use_id"),
        (in_user({"type": "tool_result", "tool_use_id": "a", "content": 5}), "invalid_messages", f"{PLACE}.content"),
        (
            in_user({"type": "tool_result", "tool_use_id": "a", "content": [5]}),
            "invalid_messages",
            f"{PLACE}.content[0]",
        ),
        (in_user({"type": "tool_result", "tool_use_id": "a", "is_error": 1}), "invalid_messages", f"{PLACE}.is_error"),
        (in_user({"type": "tool_use", "id": "a", "name": "f", "input": {}}), "invalid_messages", PLACE),
        (in_user({"type": "thinking", "thinking": "x"}), "invalid_messages", PLACE),
        (in_assistant({"type": "tool_result", "tool_use_id": "a"}), "invalid_messages", PLACE),
        (
            in_assistant({"type": "tool_use", "id": "a", "name": "f", "input": "{}"}),
            "invalid_messages",
            f"{PLACE}.input",
        ),
        (in_assistant({"type": "tool_use", "name": "f", "input": {}}), "invalid_messages", f"{PLACE}.id"),
        (in_assistant({"type": "thinking"}), "invalid_messages", f"{PLACE}.thinking"),
        (body(system=5), "invalid_system", "system"),
        (body(system=[{"type": "image"}]), "invalid_system", "system[0]"),
        (body(stream="yes"), "invalid_stream", "stream"),
        (body(stream=1), "invalid_stream", "stream"),
        (body(temperature=1.5), "invalid_temperature", "temperature"),
        (body(temperature="hot"), "invalid_temperature", "temperature"),
        (body(temperature=True), "invalid_temperature", "temperature"),
        (body(top_p=-0.1), "invalid_top_p", "top_p"),
        (body(top_k=-1), "invalid_top_k", "top_k"),
        (body(stop_sequences="END"), "invalid_stop_sequences", "stop_sequences"),
        (body(stop_sequences=[5]), "invalid_stop_sequences", "stop_sequences"),
        (body(metadata=[]), "invalid_metadata", "metadata"),
        (body(metadata={"user_id": 5}), "invalid_metadata", "metadata.user_id"),
        (body(tools={}), "invalid_tools", "tools"),
        (body(tools=["f"]), "invalid_tools", "tools[0]"),
        (body(tools=[{"type": 5}]), "invalid_tools", "tools[0].type"),
        (body(tools=[{"input_schema": {}}]), "invalid_tools", "tools[0].name"),
        (body(tools=[{"name": "f", "input_schema": "x"}]), "invalid_tools", "tools[0].input_schema"),
        (body(tools=[{"name": "f", "description": 5}]), "invalid_tools", "tools[0].description"),
        (body(tools=[{"name": "f", "strict": 5}]), "invalid_tools", "tools[0].strict"),
        (body(tool_choice="auto"), "invalid_tool_choice", "tool_choice"),
        (body(tool_choice={"type": "all"}), "invalid_tool_choice", "tool_choice"),
        (body(tool_choice={"type": "tool"}), "invalid_tool_choice", "tool_choice.name"),
        (
            body(tool_choice={"type": "auto", "disable_parallel_tool_use": 1}),
            "invalid_tool_choice",
            "tool_choice.disable_parallel_tool_use",
        ),
        (body(thinking=True), "invalid_thinking", "thinking"),
        (body(thinking={"type": "enabled"}), "invalid_thinking", "thinking.budget_tokens"),
        (body(thinking={"type": "enabled", "budget_tokens": 0}), "invalid_thinking", "thinking.budget_tokens"),
        (body(output_config="low"), "invalid_output_config", "output_config"),
        (body(output_config={"effort": 5}), "invalid_output_config", "output_config.effort"),
        (body(output_config={"format": {"type": "json"}}), "invalid_output_config", "output_config.format"),
        (body(output_format={"type": "json_schema"}), "invalid_output_format", "output_format"),
        (body(base_url="http://a.test"), "forbidden_field", "base_url"),
        ([], "not_an_object", None),
    ],
)
def test_refused(fields: Any, code: str, param: str | None) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(fields)
    assert (caught.value.code, caught.value.param, caught.value.status) == (code, param, 400)
    assert param is None or param.split("[")[0].split(".")[0] in caught.value.message


def test_an_error_never_repeats_the_request() -> None:
    with pytest.raises(BadRequest) as caught:
        decode(body(messages=[{"role": "s3cret", "content": "s3cret"}], model="s3cret"))
    assert "s3cret" not in caught.value.message


GOOD = body(
    system=[{"type": "text", "text": "s"}],
    messages=[
        {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://a.test"}}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"x": [1]}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "r"}]}],
        },
    ],
    tools=[{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
    tool_choice={"type": "tool", "name": "f"},
    thinking={"type": "enabled", "budget_tokens": 1024},
    output_config={"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    metadata={"user_id": "u"},
    stop_sequences=["x"],
    temperature=0.1,
    stream=False,
)

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "text", "source", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(places(GOOD)), JSON)
def test_one_value_changed_is_read_or_refused(path: tuple[Any, ...], value: Any) -> None:
    changed = json.loads(json.dumps(GOOD))
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with contextlib.suppress(BadRequest):
        # What is read can also be sent, to this wire and to others.
        request = decode(changed)
        WIRE.encode_request(request, Target("claude"))
        request.dialect = "openai"
        WIRE.encode_request(request, Target("claude"))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_broken_body_is_refused(data: st.DataObject) -> None:
    whole = json.dumps(GOOD).encode()
    place = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:place] + data.draw(st.binary(max_size=3)) + whole[place + data.draw(st.integers(0, 2)) :]
    with contextlib.suppress(BadRequest):
        DIALECT.decode_request(broken)
