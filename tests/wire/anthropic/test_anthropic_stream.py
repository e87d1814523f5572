"""Providers' event streams: to hub events, and passed on under watch."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.chat import (
    Event,
    Finish,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from gateway.wire.anthropic import WIRE
from gateway.wire.protocol import Progress
from tests.wire.anthropic.streams import (
    HELLO,
    HELLO_EVENTS,
    OPEN,
    PING,
    REQUEST,
    START,
    STOP,
    arguments,
    block,
    decode,
    delta,
    ending,
    sse,
    start,
    stop,
    text,
    watch,
)


def test_a_plain_answer() -> None:
    events, progress = decode(HELLO)
    assert events == HELLO_EVENTS
    assert progress == Progress(
        content=True, fresh=True, complete=True, finish="stop", usage=Usage(input=3, output=5), model="claude-x"
    )
    assert watch(HELLO) == (HELLO, progress)


# --- framing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_pieces_of_any_size(size: int) -> None:
    assert decode(HELLO, size)[0] == HELLO_EVENTS
    assert watch(HELLO, size)[0] == HELLO


def test_a_cut_at_any_place() -> None:
    for place in range(len(HELLO)):
        decoder, machine = WIRE.decoder(), WIRE.watch(REQUEST)
        events = decoder.feed(HELLO[:place]) + decoder.feed(HELLO[place:]) + decoder.close()
        passed = machine.feed(HELLO[:place]) + machine.feed(HELLO[place:]) + machine.close()
        assert (events, passed) == (HELLO_EVENTS, HELLO), place


@pytest.mark.parametrize(
    "stream",
    [
        HELLO.replace(b"\n", b"\r\n"),
        HELLO.replace(b"\n", b"\r"),
        HELLO.replace(b"data: ", b"data:"),
        HELLO.replace(b"event: ping\n", b"id: 7\nretry: 1\nfoo: bar\nevent: ping\n"),
        HELLO.replace(b"event: message_delta", b"data\n\n: note\n\nevent: message_delta"),
        HELLO.replace(b'"index": 0, "delta"', b'"index": 0,\ndata: "delta"'),
        HELLO.replace(b"}\n\n", b"}         \n\n"),
        HELLO.replace(PING, sse({"type": "new_kind", "delta": 5, "usage": "x"})),
        HELLO.replace(PING, sse({"no": "type"}, "x")),
    ],
    ids=[
        "crlf",
        "cr",
        "no space",
        "other fields",
        "bare",
        "lines",
        "padded",
        "new",
        "none",
    ],
)
@pytest.mark.parametrize("size", [1, 5, None])
def test_forms_of_the_same_stream(stream: bytes, size: int | None) -> None:
    assert decode(stream, size)[0] == HELLO_EVENTS
    assert watch(stream, size)[0] == stream


@pytest.mark.parametrize(
    "stream",
    [
        b"\xef\xbb\xbf" + HELLO,
        HELLO.replace(b"event: content_block_delta", b"event: foo"),
        HELLO.replace(b"event: content_block_delta\n", b""),
        HELLO.replace(b"event: content_block_stop\ndata: {", b"data: {\ndata: ").replace(b"event: message_stop\n", b""),
    ],
    ids=["bom", "misnamed", "unnamed", "unnamed lines"],
)
@pytest.mark.parametrize("size", [1, 5, None])
def test_forms_that_are_mended(stream: bytes, size: int | None) -> None:
    """Anthropic's own clients would miss events without their names, and the first event after the mark."""
    assert decode(stream, size)[0] == HELLO_EVENTS
    assert watch(stream, size)[0].replace(b"{\ndata: ", b"{") == HELLO


def test_bytes_after_the_terminator() -> None:
    extra = sse("[DONE]") + b": bye\n\nrest"
    assert decode(HELLO + extra)[0] == HELLO_EVENTS
    assert watch(HELLO + extra)[0] == HELLO + extra


# --- blocks ---------------------------------------------------------------------------------------------------------


def content(stream: bytes) -> list[Event]:
    return [
        event for event in decode(START + stream + ending())[0] if not isinstance(event, Start | UsageReport | Finish)
    ]


def test_tool_calls_in_fragments() -> None:
    stream = (
        block(0, type="text", text="")
        + text("Well")
        + stop(0)
        + block(1, type="tool_use", id="toolu_1", name="f", input={}, caller={"type": "direct"})
        + arguments("", 1)
        + arguments('{"a"', 1)
        + arguments(": 1}", 1)
        + stop(1)
        + block(2, type="tool_use", id="toolu_2", name="g", input={})
        + arguments("{}", 2)
        + stop(2)
    )
    assert content(stream) == [
        TextDelta("Well"),
        ToolCallDelta(0, "toolu_1", "f"),
        ToolCallDelta(0, arguments='{"a"'),
        ToolCallDelta(0, arguments=": 1}"),
        ToolCallDelta(1, "toolu_2", "g"),
        ToolCallDelta(1, arguments="{}"),
    ]
    assert decode(START + stream + ending("tool_use"))[1].tool_call_id == "toolu_1"
    assert watch(START + stream + ending("tool_use"))[1].tool_call_id == "toolu_1"


