"""Providers' event streams: to hub events, and passed on under watch."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.chat import (
    Event,
    Failure,
    Finish,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from gateway.errors import UpstreamError, UpstreamInvalidResponse, UpstreamResponseTooLarge, UpstreamTruncated
from gateway.wire.anthropic import DIALECT, WIRE
from gateway.wire.anthropic.stream import Decoder, Watch
from gateway.wire.protocol import MAX_EVENT_BYTES, Progress

REQUEST = DIALECT.decode_request(b'{"model":"smart","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}')


def sse(data: dict[str, Any] | str, name: str | None = None) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    kind = name or (json.loads(text)["type"] if isinstance(data, dict) else "x")
    return f"event: {kind}\ndata: {text}\n\n".encode()


def start(**usage: Any) -> bytes:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "usage": usage,
    }
    return sse({"type": "message_start", "message": message})


def block(index: int, **fields: Any) -> bytes:
    return sse({"type": "content_block_start", "index": index, "content_block": fields})


def delta(index: int, **fields: Any) -> bytes:
    return sse({"type": "content_block_delta", "index": index, "delta": fields})


def text(words: str, index: int = 0) -> bytes:
    return delta(index, type="text_delta", text=words)


def arguments(fragment: str, index: int = 0) -> bytes:
    return delta(index, type="input_json_delta", partial_json=fragment)


def stop(index: int) -> bytes:
    return sse({"type": "content_block_stop", "index": index})


def ending(reason: str | None = "end_turn", sequence: str | None = None, **usage: Any) -> bytes:
    change = {"stop_reason": reason, "stop_sequence": sequence}
    return sse({"type": "message_delta", "delta": change, "usage": usage}) + STOP


STOP = sse({"type": "message_stop"})
PING = sse({"type": "ping"})
START = start(input_tokens=3, output_tokens=1)
OPEN = block(0, type="text", text="")
HELLO = START + OPEN + PING + text("Hé") + text(" \u2028漢🙂") + stop(0) + ending(output_tokens=5)

HELLO_EVENTS: list[Event] = [
    Start("msg_1", "claude-x"),
    UsageReport(Usage(input=3, output=1)),
    TextDelta("Hé"),
    TextDelta(" \u2028漢🙂"),
    UsageReport(Usage(input=3, output=5)),
    Finish("stop"),
]


def decode(stream: bytes, size: int | None = None) -> tuple[list[Event], Progress]:
    decoder = WIRE.decoder()
    events: list[Event] = []
    for place in range(0, len(stream), size or len(stream)):
        events += decoder.feed(stream[place : place + (size or len(stream))])
    return events + decoder.close(), decoder.progress


def watch(stream: bytes, size: int | None = None) -> tuple[bytes, Progress]:
    machine = WIRE.watch(REQUEST)
    passed = b""
    for place in range(0, len(stream), size or len(stream)):
        passed += machine.feed(stream[place : place + (size or len(stream))])
    return passed + machine.close(), machine.progress


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
        b"\xef\xbb\xbf" + HELLO,
        HELLO.replace(b"event: ping\n", b"id: 7\nretry: 1\nfoo: bar\nevent: ping\n"),
        HELLO.replace(b"event: message_delta", b"data\n\n: note\n\nevent: message_delta"),
        HELLO.replace(b"event: content_block_delta", b"event: foo"),
        HELLO.replace(b"event: content_block_delta\n", b""),
        HELLO.replace(b'"index": 0, "delta"', b'"index": 0,\ndata: "delta"'),
        HELLO.replace(b"}\n\n", b"}         \n\n"),
        HELLO.replace(PING, sse({"type": "new_kind", "delta": 5, "usage": "x"})),
        HELLO.replace(PING, sse({"no": "type"}, "x")),
    ],
    ids=[
        "crlf",
        "cr",
        "no space",
        "bom",
        "other fields",
        "bare",
        "misnamed",
        "unnamed",
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


# --- the commit point and signs of life -----------------------------------------------------------------------------


@pytest.mark.parametrize("machine", [WIRE.decoder, lambda: WIRE.watch(REQUEST)], ids=["decoder", "watch"])
@pytest.mark.parametrize(
    ("first", "commits"),
    [
        (START, False),
        (PING, False),
        (OPEN, False),
        (block(0, type="thinking", thinking="", signature=""), False),
        (text(""), False),
        (text("Hi"), True),
        (delta(0, type="thinking_delta", thinking="hm"), True),
        (delta(0, type="signature_delta", signature="Eo="), True),
        (arguments("{"), True),
        (block(0, type="tool_use", id="t", name="f", input={}), True),
        (block(0, type="redacted_thinking", data="Ev="), True),
        (block(0, type="server_tool_use", id="s", name="web_search", input={}), True),
        (block(0, type="text", text="Hi"), True),
    ],
)
def test_what_commits(machine: Any, first: bytes, commits: bool) -> None:
    reader = machine()
    reader.feed(first)
    assert reader.progress.content is commits


@pytest.mark.parametrize("machine", [WIRE.decoder, lambda: WIRE.watch(REQUEST)], ids=["decoder", "watch"])
@pytest.mark.parametrize(
    ("event", "fresh"),
    [
        (PING, False),
        (b": note\n\n", False),
        (stop(0), False),
        (sse({"type": "new_kind"}), False),
        (text("Hi"), True),
        (block(1, type="tool_use", id="t", name="f", input={}), True),
        (ending(output_tokens=5), True),
    ],
)
def test_what_is_a_sign_of_progress(machine: Any, event: bytes, fresh: bool) -> None:
    reader = machine()
    reader.feed(START + OPEN + text("Hi"))
    reader.progress.fresh = False
    reader.feed(event)
    assert reader.progress.fresh is fresh


# --- failures -------------------------------------------------------------------------------------------------------

OVERLOADED = sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


@pytest.mark.parametrize(
    ("event", "failure"),
    [
        (OVERLOADED, Failure("Overloaded", "overloaded_error")),
        (sse({"type": "error", "error": "broken"}), Failure("broken")),
        (sse({"type": "error"}), Failure("the provider reported an error")),
        (sse({"type": "error", "index": "x", "error": {}}), Failure("the provider reported an error")),
        (sse({"error": {"message": "m", "code": "c"}}, "x"), Failure("m", "c")),
        (sse({"type": "error", "error": {"message": "a\r\n\x1b[31mb " + "x" * 900}}), Failure("a [31mb " + "x" * 492)),
    ],
)
@pytest.mark.parametrize("before", [b"", START + OPEN, START + OPEN + text("Hi")])
def test_an_error_event_ends_the_stream(event: bytes, failure: Failure, before: bytes) -> None:
    stream = before + event + text("more") + STOP
    for size in (1, None):
        events, progress = decode(stream, size)
        assert (events[-1], progress.failure) == (failure, failure)
        assert TextDelta("more") not in events
        passed, watched = watch(stream, size)
        assert (passed, watched.failure) == (before, failure)


def raised(stream: bytes) -> tuple[type[UpstreamError], ...]:
    kinds: list[type[UpstreamError]] = []
    for run in (decode, watch):
        with pytest.raises(UpstreamError) as caught:
            run(stream)
        kinds.append(type(caught.value))
    return tuple(kinds)


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        b"<html>captive portal</html>",
        START,
        START + OPEN + text("Hi"),
        HELLO[: -len(STOP)],
        HELLO[:-1],
        HELLO[:-2],
    ],
)
def test_an_end_without_the_terminator(stream: bytes) -> None:
    assert raised(stream) == (UpstreamTruncated, UpstreamTruncated)


@pytest.mark.parametrize(
    "event",
    [
        b'event: content_block_delta\ndata: {"type":"content_block_delta",\n\n',
        b"data: nonsense\n\n",
        b"data: [DONE]\n\n",
        b"data: [1]\n\n",
        b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"\xff"}}\n\n',
        sse({"type": "content_block_delta", "index": "one"}),
        sse({"type": "message_delta", "usage": {"output_tokens": "many"}}),
        sse({"type": 5}, "x"),
    ],
)
def test_an_event_that_cannot_be_read(event: bytes) -> None:
    assert raised(START + OPEN + event) == (UpstreamInvalidResponse, UpstreamInvalidResponse)


def test_a_broken_delta_is_found_also_after_content() -> None:
    broken = b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"Hi\n\n'
    assert raised(START + OPEN + text("Hi") + broken) == (UpstreamInvalidResponse, UpstreamInvalidResponse)


def test_a_terminator_alone_is_no_answer() -> None:
    assert raised(START + STOP) == (UpstreamInvalidResponse, UpstreamInvalidResponse)
    assert decode(START + ending())[0][-1] == Finish("stop")


def test_an_event_over_the_limit() -> None:
    endless = b"data: " + b"x" * (MAX_EVENT_BYTES + 1)
    assert raised(START + endless) == (UpstreamResponseTooLarge, UpstreamResponseTooLarge)


def test_the_machines_keep_nothing_between_answers() -> None:
    assert isinstance(WIRE.decoder(), Decoder)
    assert isinstance(WIRE.watch(REQUEST), Watch)
    assert decode(HELLO)[0] == decode(HELLO)[0]
