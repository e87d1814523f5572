"""Providers' event streams: when an answer is committed to, and how it may end badly."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.chat import Failure, Finish, TextDelta
from gateway.errors import UpstreamError, UpstreamInvalidResponse, UpstreamResponseTooLarge, UpstreamTruncated
from gateway.wire.anthropic import WIRE
from gateway.wire.protocol import MAX_EVENT_BYTES
from tests.wire.anthropic.streams import (
    HELLO,
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
    stop,
    text,
    watch,
)

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


def test_what_comes_before_a_bad_event_of_the_same_chunk_is_passed_on() -> None:
    before = START + OPEN + text("Hi")
    decoder, watched = WIRE.decoder(), WIRE.watch(REQUEST)
    assert decoder.feed(before + b"data: nonsense\n\n" + text("more"))[-1] == TextDelta("Hi")
    assert watched.feed(before + b"data: nonsense\n\n" + text("more")) == before
    for machine in (decoder, watched):
        assert isinstance(machine.progress.broken, UpstreamInvalidResponse)


def test_a_terminator_alone_is_no_answer() -> None:
    assert raised(START + STOP) == (UpstreamInvalidResponse, UpstreamInvalidResponse)
    assert decode(START + ending())[0][-1] == Finish("stop")


def test_an_event_over_the_limit() -> None:
    endless = b"data: " + b"x" * (MAX_EVENT_BYTES + 1)
    assert raised(START + endless) == (UpstreamResponseTooLarge, UpstreamResponseTooLarge)
