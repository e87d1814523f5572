"""Requests to a provider: a client's own passed on, and those that come from the hub."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.chat import (
    ChatRequest,
    Effort,
    Message,
    Reasoning,
    ResponseFormat,
    Tool,
    ToolChoice,
)
from gateway.wire.anthropic import DIALECT, WIRE
from gateway.wire.anthropic.models import thinking
from gateway.wire.anthropic.vocabulary import UNSIGNED
from gateway.wire.protocol import Target
from tests.wire.anthropic.requests import CALL, NEWER, OLDER, assistant, encode, result, system, user

# --- the same wire --------------------------------------------------------------------------------------------------


def forward(text: str, model: str = "claude-x") -> str:
    return WIRE.encode_request(DIALECT.decode_request(text.encode()), Target(model))[1].decode()


def test_a_clients_own_request_is_kept_to_the_byte_but_for_the_model() -> None:
    rest = (
        '"max_tokens":64,"messages":[{"role":"user", "content":[{"type":"text","text":"\\u00e9","cache_control":'
        '{"type":"ephemeral"}}]}],"tools":[{"type":"web_search_20250305","name":"web_search"}],"temperature":1.0,'
        '"mcp_servers":[ ],"stream":true,"unheard_of":1e2}'
    )
    assert forward('{"model":"smart",' + rest) == '{"model":"claude-x",' + rest


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ('"metadata":{"user_id":"u"}', '"metadata":{"user_id":"u"}'),
        ('"metadata":{"user_id":"u","team":"t"}', '"metadata":{"user_id":"u"}'),
        ('"metadata":{"team":"t"}', None),
        ('"metadata":{"user_id":null}', None),
        ('"guardrails":["g"]', None),
        ('"callbacks":["g"]', None),
        ('"success_callback":"s"', None),
        ('"failure_callback":"s"', None),
        ('"litellm_session_id":"s"', None),
    ],
)
def test_fields_for_gateways_are_not_for_providers(written: str, sent: str | None) -> None:
    start = '"max_tokens":64,"messages":[{"role":"user","content":"Hi"}]'
    after = "" if sent is None else f",{sent}"
    assert forward('{"model":"smart",' + start + "," + written + "}") == '{"model":"claude-x",' + start + after + "}"


def test_thoughts_of_other_wires_models_do_not_reach_anthropic() -> None:
    unsigned = {"type": "thinking", "thinking": "hm", "signature": UNSIGNED}
    signed = {"type": "thinking", "thinking": "hm", "signature": "Eo="}
    text = {"type": "text", "text": "Yes."}
    messages = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": [unsigned, text]},
        {"role": "user", "content": "Two?"},
        {"role": "assistant", "content": [unsigned]},
        {"role": "assistant", "content": [signed, text]},
        {"role": "user", "content": "Three?"},
    ]
    sent = json.loads(forward(json.dumps({"model": "smart", "max_tokens": 64, "messages": messages})))
    assert sent["messages"] == [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": [text]},
        {"role": "user", "content": "Two?"},
        {"role": "assistant", "content": [signed, text]},
        {"role": "user", "content": "Three?"},
    ]


SIGNED_BLOCK: dict[str, Any] = {"type": "thinking", "thinking": "hm", "signature": "Eo="}
FOREIGN_BLOCK: dict[str, Any] = {**SIGNED_BLOCK, "signature": UNSIGNED}
USE: dict[str, Any] = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
RESULT: list[dict[str, Any]] = [{"type": "tool_result", "tool_use_id": "a"}, {"type": "text", "text": "So?"}]


@pytest.mark.parametrize(
    ("said", "heard", "thinks"),
    [
        ([SIGNED_BLOCK, USE], RESULT, True),
        ([{"type": "redacted_thinking", "data": "Ev="}, USE], RESULT, True),
        ([FOREIGN_BLOCK, SIGNED_BLOCK, USE], RESULT, True),
        ([FOREIGN_BLOCK, USE], RESULT, False),
        ([USE], RESULT, False),
        # The loop is over.
        ([{"type": "text", "text": "Yes."}], [{"type": "text", "text": "So?"}], True),
    ],
)
def test_no_budget_for_thoughts_in_a_tool_loop_that_another_model_began(said: Any, heard: Any, thinks: bool) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": said}]
    body = {"model": "smart", "max_tokens": 2048, "messages": [*messages, {"role": "user", "content": heard}]}
    for wanted, kept in (({"type": "enabled", "budget_tokens": 1024}, thinks), ({"type": "adaptive"}, True)):
        sent = json.loads(forward(json.dumps({**body, "thinking": wanted})))
        assert (sent.get("thinking") == wanted) is kept


# --- fields ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "most", "sent"),
    [
        (None, None, 4096),
        (None, 2048, 2048),
        (None, 128_000, 16_384),
        (100, None, 100),
        (100, 64_000, 100),
        (200_000, 64_000, 64_000),
    ],
)
def test_max_tokens(wanted: int | None, most: int | None, sent: int) -> None:
    assert encode(max_tokens=wanted, target=Target("claude-sonnet-4-5", max_output=most))["max_tokens"] == sent


@pytest.mark.parametrize(
    ("model", "fields", "sent"),
    [
        (OLDER, {"temperature": 0.3}, {"temperature": 0.3}),
        (OLDER, {"temperature": 1.7}, {"temperature": 1.0}),
        (OLDER, {"temperature": 0.3, "top_p": 0.9}, {"temperature": 0.3}),
        (OLDER, {"top_p": 0.9, "top_k": 5}, {"top_p": 0.9, "top_k": 5}),
        (NEWER, {"temperature": 0.3, "top_p": 0.9, "top_k": 5}, {}),
        (OLDER, {"stop": ("END", "\n", "")}, {"stop_sequences": ["END"]}),
        (OLDER, {"stop": ("\n",)}, {}),
        (OLDER, {"user": "u"}, {"metadata": {"user_id": "u"}}),
        (OLDER, {"stream": True}, {"stream": True}),
        (OLDER, {"seed": 1, "presence_penalty": 0.5, "frequency_penalty": 0.5}, {}),
        (OLDER, {"effort": Effort(enabled=False)}, {}),
        (OLDER, {"tool_choice": ToolChoice("required")}, {}),
    ],
)
def test_fields(model: Target, fields: dict[str, Any], sent: dict[str, Any]) -> None:
    plain = encode(target=model)
    assert encode(target=model, **fields) == {**plain, **sent}


@pytest.mark.parametrize("schema", [None, {"type": "object"}])
def test_a_json_answer_is_asked_for_in_the_system_prompt(schema: dict[str, Any] | None) -> None:
    wanted = ResponseFormat("json" if schema is None else "json_schema", schema)
    text = encode(system("Be brief."), user("Hi"), response_format=wanted)["system"]
    assert text.startswith("Be brief.\n\nAnswer with a single JSON object")
    assert text.endswith('{"type":"object"}') == (schema is not None)


TOOLS = (
    Tool("f", "does f", {"type": "object", "properties": {"x": {}}}),
    Tool("g"),
    Tool("h", parameters={"properties": {}}),
)


def test_tools() -> None:
    assert encode(tools=TOOLS)["tools"] == [
        {"name": "f", "description": "does f", "input_schema": {"type": "object", "properties": {"x": {}}}},
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
        {"name": "h", "input_schema": {"type": "object", "properties": {}}},
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("required"), None, {"type": "any"}),
        (ToolChoice("named", "g"), False, {"type": "tool", "name": "g", "disable_parallel_tool_use": True}),
    ],
)
def test_tool_choice(choice: ToolChoice | None, parallel: bool | None, sent: dict[str, Any] | None) -> None:
    assert encode(tools=TOOLS, tool_choice=choice, parallel_tool_calls=parallel).get("tool_choice") == sent


def test_calls_in_the_conversation_are_of_declared_tools() -> None:
    body = encode(user("Hi"), assistant(CALL), result("call_1"))
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}


# --- thinking -------------------------------------------------------------------------------------------------------


def test_how_models_think() -> None:
    names = {
        "claude-3-opus-20240229": "never",
        "claude-3-5-haiku-20241022": "never",
        "claude-3-7-sonnet-20250219": "budget",
        "claude-sonnet-4-20250514": "budget",
        "claude-opus-4-1-20250805": "budget",
        "claude-haiku-4-5-20251001": "budget",
        "claude-opus-4-6": "budget",
        "claude-opus-4-7": "effort",
        "claude-opus-4.8": "effort",
        "claude-sonnet-5": "effort",
        "anthropic/Claude-Sonnet-5-5": "effort",
        "claude-next": "budget",
        "deepseek-chat": "budget",
    }
    assert {name: thinking(name) for name in names} == names


@pytest.mark.parametrize(
    ("effort", "wanted", "most", "budget", "sent"),
    [
        (Effort("low"), 4000, None, 1024, 4000),
        (Effort("medium"), None, None, 4096, 8192),
        (Effort(), None, None, 4096, 8192),
        (Effort("max"), 1000, None, 32_768, 33_768),
        (Effort("high"), 1000, None, 16_384, 17_384),
        (Effort(budget=2000), 8000, None, 2000, 8000),
        (Effort(budget=10), 8000, None, 1024, 8000),
        (Effort("high"), 8192, 8192, 4096, 8192),
    ],
)
def test_a_thinking_budget_fits_below_max_tokens(
    effort: Effort, wanted: int | None, most: int | None, budget: int, sent: int
) -> None:
    target = Target("claude-sonnet-4-5", max_output=most)
    body = encode(effort=effort, max_tokens=wanted, temperature=0.2, top_k=3, target=target)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert body["max_tokens"] == sent
    assert body.keys().isdisjoint({"temperature", "top_p", "top_k", "output_config"})


@pytest.mark.parametrize(
    ("effort", "level"),
    [
        (Effort("low"), "low"),
        (Effort("high"), "high"),
        (Effort("xhigh"), "high"),
        (Effort(budget=512), "low"),
        (Effort(budget=3000), "medium"),
        (Effort(budget=9000), "high"),
    ],
)
def test_newer_models_take_an_effort(effort: Effort, level: str) -> None:
    body = encode(effort=effort, target=NEWER)
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": level}
    assert body["max_tokens"] == 4096


SIGNED = Reasoning("hm", "Eo=")


@pytest.mark.parametrize(
    ("messages", "fields", "thinks"),
    [
        ([user("Hi")], {}, True),
        ([user("Hi"), assistant(CALL), result("call_1")], {"tools": TOOLS}, False),
        ([user("Hi"), assistant(SIGNED, CALL), result("call_1")], {"tools": TOOLS}, True),
        ([user("Hi"), assistant(CALL), result("call_1"), assistant("Done"), user("And?")], {"tools": TOOLS}, True),
        ([user("Hi"), assistant("So")], {}, False),
        ([user("Hi")], {"tools": TOOLS, "tool_choice": ToolChoice("required")}, False),
        ([user("Hi")], {"tools": TOOLS, "tool_choice": ToolChoice("named", "f")}, False),
        ([user("Hi")], {"target": Target("claude-sonnet-4-5", max_output=1000)}, False),
        ([user("Hi")], {"target": Target("claude-3-haiku-20240307")}, False),
        ([user("Hi")], {"effort": Effort("minimal")}, False),
    ],
)
def test_when_a_model_may_think(messages: list[Message], fields: dict[str, Any], thinks: bool) -> None:
    assert ("thinking" in encode(*messages, **{"effort": Effort("low"), **fields})) is thinks


def test_raw_values_need_not_be_known() -> None:
    request = ChatRequest("openai", "smart", (user("Hi"),), {"new": msgspec.Raw(b"1")})
    assert b"new" not in WIRE.encode_request(request, OLDER)[1]
