from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat import ChatRequest, Document, Image, Text, ToolCall, ToolResult
from gateway.routing.affinity import conversation_key, open_tool_loop, tool_key

from .build import chat, turn

RULES = turn("system", "You help. It is 2026-03-05 09:59:59.")


def key(request: ChatRequest, client: str = "search", router: str = "smart", session: str | None = None) -> bytes:
    return conversation_key(client, router, request, session)


FIRST = key(chat(RULES, "Hi"))


@pytest.mark.parametrize(
    "request_",
    [
        chat(RULES, "Hi", turn("assistant", "Hello!"), "How are you?"),
        chat(RULES, "Hi", turn("assistant", ToolCall("c", "f", "{}")), turn("tool", ToolResult("c", ()))),
        chat(turn("system", "You help. It is 2026-03-05 10:00:01."), "Hi"),
        chat(turn("system", "You help. It is 12026-3-5 1:0:0."), "Hi"),
        chat(RULES, "Hi", temperature=1.0, max_tokens=5, stream=True),
    ],
    ids=["later turn", "tool turn", "clock", "clock of other length", "settings"],
)
def test_later_turns_and_clocks_keep_the_conversation(request_: ChatRequest) -> None:
    assert key(request_) == FIRST


@pytest.mark.parametrize(
    "other",
    [
        key(chat(RULES, "Hi"), client="sales"),
        key(chat(RULES, "Hi"), router="other"),
        key(chat(RULES, "Hi!")),
        key(chat(RULES, "Hi "), client=""),
        key(chat(turn("system", "You translate."), "Hi")),
        key(chat("Hi")),
        key(chat(RULES, turn("user", "Hi", Image(data="AAAA")))),
        key(chat(RULES, "Hi"), session="mine"),
    ],
)
def test_another_client_router_or_beginning_is_another_conversation(other: bytes) -> None:
    assert other != FIRST


def test_the_first_user_turn_counts_to_the_letter() -> None:
    assert key(chat("What is 2 + 2?")) != key(chat("What is 3 + 3?"))


def test_pictures_and_files_in_the_first_turn_count() -> None:
    turns = [turn("user", "This?", part) for part in (Image(data="AAAA"), Image(data="AAAB"), Image(url="AAAA"))]
    turns += [turn("user", "This?", part) for part in (Document(data="AAAA"), Document(file_id="AAAA"), Text("AAAA"))]
    assert len({key(chat(each)) for each in turns}) == len(turns)


def test_without_a_user_turn_everything_counts() -> None:
    keys = {key(chat()), key(chat(RULES)), key(chat(turn("assistant", "a"))), key(chat(turn("assistant", "b")))}
    assert len(keys) == 4


def test_a_named_session_is_the_same_whatever_is_asked_but_not_whoever_asks() -> None:
    assert key(chat("a"), session="mine") == key(chat("b"), session="mine")
    names = [("search", "smart"), ("sales", "smart"), ("search", "other")]
    assert len({key(chat("a"), client, router, "mine") for client, router in names}) == 3
    assert key(chat("a"), session="") == key(chat("a"))


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_fields_never_run_together(one: tuple[str, str, str], two: tuple[str, str, str]) -> None:
    assert (key(chat(), one[0], one[1], one[2] or "x") == key(chat(), two[0], two[1], two[2] or "x")) == (
        (one[0], one[1], one[2] or "x") == (two[0], two[1], two[2] or "x")
    )
    assert (tool_key(*one) == tool_key(*two)) == (one == two)


def test_keys_are_sixteen_bytes_and_kinds_do_not_meet() -> None:
    keys = [key(chat(), session="call_1"), tool_key("search", "smart", "call_1"), key(chat("call_1"))]
    assert len(set(keys)) == 3
    assert {len(each) for each in keys} == {16}


ASKS = turn("assistant", "Let me look.", ToolCall("call_1", "look", "{}"), ToolCall("call_2", "look", "{}"))
ONE, TWO = turn("tool", ToolResult("call_1", ())), turn("tool", ToolResult("call_2", ()))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (chat(), None),
        (chat("Hi"), None),
        (chat("Hi", turn("assistant", "Hello!"), "Bye"), None),
        (chat("Hi", ASKS, ONE, TWO), "call_1"),
        # Results may come in any order, and a model's answer is remembered by its first call.
        (chat("Hi", ASKS, TWO, ONE), "call_1"),
        (chat("Hi", ASKS, ONE, "and hurry"), "call_1"),
        (chat("Hi", ASKS, ONE, turn("system", "Be quick.")), "call_1"),
        (chat("Hi", ASKS, ONE, turn("assistant", "It is warm."), "Thanks"), None),
        (chat("Hi", ASKS, ONE, turn("assistant", "It is")), None),
        (chat("Hi", ASKS), None),
        # The turn that asked was cut away.
        (chat(TWO, ONE), "call_2"),
        (chat(turn("assistant", "Hm."), TWO), "call_2"),
        # A wire without ids.
        (chat("Hi", turn("assistant", ToolCall("", "look", "{}")), turn("tool", ToolResult("", (), "look"))), ""),
        (chat("Hi", turn("tool")), None),
    ],
)
def test_a_tool_loop_is_open_until_a_model_has_read_the_results(request_: ChatRequest, expected: str | None) -> None:
    assert open_tool_loop(request_) == expected
