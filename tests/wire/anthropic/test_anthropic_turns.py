"""The hub's messages as a provider's turns."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from gateway.chat import (
    Audio,
    Document,
    Image,
    Message,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.errors import BadRequest
from tests.wire.anthropic.requests import CALL, assistant, encode, result, system, user


def turns(*messages: Message) -> list[tuple[str, Any]]:
    return [(turn["role"], turn["content"]) for turn in encode(*messages)["messages"]]


# --- turns ----------------------------------------------------------------------------------------------------------


def test_system_prompts_are_gathered_wherever_they_stand() -> None:
    body = encode(system("One."), user("Hi"), system(" "), system("Two."), user("Go"))
    assert body["system"] == "One.\n\nTwo."
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "Go"}]}
    ]


USE = {"type": "tool_use", "id": "call_1", "name": "f", "input": {"x": 1}}


def answered(call: str, content: str = "ok") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call, "content": content}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([user("Hi")], [("user", "Hi")]),
        ([assistant("Hello"), user("Hi")], [("user", "."), ("assistant", "Hello"), ("user", "Hi")]),
        ([system("Be brief.")], [("user", ".")]),
        ([user("Hi", ""), user(" \n")], [("user", "Hi")]),
        ([user("Hi"), assistant(""), user("You?")], [("user", [{"type": "text", "text": t} for t in ("Hi", "You?")])]),
        ([user("Hi"), assistant("So: \n")], [("user", "Hi"), ("assistant", "So:")]),
        (
            [user("Hi"), assistant("Well", CALL), result("call_1"), user("And?")],
            [
                ("user", "Hi"),
                ("assistant", [{"type": "text", "text": "Well"}, USE]),
                ("user", [answered("call_1"), {"type": "text", "text": "And?"}]),
            ],
        ),
        (
            [user("Hi"), assistant(CALL), user("Wait"), result("call_1")],
            [("user", "Hi"), ("assistant", [USE]), ("user", [answered("call_1"), {"type": "text", "text": "Wait"}])],
        ),
        (
            [user("Hi"), assistant(CALL, ToolCall("call_2", "g", "")), result("call_2", "2"), result("call_1", "1")],
            [
                ("user", "Hi"),
                ("assistant", [USE, {"type": "tool_use", "id": "call_2", "name": "g", "input": {}}]),
                ("user", [answered("call_2", "2"), answered("call_1", "1")]),
            ],
        ),
        (
            [user("Hi"), assistant(Reasoning("hm", "Eo="), Reasoning("", redacted="Ev="), Reasoning("lost"), "Yes")],
            [
                ("user", "Hi"),
                (
                    "assistant",
                    [
                        {"type": "thinking", "thinking": "hm", "signature": "Eo="},
                        {"type": "redacted_thinking", "data": "Ev="},
                        {"type": "text", "text": "Yes"},
                    ],
                ),
            ],
        ),
    ],
)
def test_turns(messages: list[Message], expected: list[tuple[str, Any]]) -> None:
    assert turns(*messages) == expected


@pytest.mark.parametrize("arguments", ["", "nonsense", "[1]", "null", '{"x": 1', '"{}"'])
def test_arguments_that_are_no_object_become_an_empty_one(arguments: str) -> None:
    body = encode(user("Hi"), assistant(ToolCall("a", "f", arguments)), result("a"))
    assert body["messages"][1]["content"][0]["input"] == {}


def test_a_failed_result_with_a_picture_and_one_without_content() -> None:
    parts: tuple[Text | Image, ...] = (Text("look"), Text(""), Image(data="/9j/x"))
    failed = Message("tool", (ToolResult("a", parts, is_error=True), ToolResult("b", ())))
    blocks = encode(user("Hi"), assistant(ToolCall("a", "f", ""), ToolCall("b", "f", "")), failed)["messages"][2][
        "content"
    ]
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/x"}}
    assert blocks == [
        {
            "type": "tool_result",
            "tool_use_id": "a",
            "content": [{"type": "text", "text": "look"}, picture],
            "is_error": True,
        },
        {"type": "tool_result", "tool_use_id": "b"},
    ]


def pairs(*messages: Message) -> list[tuple[list[str], list[str]]]:
    """The ids of every turn's calls, and of the results after it."""
    found: list[tuple[list[str], list[str]]] = []
    for turn in encode(*messages)["messages"]:
        blocks = turn["content"] if isinstance(turn["content"], list) else []
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if calls:
            found.append((calls, []))
        elif results:
            found[-1][1].extend(results)
    return found


