from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.chat import (
    Audio,
    ChatRequest,
    Document,
    Image,
    Part,
    Reasoning,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from gateway.routing.eligible import MEDIA_TOKENS, Needs, needs, obstacle

from .build import candidate, chat, turn

PICTURE = Image(media_type="image/png", data="iVBORw0KGgo=")
TOOL = Tool("get_weather", "Tells the weather", {"type": "object", "properties": {"city": {"type": "string"}}})


def demanded(needs: Needs) -> set[str]:
    return {name for name in ("vision", "tools", "json", "audio", "pdf") if getattr(needs, name)}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (chat("Hi"), set()),
        (chat(turn("user", "What is this?", PICTURE)), {"vision"}),
        (chat(turn("user", Image(url="https://example.com/a.png"))), {"vision"}),
        (chat("Look", turn("tool", ToolResult("call_1", (Text("here"), PICTURE)))), {"vision", "tools"}),
        (chat("Weather?", tools=(TOOL,)), {"tools"}),
        (chat("Weather?", turn("assistant", ToolCall("call_1", "get_weather", "{}"))), {"tools"}),
        (chat("List", response_format=ResponseFormat("json")), {"json"}),
        (chat("List", response_format=ResponseFormat("json_schema", {"type": "object"})), {"json"}),
        (chat(turn("user", Audio("UklGRg==", "wav"))), {"audio"}),
        (chat(turn("user", Document("application/pdf", "JVBERi0="))), {"pdf"}),
        (chat(turn("user", Document(file_id="file-1"))), {"pdf"}),
        (chat(turn("user", Document("text/plain", text="plain words"))), set()),
        (chat(turn("user", Document("text/csv", "YSxi"))), set()),
        (chat("Hi", turn("assistant", Reasoning("a greeting"), "Hello")), set()),
    ],
)
def test_a_request_demands_what_is_in_it(request_: ChatRequest, expected: set[str]) -> None:
    assert demanded(needs(request_)) == expected


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        (Text("x" * 4000), 1000),
        (Text("漢" * 4000), 3000),
        (Text("lone \ud800 surrogate"), 4),
        (PICTURE, MEDIA_TOKENS),
        (Audio("UklGRg==" * 1000, "wav"), MEDIA_TOKENS),
        (Document("application/pdf", "JVBERi0=" * 1000), MEDIA_TOKENS),
        (Document("text/plain", text="x" * 400), 100),
        (ToolCall("call_1", "name", "x" * 396), 100),
        (ToolResult("call_1", (Text("x" * 400),)), 100),
        (Reasoning("x" * 400), 100),
        (Reasoning("", redacted="x" * 400), 100),
    ],
)
def test_tokens_are_estimated_from_bytes_and_flat_for_media(part: Part, tokens: int) -> None:
    empty = needs(chat(turn("user"))).tokens
    assert needs(chat(turn("user", part))).tokens - empty == pytest.approx(tokens, abs=2)


def test_tool_declarations_and_answer_schemas_count_as_tokens() -> None:
    bare = needs(chat("Hi")).tokens
    written = msgspec.Raw(b'[{"type": "function", "function": {"name": "get_weather"}}' + b" " * 4000 + b"]")
    schema = {"type": "object", "description": "x" * 4000}
    assert needs(chat("Hi", tools=(TOOL,))).tokens > bare + 20
    assert needs(chat("Hi", tools=(TOOL,), fields={"tools": written})).tokens > bare + 1000
    assert needs(chat("Hi", response_format=ResponseFormat("json_schema", schema))).tokens > bare + 1000


def test_the_answer_asked_for_is_part_of_the_needs() -> None:
    assert needs(chat("Hi")).output == 0
    assert needs(chat("Hi", max_tokens=500)).output == 500


@pytest.mark.parametrize(
    ("facts", "needs", "reason"),
    [
        # What is not known speaks against nobody.
        ({}, Needs(10**9, 10**9, vision=True, tools=True, json=True, audio=True, pdf=True), None),
        ({"context": 8192}, Needs(8192), None),
        ({"context": 8192}, Needs(8193), "has a context of 8,192 tokens, too small for about 8,193 tokens"),
        (
            {"context": 8192},
            Needs(8000, 193),
            "has a context of 8,192 tokens, too small for about 8,000 tokens and up to 193 for the answer",
        ),
        ({"max_output": 4096}, Needs(10, 4096), None),
        ({"max_output": 4096}, Needs(10, 4097), "answers with at most 4,096 tokens, 4,097 are asked for"),
        ({"capabilities": ()}, Needs(10), None),
        ({"capabilities": ("vision",)}, Needs(10, vision=True), None),
        ({"capabilities": ("tools",)}, Needs(10, vision=True), "cannot read images"),
        ({"capabilities": ()}, Needs(10, tools=True), "cannot call tools"),
        ({"capabilities": ()}, Needs(10, json=True), "has no JSON mode"),
        ({"capabilities": ()}, Needs(10, audio=True), "cannot hear audio"),
        ({"capabilities": ()}, Needs(10, pdf=True), "cannot read PDF files"),
    ],
)
def test_a_known_lack_is_an_obstacle_and_says_so(facts: dict[str, Any], needs: Needs, reason: str | None) -> None:
    assert obstacle(candidate("openai/gpt-4o", **facts), needs) == reason
