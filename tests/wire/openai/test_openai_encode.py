"""What a provider of this wire gets: the client's own fields, or the hub's in its words."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.chat import (
    Audio,
    Document,
    Effort,
    Image,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.errors import BadRequest
from gateway.wire.protocol import Target
from tests.wire.openai.encoded import MESSAGES, NOTHING, messages, same, translated

# --- the same wire ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f'{{"model":"smart",{MESSAGES}}}', f'{{"model":"gpt-4o",{MESSAGES}}}'),
        # Order, white space inside of values, escapes, exponents and unknown fields stay.
        (
            f'{{ "n": 2, {MESSAGES}, "model": "smart", "temperature": 1.50e-1, "x": [ "\\u00e9", {{"y" : 1E2}} ] }}',
            f'{{"n":2,{MESSAGES},"model":"gpt-4o","temperature":1.50e-1,"x":[ "\\u00e9", {{"y" : 1E2}} ]}}',
        ),
        (f'{{"é\\"":null,"model":"smart",{MESSAGES}}}', f'{{"é\\"":null,"model":"gpt-4o",{MESSAGES}}}'),
        # What other gateways read does not reach the provider.
        (
            f'{{"metadata":{{"a":"b"}},"model":"smart","guardrails":["x"],"callbacks":[],"success_callback":[],'
            f'"failure_callback":[],"litellm_session_id":"1",{MESSAGES}}}',
            f'{{"model":"gpt-4o",{MESSAGES}}}',
        ),
        # Usage is asked for in streams alone.
        (f'{{"model":"smart",{MESSAGES},"stream":false}}', f'{{"model":"gpt-4o",{MESSAGES},"stream":false}}'),
        (
            f'{{"model":"smart","stream":true,{MESSAGES}}}',
            f'{{"model":"gpt-4o","stream":true,{MESSAGES},"stream_options":{{"include_usage":true}}}}',
        ),
        (
            f'{{"model":"smart","stream":true,"stream_options":null,{MESSAGES}}}',
            f'{{"model":"gpt-4o","stream":true,"stream_options":{{"include_usage":true}},{MESSAGES}}}',
        ),
        (
            f'{{"model":"smart","stream":true,"stream_options":{{ "include_usage" : true }},{MESSAGES}}}',
            f'{{"model":"gpt-4o","stream":true,"stream_options":{{ "include_usage" : true }},{MESSAGES}}}',
        ),
        (
            f'{{"model":"smart","stream":true,"stream_options":{{"include_obfuscation":false}},{MESSAGES}}}',
            f'{{"model":"gpt-4o","stream":true,'
            f'"stream_options":{{"include_obfuscation":false,"include_usage":true}},{MESSAGES}}}',
        ),
    ],
)
def test_a_request_of_this_wire_is_passed_on(body: str, expected: str) -> None:
    assert same(body) == expected


@pytest.mark.parametrize("options", ["", '"stream_options":{"include_usage":true},', '"stream_options":{},'])
def test_a_provider_that_knows_no_stream_options_gets_none(options: str) -> None:
    body = f'{{"model":"smart","stream":true,{options}{MESSAGES}}}'
    assert same(body, Target("m", stream_usage=False)) == f'{{"model":"m","stream":true,{MESSAGES}}}'


@pytest.mark.parametrize("model", ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5-nano", "gpt-5.4-2026-03-05"])
def test_openais_reasoning_models_know_only_the_new_limit(model: str) -> None:
    assert same(f'{{"max_tokens":5,"model":"x",{MESSAGES}}}', Target(model)) == (
        f'{{"model":"{model}",{MESSAGES},"max_completion_tokens":5}}'
    )
    assert same(f'{{"max_tokens":5,"model":"x",{MESSAGES},"max_completion_tokens":7}}', Target(model)) == (
        f'{{"model":"{model}",{MESSAGES},"max_completion_tokens":7}}'
    )
    assert translated(Target(model), max_tokens=5) == {
        "model": model,
        "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": 5,
    }


@pytest.mark.parametrize("model", ["gpt-4o", "openai/gpt-5", "llama-3.3-70b", "gemini-2.5-flash"])
def test_others_get_the_limit_as_it_came(model: str) -> None:
    assert '"max_tokens":5' in same(f'{{"max_tokens":5,"model":"x",{MESSAGES}}}', Target(model))
    assert '"max_completion_tokens":5' in same(f'{{"max_completion_tokens":5,"model":"x",{MESSAGES}}}', Target(model))
    assert translated(Target(model), max_tokens=5)["max_tokens"] == 5


# --- from the hub -----------------------------------------------------------------------------------------------------


def test_the_least_request() -> None:
    assert translated() == {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        ({"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}),
        ({"presence_penalty": 1.0, "frequency_penalty": -1.0}, {"presence_penalty": 1.0, "frequency_penalty": -1.0}),
        ({"stop": ("a", "b")}, {"stop": ["a", "b"]}),
        ({"seed": 0, "user": "ann"}, {"seed": 0, "user": "ann"}),
        # Longer than OpenAI takes, and no use to others.
        ({"user": "x" * 65, "top_k": 5, "tags": ("a",)}, {}),
        (
            {"response_format": ResponseFormat("json_schema", {"type": "object"}, strict=True)},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
                }
            },
        ),
        (
            {"tools": (Tool("f", "d", {"type": "object"}), Tool("g")), "tool_choice": ToolChoice("required")},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "f", "description": "d", "parameters": NOTHING},
                    },
                    {"type": "function", "function": {"name": "g", "parameters": NOTHING}},
                ],
                "tool_choice": "required",
            },
        ),
        # Without tools nothing can be said of them.
        ({"tool_choice": ToolChoice("none"), "parallel_tool_calls": True}, {}),
        # A model that is not known to think is not told how much.
        ({"effort": Effort("high")}, {}),
    ],
)
def test_fields(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert translated(**fields) == {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], **expected}


CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "properties": {"a": {"type": "array", "items": [CLOSED]}}}, True),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "required": None}, False),
        ({**CLOSED, "additionalProperties": True}, False),
        ({**CLOSED, "properties": {"a": {"anyOf": [{"type": "null"}, {"type": "object"}]}}}, False),
        ({**CLOSED, "required": [{}]}, False),
        ({**CLOSED, "properties": 5}, False),
        (None, False),
    ],
)
def test_a_tool_is_strict_only_where_openai_takes_it_so(schema: dict[str, Any] | None, strict: bool) -> None:
    (tool,) = translated(tools=(Tool("f", None, schema, True),))["tools"]
    assert tool["function"].get("strict", False) is strict


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("none"), "none"),
        (ToolChoice("named", "f"), {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_tool_choice(choice: ToolChoice, expected: object) -> None:
    body = translated(tools=(Tool("f"),), tool_choice=choice, parallel_tool_calls=False)
    assert body["tool_choice"] == expected
    assert body["parallel_tool_calls"] is False


def test_a_provider_that_refuses_unknown_fields_gets_the_fewest() -> None:
    body = translated(Target("m", stream_usage=False), stream=True, seed=1, user="ann")
    assert body == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}


@pytest.mark.parametrize(("limit", "most", "expected"), [(9, 5, 5), (5, 9, 5), (9, None, 9)])
def test_a_limit_over_the_models_own_is_lowered(limit: int, most: int | None, expected: int) -> None:
    assert translated(Target("m", max_output=most), max_tokens=limit)["max_tokens"] == expected


def test_openais_reasoning_models_take_no_sampling() -> None:
    body = translated(
        Target("gpt-5-mini"), temperature=0.0, top_p=1.0, presence_penalty=0.0, frequency_penalty=0.0, stop=("a",)
    )
    assert set(body) == {"model", "messages", "stop"}


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("gpt-5", Effort("high"), "high"),
        ("gpt-5", Effort("xhigh"), "high"),
        ("gpt-5", Effort("minimal"), "low"),
        ("gpt-5", Effort(enabled=False), "minimal"),
        ("gpt-5.2", Effort(enabled=False), "none"),
        ("gpt-5-codex", Effort(enabled=False), "low"),
        ("gpt-5-chat-latest", Effort("high"), None),
        ("o3", Effort(enabled=False), "low"),
        ("o3", Effort(budget=1024), "low"),
        ("o3", Effort(budget=8192), "medium"),
        ("o3", Effort(budget=24576), "high"),
        ("o3", Effort(), None),
        ("o3", None, None),
        ("gemini-2.5-flash", Effort(enabled=False), "none"),
        ("gemini-2.5-pro", Effort(enabled=False), "low"),
        ("gemini-2.0-flash", Effort(enabled=False), None),
        ("openai/gpt-oss-120b", Effort("medium"), "medium"),
        ("deepseek-chat", Effort("medium"), None),
    ],
)
def test_effort(model: str, effort: Effort | None, expected: str | None) -> None:
    assert translated(Target(model), effort=effort).get("reasoning_effort") == expected


def test_more_answers_than_one_cannot_be_translated() -> None:
    with pytest.raises(BadRequest) as caught:
        translated(n=2)
    assert (caught.value.code, caught.value.param) == ("unsupported", "n")


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (Message("system", (Text("a"), Text("b"))), {"role": "system", "content": "a\nb"}),
        (Message("user", (Text("a"), Text("b"))), {"role": "user", "content": "a\nb"}),
        (Message("user", ()), {"role": "user", "content": ""}),
        (Message("assistant", (Text("a"),)), {"role": "assistant", "content": "a"}),
        (Message("assistant", ()), {"role": "assistant", "content": ""}),
        (Message("assistant", (Reasoning("hm", "s"), Text("a"))), {"role": "assistant", "content": "a"}),
        (
            Message("assistant", (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", ""))),
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                    {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                ],
            },
        ),
    ],
)
def test_messages(turn: Message, expected: dict[str, Any]) -> None:
    assert messages(turn) == [expected]


@pytest.mark.parametrize("model", ["deepseek-chat", "deepseek-ai/DeepSeek-V3.2", "moonshotai/Kimi-K2", "glm-4.6"])
def test_models_that_want_their_thinking_back_get_it(model: str) -> None:
    turn = Message("assistant", (Reasoning("hm"), ToolCall("a", "f", "{}")))
    assert messages(turn, model=model)[0]["reasoning_content"] == "hm"


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Image("image/png", "aa"), {"type": "image_url", "image_url": {"url": "data:image/png;base64,aa"}}),
        (Image(url="https://x"), {"type": "image_url", "image_url": {"url": "https://x"}}),
        (Image(url="u", detail="low"), {"type": "image_url", "image_url": {"url": "u", "detail": "low"}}),
        (Audio("aa", "wav"), {"type": "input_audio", "input_audio": {"data": "aa", "format": "wav"}}),
        (
            Document("application/pdf", "aa"),
            {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,aa"}},
        ),
        (
            Document("application/pdf", "aa", name="a.pdf"),
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aa"}},
        ),
        (Document("text/plain", text="words"), {"type": "text", "text": "words"}),
        (Document(text="words", name="a.txt"), {"type": "text", "text": "a.txt:\nwords"}),
    ],
)
def test_parts(part: Part, expected: dict[str, Any]) -> None:
    assert messages(Message("user", (Text("See"), part))) == [
        {"role": "user", "content": [{"type": "text", "text": "See"}, expected]}
    ]


@pytest.mark.parametrize("part", [Document(url="https://x"), Document(file_id="file_1")])
def test_a_document_that_is_elsewhere_cannot_be_translated(part: Part) -> None:
    with pytest.raises(BadRequest, match="document") as caught:
        messages(Message("user", (part,)))
    assert caught.value.code == "unsupported"


def test_results_come_first_and_their_images_after_them() -> None:
    image = Image("image/png", "aa")
    written = messages(
        Message("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}"))),
        Message("tool", (ToolResult("a", (Text("1"), Text("2"), image)), ToolResult("b", (image,), is_error=True))),
        Message("tool", (ToolResult("c", (Text("3"),)),)),
        Message("user", (Text("Hi"),)),
        Message("tool", (ToolResult("d", (image,)),)),
    )
    shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aa"}}
    assert written[1:] == [
        {"role": "tool", "tool_call_id": "a", "content": "1\n2"},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "tool", "tool_call_id": "c", "content": "3"},
        {"role": "user", "content": [shown, shown]},
        {"role": "user", "content": "Hi"},
        {"role": "tool", "tool_call_id": "d", "content": ""},
        {"role": "user", "content": [shown]},
    ]


def test_calls_without_ids_get_some_and_results_find_them() -> None:
    written = messages(
        Message("assistant", (ToolCall("", "f", "{}"), ToolCall("", "g", "{}"), ToolCall("x", "f", "{}"))),
        Message("tool", (ToolResult("", (Text("of g"),), "g"), ToolResult("x", (Text("of x"),)))),
        Message("tool", (ToolResult("", (Text("of f"),)),)),
        Message("tool", (ToolResult("", (Text("of nothing"),), "h"),)),
    )
    assert [call["id"] for call in written[0]["tool_calls"]] == ["call_1", "call_2", "x"]
    assert [result["tool_call_id"] for result in written[1:]] == ["call_2", "x", "call_1", "call_0"]


def test_huge_numbers_in_a_schema_are_written() -> None:
    schema = {"type": "integer", "maximum": 10**40}
    body = translated(tools=(Tool("f", parameters=schema),))
    assert body["tools"][0]["function"]["parameters"] == schema