def test_ids_outside_the_alphabet_are_replaced_always_alike() -> None:
    called = assistant(ToolCall("functions.f:0", "f", ""), ToolCall("ok_-9", "g", ""))
    messages = user("Hi"), called, result("functions.f:0"), result("ok_-9")
    ((calls, results),) = pairs(*messages)
    assert calls == results
    assert calls[0].replace("_", "").isalnum()
    assert calls[1] == "ok_-9"
    assert pairs(*messages) == [(calls, results)]


def test_calls_without_ids_are_paired_by_name_and_order() -> None:
    called = assistant(ToolCall("", "f", ""), ToolCall("", "g", ""), ToolCall("", "f", ""))
    answers = result("", name="g"), result("", name="f"), result("", name="f")
    ((calls, results),) = pairs(user("Hi"), called, *answers)
    assert len(set(calls)) == 3
    assert results == [calls[1], calls[0], calls[2]]


def test_an_id_that_comes_again_is_made_unique() -> None:
    called = assistant(ToolCall("call_0", "f", ""))
    first, second = pairs(user("Hi"), called, result("call_0"), called, result("call_0"))
    assert first == (["call_0"], ["call_0"])
    assert second == (["call_0_2"], ["call_0_2"])


def test_a_result_without_its_call_is_left_for_the_provider_to_refuse() -> None:
    assert turns(result("call_9"), result(""))[0][1] == [answered("call_9"), answered("call_0")]


# --- pictures and files ---------------------------------------------------------------------------------------------


def base64_source(media_type: str, data: str) -> dict[str, str]:
    return {"type": "base64", "media_type": media_type, "data": data}


PDF = base64.b64encode(b"%PDF-1.7 ...").decode()
NOTE = base64.b64encode("é".encode()).decode()


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            Image(url="https://a.test/b.png"),
            {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}},
        ),
        (Image("image/png", "AAAA"), {"type": "image", "source": base64_source("image/png", "AAAA")}),
        (Image("image/png", "/9j/AA"), {"type": "image", "source": base64_source("image/jpeg", "/9j/AA")}),
        (Image(data="iVBORw0KGgoAAA"), {"type": "image", "source": base64_source("image/png", "iVBORw0KGgoAAA")}),
        (Image(data="R0lGODAA"), {"type": "image", "source": base64_source("image/gif", "R0lGODAA")}),
        (Image(data="UklGRAAA"), {"type": "image", "source": base64_source("image/webp", "UklGRAAA")}),
        (
            Document("application/pdf", PDF, name="a.pdf"),
            {"type": "document", "source": base64_source("application/pdf", PDF), "title": "a.pdf"},
        ),
        (Document(data=PDF), {"type": "document", "source": base64_source("application/pdf", PDF)}),
        (Document(url="https://a.test/b"), {"type": "document", "source": {"type": "url", "url": "https://a.test/b"}}),
        (
            Document(text="words"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        ),
        (
            Document("text/csv", NOTE),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}},
        ),
    ],
)
def test_a_picture_or_file(part: Part, block: dict[str, Any]) -> None:
    assert turns(user(part)) == [("user", [block])]


@pytest.mark.parametrize("part", [Image(), Document(text=" ")])
def test_a_picture_or_file_without_anything_is_left_out(part: Part) -> None:
    assert turns(user("Hi", part), assistant(Image(url="https://a.test"), "Hm")) == [
        ("user", "Hi"),
        ("assistant", "Hm"),
    ]


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        (Audio("AAAA", "wav"), {}),
        (Document(file_id="file-1"), {}),
        (Document("video/*", url="https://a.test/b.mp4"), {}),
        (Document("video/mp4", "AAAA"), {}),
        (Document("application/msword", "AAAA"), {}),
        (Document("text/plain", "/w=="), {}),
        (Document("text/plain", "?"), {}),
        (Text("Hi"), {"n": 2}),
    ],
)
def test_what_cannot_be_said_is_refused(part: Part, fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        encode(user(part), **fields)
    assert caught.value.code == "unsupported"
    assert caught.value.param in ("messages[0]", "n")
