"""How streams are framed and how they end: every cut, every ending, every error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.chat import (
    ChatRequest,
    Failure,
    Finish,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from gateway.errors import UpstreamError, UpstreamInvalidResponse, UpstreamResponseTooLarge, UpstreamTruncated
from gateway.wire.openai import WIRE
from gateway.wire.protocol import MAX_EVENT_BYTES, Progress
from tests.wire.openai.chunks import (
    DONE,
    FIRST,
    NO_FIELDS,
    START,
    STOP,
    USAGE,
    call,
    calls,
    chunk,
    decode,
    event,
    more,
    text,
    watch,
)

STREAM = (
    b": OPENROUTER PROCESSING\n\n"
    + FIRST
    + chunk({"reasoning_content": "hm"})
    + text("é漢🙂")
    + calls(call(index=0, id="a"))
    + calls(more("{}", index=0))
    + chunk(finish="tool_calls", usage=None)
    + event({"id": "c1", "choices": [], "usage": USAGE})
    + DONE
)
EVENTS = [
    START,
    ReasoningDelta("hm"),
    TextDelta("é漢🙂"),
    ToolCallDelta(0, "a", "f"),
    ToolCallDelta(0, arguments="{}"),
    UsageReport(Usage(3, 2)),
    Finish("tool_calls"),
]


def _crlf(stream: bytes) -> bytes:
    return stream.replace(b"\n", b"\r\n")


def _cr(stream: bytes) -> bytes:
    return stream.replace(b"\n", b"\r")


def _decorated(stream: bytes) -> bytes:
    """A byte order mark, ids, retries, unknown fields, no space after the colon, data in two lines."""
    lines = stream.replace(b"data: ", b"id: 1\nretry: 5\nfoo: bar\ndata:").replace(b',"choices"', b',\ndata:"choices"')
    return b"\xef\xbb\xbf" + lines.replace(b"\n\n", b"\n\ndata\n\n")


@pytest.mark.parametrize("frame", [bytes, _crlf, _cr, _decorated], ids=["LF", "CRLF", "CR", "decorated"])
def test_every_cut_gives_the_same_events_and_bytes(frame: Callable[[bytes], bytes]) -> None:
    stream = frame(STREAM)
    single = [stream[offset : offset + 1] for offset in range(len(stream))]
    for pieces in [single, *([stream[:offset], stream[offset:]] for offset in range(len(stream)))]:
        events, progress = decode(*pieces)
        assert events == EVENTS
        passed, watched = watch(*pieces)
        # What comes after the terminator is not looked at.
        said, end, rest = stream.removeprefix(b"\xef\xbb\xbf").partition(b"[DONE]")
        assert passed == said.replace(b"\n\ndata\n\n", b"\n\n") + end + rest
        assert progress == watched
    assert progress.tool_call_id == "a"


def test_watch_hands_on_whole_events_only() -> None:
    watched = WIRE.watch(ChatRequest("openai", "m", (), NO_FIELDS, include_usage=True))
    first, second = text("a"), text("b")
    assert watched.feed(first + second[:20]) == first
    assert watched.feed(second[20:-1]) == b""
    assert watched.feed(second[-1:]) == second


def test_content_is_known_with_the_event_that_brings_it() -> None:
    watched = WIRE.watch(ChatRequest("openai", "m", (), NO_FIELDS))
    for quiet in (b": hello\n\n", FIRST, text(None), chunk({"tool_calls": []}), event({"choices": []})):
        watched.feed(quiet)
        assert not watched.progress.content
        assert not watched.progress.fresh
    watched.feed(text("a"))
    assert watched.progress.content
    assert watched.progress.fresh
    watched.progress.fresh = False
    watched.feed(b": still here\n\n")
    assert not watched.progress.fresh
    watched.feed(STOP)
    assert watched.progress.fresh


# --- how it ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("eos", "stop"),
        ("max_tokens", "length"),
        ("SAFETY", "content_filter"),
        ("content_filter: PROHIBITED_CONTENT", "content_filter"),
        ("something new", "stop"),
        (5, "stop"),
    ],
)
def test_finish_reasons(reason: object, expected: str) -> None:
    assert decode(text("a"), chunk(finish=reason), DONE)[0][-1] == Finish(expected)  # type: ignore[arg-type]


def test_a_stop_that_is_said_after_a_cut_does_not_undo_it() -> None:
    stream = text("a") + chunk(finish="length") + text("", "stop") + DONE
    events, progress = decode(stream)
    assert events[-1] == Finish("length")
    assert progress == watch(stream)[1]


@pytest.mark.parametrize("reason", ["stop", "", None])
def test_a_tool_call_finishes_as_one_whatever_the_provider_calls_it(reason: str | None) -> None:
    stream = calls(call("{}", index=0, id="a")) + chunk(finish=reason) + DONE
    events, progress = decode(stream)
    assert events[-1] == Finish("tool_calls")
    assert progress == watch(stream)[1]


@pytest.mark.parametrize(
    "ending",
    [b"", b"data: [DONE]", b"data: [DONE]\n", b"data: [DO", event({"choices": []})[:-1]],
    ids=["nothing", "no line end", "no blank line", "half a terminator", "half an event"],
)
def test_a_finish_without_the_terminator_is_an_end(ending: bytes) -> None:
    stream = text("a") + STOP
    events, progress = decode(stream + ending)
    assert events == [START, TextDelta("a"), Finish("stop")]
    assert progress.complete
    passed, watched = watch(stream + ending)
    assert passed == stream + DONE
    assert watched == progress


def test_a_missing_terminator_is_mended_only_when_every_choice_is_finished() -> None:
    both = b"".join(event({"choices": [{"index": i, "delta": {"content": "a"}}]}) for i in (0, 1))
    ends = [event({"choices": [{"index": i, "delta": {}, "finish_reason": "stop"}]}) for i in (0, 1)]
    with pytest.raises(UpstreamTruncated):
        watch(both + ends[0], n=2)
    assert watch(both + ends[0] + ends[1], n=2)[0] == both + ends[0] + ends[1] + DONE


def test_no_byte_is_lost_where_a_terminator_is_mended() -> None:
    stream = _crlf(text("a") + STOP)
    assert watch(*(stream[place : place + 1] for place in range(len(stream))))[0] == stream + DONE


@pytest.mark.parametrize("run", [decode, watch])
@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"", UpstreamTruncated),
        (b": comment\n\n", UpstreamTruncated),
        (FIRST, UpstreamTruncated),
        (text("a"), UpstreamTruncated),
        (text("a") + b"data: [DON", UpstreamTruncated),
        (text("a") + STOP[:-2], UpstreamTruncated),
        (DONE, UpstreamInvalidResponse),
        (FIRST + DONE, UpstreamInvalidResponse),
        (event({"choices": [], "usage": USAGE}) + DONE, UpstreamInvalidResponse),
        (text("a") + b'data: {"id":"c1", \n\n', UpstreamInvalidResponse),
        (b"data: <html>\n\n", UpstreamInvalidResponse),
        (b"data: [DONE\n\n", UpstreamInvalidResponse),
        (b'data: "text"\n\n', UpstreamInvalidResponse),
        (b"data: 5\n\n", UpstreamInvalidResponse),
        (b"data: [1]\n\n", UpstreamInvalidResponse),
        (b'data: {"choices":"x"}\n\n', UpstreamInvalidResponse),
        (b'data: {"choices":[5]}\n\n', UpstreamInvalidResponse),
        (b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', UpstreamInvalidResponse),
        (b'data: {"choices":' + b"[" * 5000 + b"\n\n", UpstreamInvalidResponse),
        (b"data: " + b"x" * (MAX_EVENT_BYTES + 1), UpstreamResponseTooLarge),
    ],
)
def test_no_answer(run: Callable[[bytes], tuple[object, Progress]], stream: bytes, error: type[UpstreamError]) -> None:
    with pytest.raises(error):
        run(stream)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (
            event({"error": {"message": "m", "type": "server_error", "param": None, "code": None}}),
            Failure("m", "server_error"),
        ),
        (event({"error": {"message": "m", "code": 503, "type": "overloaded"}}), Failure("m", "overloaded")),
        (event({"error": {"code": 400, "message": "m"}, "choices": [{"delta": {"content": ""}}]}), Failure("m")),
        (event({"error": "m"}), Failure("m")),
        (event([{"error": {"code": 500, "message": "m", "status": "INTERNAL"}}]), Failure("m", "INTERNAL")),
        (
            event({"object": "error", "message": "m", "type": "BadRequestError", "code": 400}),
            Failure("m", "BadRequestError"),
        ),
        (event({"detail": "m"}), Failure("m")),
        (event({"message": "m", "code": "x"}), Failure("m", "x")),
        (b"event: error\n" + event({"message": "m"}), Failure("m")),
        (
            event({"choices": [{"index": 0, "error": {"code": 502, "message": "m"}, "finish_reason": "error"}]}),
            Failure("m"),
        ),
        (chunk(finish="error"), Failure("the provider broke off with finish reason error")),
        (
            chunk(finish="function_call_filter: MALFORMED_FUNCTION_CALL"),
            Failure("the provider broke off with finish reason function_call_filter: MALFORMED_FUNCTION_CALL"),
        ),
        (event({"error": {"message": "a\nb sk-1234567890abcdef"}}), Failure("a b [key]")),
        (event({"error": {"nothing": "here"}}), Failure("the provider reported an error")),
        (_crlf(event({"error": {"message": "m"}})), Failure("m")),
    ],
)
@pytest.mark.parametrize("before", [b"", FIRST, text("a")], ids=["first", "before content", "after content"])
def test_errors_in_the_stream(error: bytes, failure: Failure, before: bytes) -> None:
    stream = before + error + text("never seen") + DONE
    events, progress = decode(stream)
    assert events[-1] == failure == progress.failure
    assert not progress.complete
    assert progress.content is (before == text("a"))
    passed, watched = watch(stream)
    assert passed == before
    assert watched.failure == failure


@pytest.mark.parametrize("nothing", [None, "", {}, False])
def test_an_error_field_without_an_error_is_none(nothing: object) -> None:
    stream = chunk({"content": "a"}, error=nothing) + STOP + DONE
    assert decode(stream)[0] == [START, TextDelta("a"), Finish("stop")]
    assert watch(stream)[0] == stream


def test_an_error_after_the_finish_keeps_the_usage_that_came_with_it() -> None:
    error = chunk({"content": ""}, error={"code": 400, "message": "Token limit reached"}, usage=USAGE)
    assert decode(text("a", "length"), error, DONE)[1].usage == Usage(3, 2)
    assert watch(text("a", "length"), error, DONE)[1].usage == Usage(3, 2)
    bare = event({"choices": [], "error": {"message": "m"}, "usage": USAGE})
    progress = watch(text("a", "length"), bare, DONE, usage=False)[1]
    assert (progress.failure, progress.usage) == (Failure("m"), Usage(3, 2))


def test_nothing_is_wrong_after_the_terminator() -> None:
    stream = text("a") + STOP + DONE
    tail = b"data: nonsense\n\n" + event({"error": {"message": "late"}}) + b"half"
    assert watch(stream + tail)[0] == stream + tail
    assert decode(stream + tail)[0] == [START, TextDelta("a"), Finish("stop")]