@pytest.mark.parametrize(
    ("given", "fragments", "expected"),
    [
        ({}, [""], ["{}"]),
        ({}, [], ["{}"]),
        (None, [], ["{}"]),
        ({"a": 1}, [], ['{"a": 1}']),
        ({"a": 1}, ['{"a"', ":1}"], ['{"a"', ":1}"]),
    ],
)
@pytest.mark.parametrize("closed", [True, False])
def test_an_input_that_comes_whole_or_not_at_all(
    given: Any, fragments: list[str], expected: list[str], closed: bool
) -> None:
    stream = block(0, type="tool_use", id="t", name="f", input=given) + b"".join(map(arguments, fragments))
    wanted: list[Event] = [ToolCallDelta(0, "t", "f"), *(ToolCallDelta(0, arguments=part) for part in expected)]
    assert content(stream + (stop(0) if closed else b"")) == wanted


def test_server_tools_are_no_calls_of_the_clients() -> None:
    stream = (
        block(0, type="server_tool_use", id="srvtoolu_1", name="web_search", input={})
        + arguments('{"query": "q"}')
        + stop(0)
        + block(1, type="web_search_tool_result", tool_use_id="srvtoolu_1", content=[{"type": "web_search_result"}])
        + stop(1)
        + block(2, type="mcp_tool_use", id="mcptoolu_1", name="f", server_name="s", input={"a": 1})
        + stop(2)
        + block(3, type="text", text="", citations=[])
        + delta(3, type="citations_delta", citation={"type": "web_search_result_location"})
        + text("Found", 3)
    )
    assert content(stream) == [TextDelta("Found")]
    assert decode(START + stream + ending())[1].tool_call_id is None


def test_thoughts() -> None:
    stream = (
        block(0, type="thinking", thinking="", signature="")
        + delta(0, type="thinking_delta", thinking="")
        + delta(0, type="thinking_delta", thinking="hm")
        + delta(0, type="signature_delta", signature="Eo=")
        + stop(0)
        + block(1, type="redacted_thinking", data="Ev=")
        + stop(1)
        + block(2, type="thinking", thinking="at once", signature="")
        + block(3, type="text", text="too")
    )
    assert content(stream) == [
        ReasoningDelta("hm"),
        ReasoningDelta(signature="Eo="),
        ReasoningDelta(redacted="Ev="),
        ReasoningDelta("at once"),
        TextDelta("too"),
    ]


@pytest.mark.parametrize(
    ("reason", "sequence", "finish"),
    [
        ("end_turn", None, Finish("stop")),
        ("max_tokens", None, Finish("length")),
        ("model_context_window_exceeded", None, Finish("length")),
        ("stop_sequence", "END", Finish("stop_sequence", "END")),
        ("tool_use", None, Finish("tool_calls")),
        ("refusal", None, Finish("refusal")),
        ("pause_turn", None, Finish("pause")),
        ("something_new", None, Finish("stop")),
        (None, None, Finish("stop")),
    ],
)
def test_stop_reasons(reason: str | None, sequence: str | None, finish: Finish) -> None:
    stream = START + OPEN + text("Hi") + ending(reason, sequence)
    events, progress = decode(stream)
    assert events[-1] == finish
    assert progress.finish == finish.reason == watch(stream)[1].finish


@pytest.mark.parametrize(
    ("first", "last", "usage"),
    [
        ({"input_tokens": 3, "output_tokens": 1}, {"output_tokens": 9}, Usage(3, 9)),
        ({"input_tokens": 3, "output_tokens": 1}, {"input_tokens": 7, "output_tokens": 9}, Usage(7, 9)),
        (
            {"input_tokens": 3, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 1},
            {"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}},
            Usage(15, 9, 7, 5, 4),
        ),
        ({}, {}, Usage()),
        ({"input_tokens": None, "output_tokens": None}, {"output_tokens": 2}, Usage(None, 2)),
        ({"input_tokens": -1, "output_tokens": 1}, {"output_tokens": -2}, Usage()),
    ],
)
def test_usage_is_set_and_never_added(first: dict[str, Any], last: dict[str, Any], usage: Usage) -> None:
    stream = start(**first) + OPEN + text("Hi") + ending(**last)
    assert decode(stream)[1].usage == watch(stream)[1].usage == usage


def test_what_other_vendors_leave_out() -> None:
    stream = (
        sse({"type": "message_start", "message": {"id": None, "model": None, "usage": None}})
        + sse({"type": "content_block_start", "content_block": {"type": "text", "text": None}})
        + sse({"type": "content_block_delta", "delta": {"text": "Hi"}})
        + sse({"type": "content_block_stop"})
        + sse({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": None})
        + STOP
    )
    assert decode(stream)[0] == [Start(), TextDelta("Hi"), Finish("stop")]
    assert watch(stream)[0] == stream


def test_half_a_character_breaks_nothing() -> None:
    stream = START + OPEN + text("a?").replace(b"?", rb"\ud83d") + stop(0) + ending()
    events, progress = decode(stream)
    assert progress.complete
    assert any(type(event) is TextDelta and "\ufffd" in event.text for event in events)
    assert watch(stream)[0] == stream
