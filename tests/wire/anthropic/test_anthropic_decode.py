"""Clients' Messages requests to the hub, and everything that is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.chat import (
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
from gateway.wire.anthropic import DIALECT
from gateway.wire.anthropic.vocabulary import UNSIGNED
from tests.wire.anthropic.requests import USER, body, decode


def parts_of(*blocks: dict[str, Any], role: str = "user") -> tuple[Part, ...]:
    (message,) = decode(body(messages=[{"role": role, "content": list(blocks)}])).messages
    return message.parts


def test_a_plain_request() -> None:
    request = decode(
        body(
            system="Be brief.",
            messages=[USER, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "And?"}],
            stream=True,
            temperature=0.5,
            top_p=1,
            top_k=40,
            stop_sequences=["END", "\n"],
            metadata={"user_id": "u-1"},
        )
    )
    assert (request.dialect, request.model, request.stream, request.max_tokens) == ("anthropic", "smart", True, 64)
    assert request.messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("Hi"),)),
        Message("assistant", (Text("Hello"),)),
        Message("user", (Text("And?"),)),
    )
    assert (request.temperature, request.top_p, request.top_k) == (0.5, 1.0, 40)
    assert (request.stop, request.user, request.include_usage) == (("END", "\n"), "u-1", True)


def test_every_field_is_kept_as_it_was_written() -> None:
    text = b'{"model":"smart", "max_tokens": 6e1x, "new":{"b" :1.0,"a":[]},"messages":[{"role":"user","content":"Hi"}]}'
    request = DIALECT.decode_request(text.replace(b"6e1x", b"60"))
    assert list(request.fields) == ["model", "max_tokens", "new", "messages"]
    assert bytes(request.fields["new"]) == b'{"b" :1.0,"a":[]}'


def test_system_blocks_and_a_later_system_message() -> None:
    system = [
        {"type": "text", "text": "One.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Two."},
    ]
    request = decode(body(system=system, messages=[USER, {"role": "system", "content": "Three."}]))
    assert request.messages == (
        Message("system", (Text("One."), Text("Two."))),
        Message("user", (Text("Hi"),)),
        Message("system", (Text("Three."),)),
    )


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "Hi", "citations": None}, Text("Hi")),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
            Image("image/png", "iVBO"),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}},
            Image(url="https://a.test/b.png"),
        ),
        ({"type": "image", "source": {"type": "file", "file_id": "file_1"}}, Document(file_id="file_1")),
        (
            {
                "type": "document",
                "title": "T",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JV"},
            },
            Document("application/pdf", "JV", name="T"),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            Document("text/plain", text="words"),
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://a.test/b.pdf"}},
            Document(url="https://a.test/b.pdf"),
        ),
        ({"type": "document", "source": {"type": "file", "file_id": "file_1"}}, Document(file_id="file_1")),
        ({"type": "document", "source": {"type": "content", "content": "words"}}, Document("text/plain", text="words")),
        ({"type": "container_upload", "file_id": "file_1"}, Document(file_id="file_1")),
        (
            {
                "type": "search_result",
                "title": "T",
                "source": "https://a.test",
                "content": [{"type": "text", "text": "found"}],
            },
            Text("T\nhttps://a.test\nfound"),
        ),
    ],
)
def test_a_users_block(block: dict[str, Any], part: Part) -> None:
    assert parts_of(block) == (part,)


def test_a_document_of_blocks_is_its_text_and_its_pictures() -> None:
    inner = [
        {"type": "text", "text": "one"},
        {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}},
        {"type": "text", "text": "two"},
    ]
    parts = parts_of({"type": "document", "source": {"type": "content", "content": inner}})
    assert parts == (Document("text/plain", text="one\ntwo"), Image(url="https://a.test/b.png"))


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"b": 1, "a": "é"}},
            ToolCall("toolu_1", "f", '{"b":1,"a":"é"}'),
        ),
        ({"type": "thinking", "thinking": "hm", "signature": "Eo="}, Reasoning("hm", "Eo=")),
        ({"type": "thinking", "thinking": "hm", "signature": UNSIGNED}, Reasoning("hm")),
        ({"type": "redacted_thinking", "data": "Ev="}, Reasoning("", redacted="Ev=")),
    ],
)
def test_an_assistants_block(block: dict[str, Any], part: Part) -> None:
    assert parts_of(block, role="assistant") == (part,)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ({"content": "sunny"}, (Text("sunny"),)),
        ({"content": [{"type": "text", "text": "sunny"}]}, (Text("sunny"),)),
        ({"content": [{"type": "tool_reference", "tool_name": "f"}]}, ()),
        ({"content": None}, ()),
        ({}, ()),
        (
            {"content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iV"}}]},
            (Image("image/png", "iV"),),
        ),
    ],
)
def test_a_tool_result(content: dict[str, Any], parts: tuple[Any, ...]) -> None:
    block = {"type": "tool_result", "tool_use_id": "toolu_1", **content}
    (message,) = decode(body(messages=[{"role": "user", "content": [block]}])).messages
    assert message == Message("tool", (ToolResult("toolu_1", parts),))


def test_tool_results_become_turns_before_what_else_the_user_says() -> None:
    content = [
        {"type": "text", "text": "Here:"},
        {"type": "tool_result", "tool_use_id": "a", "content": "1"},
        {"type": "tool_result", "tool_use_id": "b", "content": "2", "is_error": True},
    ]
    assert decode(body(messages=[{"role": "user", "content": content}])).messages == (
        Message("tool", (ToolResult("a", (Text("1"),)),)),
        Message("tool", (ToolResult("b", (Text("2"),), is_error=True),)),
        Message("user", (Text("Here:"),)),
    )


def test_what_only_anthropic_knows_is_left_out_of_the_hub() -> None:
    used = [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "f", "server_name": "s", "input": {}},
        {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "is_error": False, "content": []},
        {"type": "something_new", "text": 5},
    ]
    said = [*used, {"type": "text", "text": "Found."}]
    request = decode(
        body(messages=[USER, {"role": "assistant", "content": used}, {"role": "assistant", "content": said}])
    )
    assert request.messages == (Message("user", (Text("Hi"),)), Message("assistant", (Text("Found."),)))


def test_tools() -> None:
    schema = {"type": "object", "properties": {}}
    tools = [
        {"name": "f", "description": "does f", "input_schema": schema, "strict": True},
        {"type": "custom", "name": "g", "input_schema": schema, "cache_control": {"type": "ephemeral"}},
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    request = decode(body(tools=tools, tool_choice={"type": "any", "disable_parallel_tool_use": True}))
    assert request.tools == (Tool("f", "does f", schema, True), Tool("g", None, schema))
    assert (request.tool_choice, request.parallel_tool_calls) == (ToolChoice("required"), False)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "f"}, ToolChoice("named", "f")),
    ],
)
def test_tool_choice(choice: dict[str, Any], expected: ToolChoice) -> None:
    request = decode(body(tools=[{"name": "f", "input_schema": {}}], tool_choice=choice))
    assert (request.tool_choice, request.parallel_tool_calls) == (expected, None)


def test_no_choice_is_left_without_the_clients_own_tools() -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    request = decode(body(tools=tools, tool_choice={"type": "auto"}))
    assert (request.tools, request.tool_choice) == ((), None)


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "web_search"}])
def test_a_choice_among_server_tools_cannot_be_translated(choice: dict[str, Any]) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    with pytest.raises(BadRequest) as caught:
        DIALECT.check_translatable(decode(body(tools=tools, tool_choice=choice)))
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Effort(budget=2048)),
        ({"thinking": {"type": "disabled"}}, Effort(enabled=False)),
        ({"thinking": {"type": "adaptive"}}, Effort()),
        ({"output_config": {"effort": "low"}}, Effort("low")),
        ({"output_config": {"effort": "max"}}, Effort("high")),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}, Effort("medium")),
        ({"output_config": {"effort": "medium"}, "thinking": {"type": "disabled"}}, Effort("medium", enabled=False)),
    ],
)
def test_effort(fields: dict[str, Any], effort: Effort) -> None:
    assert decode(body(**fields)).effort == effort


@pytest.mark.parametrize("place", ["output_format", "output_config"])
def test_response_format(place: str) -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    fields = {place: wanted if place == "output_format" else {"format": wanted}}
    assert decode(body(**fields)).response_format == ResponseFormat("json_schema", {"type": "object"})


def test_counting_needs_no_max_tokens() -> None:
    fields = {"model": "smart", "messages": [USER]}
    assert DIALECT.decode_count(json.dumps(fields).encode()).max_tokens is None


OPTIONAL = ("system", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata", "tools", "tool_choice")


@pytest.mark.parametrize("field", [*OPTIONAL, "thinking", "output_config", "output_format"])
def test_null_is_absent(field: str) -> None:
    assert decode(body(**{field: None})).messages == (Message("user", (Text("Hi"),)),)
