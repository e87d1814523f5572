"""What some models refuse, though the client of a router cannot know which one it gets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.chat import Message, ResponseFormat, Text, ToolCall, ToolResult
from gateway.wire.protocol import Target
from tests.wire.openai.encoded import HI, MESSAGES, messages, same, translated


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ("o3-mini", False),
        ("gpt-5-mini", False),
        ("gpt-5", False),
        # These take sampling unless they reason; these never reason; of others nothing is known.
        ("gpt-5.2", True),
        ("gpt-5-chat-latest", True),
        ("gpt-4o", True),
        ("o100", True),
    ],
)
def test_a_router_s_client_cannot_know_which_model_refuses_sampling(model: str, kept: bool) -> None:
    sampling = '"temperature":0.2,"top_p":0.9,"presence_penalty":0,"frequency_penalty":0'
    sent = json.loads(same(f'{{"model":"smart",{MESSAGES},{sampling},"stop":["a"]}}', Target(model)))
    assert ("temperature" in sent, "frequency_penalty" in sent, "stop" in sent) == (kept, kept, True)


def test_a_provider_that_refuses_unknown_fields_gets_the_limit_by_its_old_name() -> None:
    strict = Target("m", stream_usage=False)
    extras = '"max_completion_tokens":5,"seed":1,"user":"ann","store":false,"service_tier":"auto"'
    assert json.loads(same(f'{{"model":"smart",{MESSAGES},{extras},"temperature":0.5}}', strict)) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 5,
        "temperature": 0.5,
    }


@pytest.mark.parametrize(
    ("model", "role"),
    [
        ("gpt-4o", "developer"),
        ("o3", "developer"),
        ("openai/gpt-5", "developer"),
        ("llama-3.3-70b", "developer"),
        ("my-own", "developer"),
        ("deepseek-chat", "system"),
        ("Qwen/Qwen3-32B", "system"),
        ("mistral-small-latest", "system"),
    ],
)
def test_developers_become_systems_where_they_are_refused(model: str, role: str) -> None:
    turns = '[{"role":"developer","content":"Be brief","x":1},{"role":"user","content":"\\"developer\\""}]'
    sent = json.loads(same(f'{{"model":"smart","messages":{turns}}}', Target(model)))
    assert sent["messages"] == [
        {"role": role, "content": "Be brief", "x": 1},
        {"role": "user", "content": '"developer"'},
    ]


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ("gpt-4o", False),
        ("openai/gpt-oss-120b", False),
        ("mistral-small-latest", False),
        ("gemini-2.5-flash", False),
        ("llama-3.3-70b-versatile", False),
        ("deepseek-chat", True),
        ("Qwen/Qwen3-32B", True),
    ],
)
def test_thinking_of_another_model_goes_only_where_it_is_no_error(model: str, kept: bool) -> None:
    call = {"id": "abcDEF123", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes", "reasoning_content": "hm"},
        {"role": "assistant", "content": None, "reasoning_content": "hm"},
        {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]},
    ]
    sent = json.loads(same(json.dumps({"model": "smart", "messages": turns}), Target(model)))["messages"]
    if kept:
        assert sent == turns
    else:
        assert sent == [
            turns[0],
            {"role": "assistant", "content": "Yes"},
            {"role": "assistant", "content": ""},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ]


@pytest.mark.parametrize(
    "model",
    [
        "mistral-large-latest",
        "mistralai/Ministral-8B",
        "codestral-2508",
        "open-mixtral-8x7b",
        "labs-devstral-small-2512",
    ],
)
def test_mistral_takes_short_ids_alone_and_no_user_right_after_a_tool(model: str) -> None:
    asked = [
        {"id": it, "type": "function", "function": {"name": "f", "arguments": "{}"}} for it in ("call_1", "abcDEF123")
    ]
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": asked, "x": 1},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        {"role": "tool", "tool_call_id": "abcDEF123", "content": "2"},
        {"role": "user", "content": "So?"},
    ]
    passed = json.loads(same(json.dumps({"model": "smart", "messages": turns}), Target(model)))["messages"]
    written = messages(
        *HI,
        Message("assistant", (ToolCall("call_1", "f", "{}"), ToolCall("abcDEF123", "f", "{}"))),
        Message("tool", (ToolResult("call_1", (Text("1"),)), ToolResult("abcDEF123", (Text("2"),)))),
        Message("user", (Text("So?"),)),
        model=model,
    )
    for sent in (passed, written):
        first, second = (call["id"] for call in sent[1]["tool_calls"])
        assert (len(first), first.isalnum(), second) == (9, True, "abcDEF123")
        assert [turn["tool_call_id"] for turn in sent[2:4]] == [first, second]
        assert sent[4:] == [{"role": "assistant", "content": "Done."}, {"role": "user", "content": "So?"}]
    assert passed[1]["x"] == 1


@pytest.mark.parametrize(
    ("turns", "first"),
    [
        (HI, {"role": "system", "content": "Answer with a JSON object."}),
        (
            (Message("system", (Text("Be brief"),)), *HI),
            {"role": "system", "content": "Be brief\n\nAnswer with a JSON object."},
        ),
        ((Message("user", (Text("As Json"),)),), {"role": "user", "content": "As Json"}),
    ],
)
def test_json_mode_wants_the_word_in_a_message(turns: tuple[Message, ...], first: dict[str, Any]) -> None:
    body = translated(messages=turns, response_format=ResponseFormat("json"))
    assert body["response_format"] == {"type": "json_object"}
    assert body["messages"][0] == first


@pytest.mark.parametrize(("model", "signed"), [("gemini-3-pro-preview", True), ("gemini-2.5-pro", False)])
def test_gemini_3_wants_a_signature_with_the_first_of_a_turn_s_calls(model: str, signed: bool) -> None:
    (turn,) = messages(Message("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))), model=model)
    result = {"role": "tool", "tool_call_id": "a", "content": ""}
    passed = json.loads(same(json.dumps({"model": "smart", "messages": [turn, result]}), Target(model)))
    assert passed["messages"] == [turn, result]
    mark = {"google": {"thought_signature": "skip_thought_signature_validator"}}
    assert [call.get("extra_content") for call in turn["tool_calls"]] == [mark if signed else None, None]


def test_gemini_s_own_signature_stays_and_a_missing_one_is_made_up_for() -> None:
    own, made_up = ({"google": {"thought_signature": it}} for it in ("s", "skip_thought_signature_validator"))
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turns: list[dict[str, Any]] = [
        {"role": "assistant", "content": None, "tool_calls": [{**call, "extra_content": own}, call]},
        {"role": "tool", "tool_call_id": "a", "content": ""},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": ""},
    ]
    body = json.dumps({"model": "smart", "messages": turns})
    sent = json.loads(same(body, Target("gemini-3-flash")))["messages"]
    assert [turn.get("tool_calls") for turn in sent[::2]] == [
        [{**call, "extra_content": own}, call],
        [{**call, "extra_content": made_up}],
    ]
