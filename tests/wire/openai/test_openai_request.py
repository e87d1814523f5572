"""A client's body to the hub, and every way in which a body can be wrong."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat import ChatRequest, Effort, Message, ResponseFormat, Text, Tool, ToolChoice
from gateway.errors import BadRequest
from gateway.wire.openai import DIALECT, WIRE
from gateway.wire.protocol import Target

HI = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def decode(**fields: Any) -> ChatRequest:
    return DIALECT.decode_request(json.dumps({"model": "smart", "messages": [HI], **fields}).encode())


def refusal(**fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        decode(**fields)
    return caught.value


def test_the_least_request() -> None:
    request = DIALECT.decode_request(b'{ "model" : "smart", "messages":[{"role":"user","content":"Hi"}] }')
    assert (request.dialect, request.model) == ("openai", "smart")
    assert request.messages == (Message("user", (Text("Hi"),)),)
    assert {name: bytes(raw) for name, raw in request.fields.items()} == {
        "model": b'"smart"',
        "messages": b'[{"role":"user","content":"Hi"}]',
    }
    assert not request.stream
    assert not request.include_usage


@pytest.mark.parametrize("model", [None, "", 5, ["smart"]])
def test_no_model(model: object) -> None:
    error = refusal(model=model)
    assert (error.code, error.param) == ("missing_model", "model")


def schema(**fields: object) -> dict[str, object]:
    return {"type": "json_schema", "json_schema": fields}


TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}}


@pytest.mark.parametrize(
    ("fields", "attribute", "expected"),
    [
        ({"stream": True}, "stream", True),
        ({"stream_options": {"include_usage": True}}, "include_usage", True),
        ({"stream_options": {"include_usage": False}}, "include_usage", False),
        ({"stream_options": {}}, "include_usage", False),
        ({"max_tokens": 5}, "max_tokens", 5),
        ({"max_completion_tokens": 5}, "max_tokens", 5),
        ({"max_tokens": 9, "max_completion_tokens": 5}, "max_tokens", 5),
        ({"max_completion_tokens": 5, "max_tokens": 9}, "max_tokens", 5),
        ({"temperature": 0}, "temperature", 0.0),
        ({"temperature": 2}, "temperature", 2.0),
        ({"top_p": 0.1}, "top_p", 0.1),
        ({"top_k": 5}, "top_k", 5),
        ({"top_k": -1}, "top_k", None),
        ({"stop": "END"}, "stop", ("END",)),
        ({"stop": ["a", "b"]}, "stop", ("a", "b")),
        ({"stop": ["", "b"]}, "stop", ("b",)),
        ({"seed": -7}, "seed", -7),
        ({"presence_penalty": -2}, "presence_penalty", -2.0),
        ({"frequency_penalty": 0.5}, "frequency_penalty", 0.5),
        ({"user": "ann"}, "user", "ann"),
        ({"n": 2}, "n", 2),
        ({"parallel_tool_calls": False}, "parallel_tool_calls", False),
        ({"reasoning_effort": "high"}, "effort", Effort("high")),
        ({"reasoning_effort": "none"}, "effort", Effort("none", enabled=False)),
        ({"reasoning_effort": "default"}, "effort", None),
        ({"reasoning": {"effort": "low"}}, "effort", Effort("low")),
        ({"reasoning": {"max_tokens": 2000}}, "effort", Effort(budget=2000)),
        ({"reasoning": {"enabled": False}}, "effort", Effort(enabled=False)),
        ({"reasoning": {"exclude": True}}, "effort", None),
        ({"reasoning": {"effort": ["low"]}}, "effort", None),
        ({"reasoning_effort": "high", "reasoning": {"effort": "low"}}, "effort", Effort("high")),
        ({"response_format": {"type": "text"}}, "response_format", None),
        ({"response_format": {"type": "json_object"}}, "response_format", ResponseFormat("json")),
        (
            {"response_format": schema(name="a", schema=SCHEMA, strict=True)},
            "response_format",
            ResponseFormat("json_schema", SCHEMA, "a", True),
        ),
        ({"response_format": schema()}, "response_format", ResponseFormat("json_schema")),
        ({"response_format": {"type": "grammar", "value": "x"}}, "response_format", None),
        ({"tools": [TOOL]}, "tools", (Tool("f", "d", SCHEMA, True),)),
        ({"tools": [{"function": {"name": "f"}}]}, "tools", (Tool("f"),)),
        ({"tools": []}, "tools", ()),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}, {"type": "openrouter:web_search"}]}, "tools", ()),
        ({"functions": [{"name": "f", "parameters": SCHEMA}]}, "tools", (Tool("f", None, SCHEMA),)),
        ({"tools": [TOOL], "functions": [{"name": "g"}]}, "tools", (Tool("f", "d", SCHEMA, True),)),
        ({"tool_choice": "auto"}, "tool_choice", ToolChoice("auto")),
        ({"tool_choice": "none"}, "tool_choice", ToolChoice("none")),
        ({"tool_choice": "required"}, "tool_choice", ToolChoice("required")),
        ({"tool_choice": "any"}, "tool_choice", ToolChoice("required")),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice", ToolChoice("named", "f")),
        ({"tool_choice": {"type": "custom", "custom": {"name": "f"}}}, "tool_choice", ToolChoice("named", "f")),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}},
            "tool_choice",
            ToolChoice("required"),
        ),
        ({"function_call": "none"}, "tool_choice", ToolChoice("none")),
        ({"function_call": {"name": "f"}}, "tool_choice", ToolChoice("named", "f")),
        ({"logprobs": True, "top_logprobs": 5, "logit_bias": {"1": 2}, "anything": [1]}, "n", 1),
    ],
)
def test_fields(fields: dict[str, Any], attribute: str, expected: object) -> None:
    request = decode(**fields)
    assert getattr(request, attribute) == expected
    assert set(request.fields) == {"model", "messages", *fields}


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"stream": "yes"}, "invalid_stream", "stream"),
        ({"stream": 1}, "invalid_stream", "stream"),
        ({"stream_options": "x"}, "invalid_stream_options", "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "invalid_stream_options", "stream_options"),
        ({"n": 0}, "invalid_n", "n"),
        ({"n": 1000}, "invalid_n", "n"),
        ({"n": True}, "invalid_n", "n"),
        ({"max_tokens": -1}, "invalid_max_tokens", "max_tokens"),
        ({"max_tokens": 0}, "invalid_max_tokens", "max_tokens"),
        ({"max_tokens": 1.5}, "invalid_max_tokens", "max_tokens"),
        ({"max_tokens": "9"}, "invalid_max_tokens", "max_tokens"),
        ({"max_completion_tokens": 10**30}, "invalid_max_completion_tokens", "max_completion_tokens"),
        ({"temperature": 1e9}, "invalid_temperature", "temperature"),
        ({"temperature": "0"}, "invalid_temperature", "temperature"),
        ({"temperature": True}, "invalid_temperature", "temperature"),
        ({"top_p": -0.1}, "invalid_top_p", "top_p"),
        ({"top_p": 1.1}, "invalid_top_p", "top_p"),
        ({"top_k": -2}, "invalid_top_k", "top_k"),
        ({"presence_penalty": 3}, "invalid_presence_penalty", "presence_penalty"),
        ({"frequency_penalty": [1]}, "invalid_frequency_penalty", "frequency_penalty"),
        ({"seed": 1 << 63}, "invalid_seed", "seed"),
        ({"stop": 5}, "invalid_stop", "stop"),
        ({"stop": ["a", None]}, "invalid_stop", "stop"),
        ({"user": 5}, "invalid_user", "user"),
        ({"logprobs": 5}, "invalid_logprobs", "logprobs"),
        ({"top_logprobs": 21}, "invalid_top_logprobs", "top_logprobs"),
        ({"parallel_tool_calls": "no"}, "invalid_parallel_tool_calls", "parallel_tool_calls"),
        ({"reasoning_effort": 5}, "invalid_reasoning_effort", "reasoning_effort"),
        ({"response_format": "json"}, "invalid_response_format", "response_format"),
        ({"response_format": {}}, "invalid_response_format", "response_format"),
        ({"response_format": {"type": "json_schema"}}, "invalid_response_format", "response_format.json_schema"),
        (
            {"response_format": schema(schema="x")},
            "invalid_response_format",
            "response_format.json_schema.schema",
        ),
        ({"tools": {}}, "invalid_tools", "tools"),
        ({"tools": ["f"]}, "invalid_tools", "tools[0]"),
        ({"tools": [TOOL, {"type": "function"}]}, "invalid_tools", "tools[1].function"),
        ({"tools": [{"function": {"name": ""}}]}, "invalid_tools", "tools[0].function.name"),
        ({"tools": [{"function": {"name": "f", "description": 5}}]}, "invalid_tools", "tools[0].function.description"),
        ({"tools": [{"function": {"name": "f", "parameters": []}}]}, "invalid_tools", "tools[0].function.parameters"),
        ({"tools": [{"function": {"name": "f", "strict": "x"}}]}, "invalid_tools", "tools[0].function.strict"),
        ({"functions": "f"}, "invalid_functions", "functions"),
        ({"functions": [{"name": 5}]}, "invalid_functions", "functions[0].name"),
        ({"tool_choice": "f"}, "invalid_tool_choice", "tool_choice"),
        ({"tool_choice": 5}, "invalid_tool_choice", "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "invalid_tool_choice", "tool_choice.function.name"),
        ({"function_call": "f"}, "invalid_function_call", "function_call"),
        ({"function_call": {"name": 5}}, "invalid_function_call", "function_call"),
    ],
)
def test_wrong_fields(fields: dict[str, Any], code: str, param: str) -> None:
    error = refusal(**fields)
    assert (error.code, error.param) == (code, param)


def test_null_is_the_same_as_nothing() -> None:
    names: tuple[str, ...] = (
        "stream",
        "stream_options",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "top_k",
    )
    names += ("presence_penalty", "frequency_penalty", "seed", "stop", "user", "logprobs", "top_logprobs", "tools")
    names += ("tool_choice", "functions", "function_call", "parallel_tool_calls", "reasoning_effort", "reasoning")
    request, plain = decode(**dict.fromkeys((*names, "response_format"))), decode()
    request.fields = plain.fields
    assert request == plain


# --- what only this wire can say --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"modalities": ["text", "audio"], "audio": {"voice": "alloy"}}, "modalities"),
        (
            {"tools": [{"type": "custom", "custom": {"name": "x"}}], "tool_choice": {"custom": {"name": "x"}}},
            "tool_choice",
        ),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}], "tool_choice": "required"}, "tool_choice"),
    ],
)
def test_what_cannot_be_translated_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        DIALECT.check_translatable(decode(**fields))
    assert (caught.value.code, caught.value.param) == ("unsupported", param)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 1, "modalities": ["text"], "logprobs": True, "seed": 1},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"tools": [{"type": "openrouter:web_search"}], "tool_choice": "auto"},
    ],
)
def test_what_can_be_translated_or_left_out(fields: dict[str, Any]) -> None:
    DIALECT.check_translatable(decode(**fields))


@pytest.mark.parametrize(
    "listed",
    [
        [{"type": "function", "function": {"name": "g"}}, {"type": "mcp"}, "x"],
        [{"type": "function", "name": "g"}],
    ],
)
def test_only_allowed_tools_are_offered_on_another_wire(listed: list[object]) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in "fgh"]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": listed}}
    for body in ({"tools": tools, "tool_choice": choice}, {"tool_choice": choice, "tools": tools}):
        request = decode(**body)
        assert (request.tools, request.tool_choice) == ((Tool("g"),), ToolChoice("required"))


# --- anything ---------------------------------------------------------------------------------------------------------

CALLED = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FULL: dict[str, Any] = {
    "model": "smart",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "s"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "t"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aa", "detail": "low"}},
                {"type": "file", "file": {"file_id": "f", "filename": "a.pdf"}},
                {"type": "input_audio", "input_audio": {"data": "a", "format": "wav"}},
            ],
        },
        {"role": "assistant", "reasoning_details": [{"text": "t", "format": "anthropic"}], "tool_calls": [CALLED]},
        {"role": "tool", "tool_call_id": "a", "content": "5"},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "5"},
    ],
    "stream": True,
    "stream_options": {"include_usage": True},
    "tools": [TOOL],
    "functions": [{"name": "f", "parameters": SCHEMA}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "function_call": {"name": "f"},
    "response_format": schema(name="a", schema=SCHEMA),
    "reasoning": {"effort": "low", "max_tokens": 5, "enabled": True},
    "stop": ["a"],
    "temperature": 0.5,
    "max_tokens": 5,
}
_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        10**30,
        0.5,
        "",
        "x",
        "data:,",
        "\ud7ff\x00",
        [],
        [None],
        [[]],
        {},
        {"type": "text"},
        {"name": 5},
    ]
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in ``value`` with every key in it."""
    found: list[tuple[Any, Any]] = []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found.append((value, key))
        found.extend(_places(item))
    return found


@given(st.data())
def test_a_mutated_request_is_served_or_refused_and_nothing_else(data: st.DataObject) -> None:
    body = copy.deepcopy(FULL)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(_places(body)))
        if data.draw(st.booleans()):
            container[key] = copy.deepcopy(data.draw(_ODD))
        else:
            del container[key]
        if not body:
            break
    with contextlib.suppress(BadRequest):
        request = DIALECT.decode_request(json.dumps(body).encode())
        for dialect, model in itertools.product(("openai", "anthropic"), ("m", "o3", "mistral-small", "gemini-3-pro")):
            request.dialect = dialect
            path, encoded = WIRE.encode_request(request, Target(model, stream_usage=model != "mistral-small"))
            assert path == "/chat/completions"
            assert json.loads(encoded)["model"] == model
