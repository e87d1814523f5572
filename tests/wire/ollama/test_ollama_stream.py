"""Streams from an Ollama server: decoded, and watched."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest

from gateway.chat import (
    ChatRequest,
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
from gateway.wire.ollama import WIRE
from gateway.wire.ollama.stream import Decoder, new_call_id
from gateway.wire.protocol import MAX_EVENT_BYTES, Progress

REQUEST = ChatRequest("ollama", "smart", (), {})


def line(*, done: bool = False, **fields: Any) -> bytes:
    head = {"model": "m", "created_at": "2026-01-01T00:00:00.5Z"}
    return json.dumps({**head, **fields, "done": done}, ensure_ascii=False).encode() + b"\n"


def chat(
    content: str | None = "", *, done: bool = False, beside: dict[str, Any] | None = None, **message: Any
) -> bytes:
    return line(message={"role": "assistant", "content": content, **message}, done=done, **(beside or {}))


def call(name: str, arguments: Any, **more: Any) -> dict[str, Any]:
    return {**more, "function": {"name": name, "arguments": arguments}}


COUNTS = {"total_duration": 9, "prompt_eval_count": 3, "eval_count": 2}
STOP = {"done_reason": "stop", **COUNTS}
DONE = chat(done=True, beside=STOP)
END: list[Event] = [UsageReport(Usage(3, 2)), Finish("stop")]


def decode(chunks: Iterable[bytes]) -> tuple[list[Event], Progress]:
    ids = itertools.count()
    decoder = Decoder(lambda: f"id{next(ids)}")
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.close(), decoder.progress


def watch(chunks: Iterable[bytes]) -> tuple[bytes, Progress]:
    machine = WIRE.watch(REQUEST)
    passed = b"".join(machine.feed(chunk) for chunk in chunks)
    return passed + machine.close(), machine.progress


# --- good streams -----------------------------------------------------------------------------------------------------

STREAMS: dict[str, tuple[bytes, list[Event]]] = {
    "text": (
        chat("He") + chat("") + chat("é漢🙂\u2028") + DONE,
        [Start(model="m"), TextDelta("He"), TextDelta("é漢🙂\u2028"), *END],
    ),
    "thinking": (
        chat(thinking="hm") + chat("a") + DONE,
        [Start(model="m"), ReasoningDelta("hm"), TextDelta("a"), *END],
    ),
    "everything-in-the-last-line": (
        chat("a", thinking="hm", done=True, beside=STOP),
        [Start(model="m"), ReasoningDelta("hm"), TextDelta("a"), *END],
    ),
    "a-call-without-id": (
        chat(tool_calls=[call("f", {"x": 1})]) + DONE,
        [
            Start(model="m"),
            ToolCallDelta(0, "id0", "f", '{"x": 1}'),
            UsageReport(Usage(3, 2)),
            Finish("tool_calls"),
        ],
    ),
    "calls-over-lines-all-numbered-zero": (
        chat(tool_calls=[{"id": "call_a", "function": {"index": 0, "name": "f", "arguments": {}}}])
        + chat(tool_calls=[{"id": "call_b", "function": {"index": 0, "name": "g", "arguments": None}}, call("h", "{}")])
        + DONE,
        [
            Start(model="m"),
            ToolCallDelta(0, "call_a", "f", "{}"),
            ToolCallDelta(1, "call_b", "g", "{}"),
            ToolCallDelta(2, "id0", "h", "{}"),
            UsageReport(Usage(3, 2)),
            Finish("tool_calls"),
        ],
    ),
    "cut-by-the-limit": (
        chat("a") + chat(done=True, beside={"done_reason": "length"}),
        [Start(model="m"), TextDelta("a"), UsageReport(Usage()), Finish("length")],
    ),
    "an-old-server-says-no-reason": (
        chat("a") + chat(done=True),
        [Start(model="m"), TextDelta("a"), UsageReport(Usage()), Finish("stop")],
    ),
    "a-prompt-from-the-cache-is-not-counted": (
        chat("a") + chat(done=True, beside={"eval_count": 2.0, "prompt_eval_count": -1}),
        [Start(model="m"), TextDelta("a"), UsageReport(Usage(None, 2)), Finish("stop")],
    ),
    "nothing-but-the-end": (DONE, [Start(model="m"), *END]),
    "generate": (
        line(response="", thinking="hm") + line(response="a") + line(response="", done=True, context=[1, 2], **STOP),
        [Start(model="m"), ReasoningDelta("hm"), TextDelta("a"), *END],
    ),
    "nulls-and-unknown-fields": (
        line(message=None, response=None, error=None, new={"a": [1]}) + chat(None, tool_calls=None) + chat("a") + DONE,
        [Start(model="m"), TextDelta("a"), *END],
    ),
    "blank-lines-between": (
        b"\n" + chat("a") + b"\r\n \n" + DONE + b"\n",
        [Start(model="m"), TextDelta("a"), *END],
    ),
    "no-last-line-feed": (chat("a") + DONE[:-1], [Start(model="m"), TextDelta("a"), *END]),
}


@pytest.mark.parametrize(("stream", "events"), STREAMS.values(), ids=STREAMS)
def test_streams_decode(stream: bytes, events: list[Event]) -> None:
    decoded, progress = decode([stream])
    assert decoded == events
    assert progress.complete
    assert progress.model == "m"
    assert progress.failure is None
    assert progress.content == (len(events) > 3)
    assert progress.usage == next(event.usage for event in events if isinstance(event, UsageReport))
    assert progress.finish == next(event.reason for event in events if isinstance(event, Finish))
    called = [event.id for event in events if isinstance(event, ToolCallDelta)]
    assert progress.tool_call_id == (called[0] if called else None)


@pytest.mark.parametrize(("stream", "events"), STREAMS.values(), ids=STREAMS)
def test_any_split_decodes_to_the_same_events(stream: bytes, events: list[Event]) -> None:
    for at in range(len(stream) + 1):
        assert decode([stream[:at], stream[at:]])[0] == events
    assert decode([stream[i : i + 1] for i in range(len(stream))])[0] == events


@pytest.mark.parametrize(("stream", "events"), STREAMS.values(), ids=STREAMS)
def test_streams_pass_unchanged(stream: bytes, events: list[Event]) -> None:
    whole = stream if stream.endswith(b"\n") else stream + b"\n"
    _, decoded = decode([stream])
    for at in range(len(stream) + 1):
        passed, progress = watch([stream[:at], stream[at:]])
        assert passed == whole
        for name in ("content", "complete", "finish", "usage", "model", "failure"):
            assert getattr(progress, name) == getattr(decoded, name)
        assert (progress.tool_call_id is None) == (decoded.tool_call_id is None)


@pytest.mark.parametrize(("made", "shown"), [(call("f", {}), ""), (call("f", {}, id="call_a"), "call_a")])
def test_a_watched_call_shows_the_id_that_the_client_sees(made: dict[str, Any], shown: str) -> None:
    assert watch([chat(tool_calls=[made]) + DONE])[1].tool_call_id == shown


def test_watch_gives_whole_lines_as_they_come() -> None:
    machine = WIRE.watch(REQUEST)
    first = chat("a")
    assert machine.feed(first[:10]) == b""
    assert machine.feed(first[10:] + DONE[:5]) == first
    assert machine.feed(DONE[5:]) == DONE
    assert machine.feed(b"anything after the end\n") == b"anything after the end\n"
    assert machine.close() == b""


@pytest.mark.parametrize(
    ("chunk", "fresh"),
    [
        (chat("a"), True),
        (chat(thinking="a"), True),
        (chat(tool_calls=[call("f", {})]), True),
        (DONE, True),
        (chat(""), False),
        (b"\n", False),
    ],
)
def test_only_news_is_fresh(chunk: bytes, fresh: bool) -> None:
    for machine in (Decoder(), WIRE.watch(REQUEST)):
        machine.feed(chat("x"))
        machine.progress.fresh = False
        machine.feed(chunk)
        assert machine.progress.fresh is fresh


def test_made_up_ids_differ() -> None:
    assert len({new_call_id() for _ in range(100)}) == 100


# --- bad streams ------------------------------------------------------------------------------------------------------

BAD: dict[str, tuple[bytes, type[UpstreamError]]] = {
    "empty": (b"", UpstreamTruncated),
    "blank": (b"\n\n", UpstreamTruncated),
    "no-end": (chat("a"), UpstreamTruncated),
    "cut-inside-a-line": (chat("a") + DONE[:20], UpstreamTruncated),
    "html": (b"<html>captive portal</html", UpstreamInvalidResponse),
    "html-lines": (b"<html>\n</html>\n", UpstreamInvalidResponse),
    "cut-json": (b'{"model":"m",\n', UpstreamInvalidResponse),
    "not-an-object": (b"[]\n", UpstreamInvalidResponse),
    "an-object-that-says-nothing": (b"{}", UpstreamInvalidResponse),
    "a-line-that-says-nothing": (b'{"model":"m"}\n', UpstreamInvalidResponse),
    "server-sent-events": (b"data: {}\n\n", UpstreamInvalidResponse),
    "wrong-type": (b'{"message":{"content":5}}\n', UpstreamInvalidResponse),
    "invalid-utf-8": (b'{"message":{"content":"\xff"}}\n', UpstreamInvalidResponse),
    "too-deep": (b'{"error":' + b"[" * 100_000 + b"\n", UpstreamInvalidResponse),
    "giant": (b'{"a":"' + b"x" * MAX_EVENT_BYTES, UpstreamResponseTooLarge),
}


@pytest.mark.parametrize(("stream", "error"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("run", [decode, watch])
def test_bad_streams(run: Any, stream: bytes, error: type[UpstreamError]) -> None:
    with pytest.raises(UpstreamError) as caught:
        run([stream])
    assert type(caught.value) is error


def test_arguments_that_are_no_text() -> None:
    stream = b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":"\xff"}}}]}}\n'
    with pytest.raises(UpstreamInvalidResponse):
        decode([stream])


def test_half_a_character_breaks_nothing() -> None:
    stream = b'{"message":{"content":"a\\ud83d"}}\n{"message":{"content":"\\ude42b"},"done":true}\n'
    events, progress = decode([stream])
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["a\ufffd", "\ufffdb"]
    assert progress.complete
    assert watch([stream])[0] == stream


def test_what_comes_before_a_bad_line_of_the_same_chunk_is_passed_on() -> None:
    decoder, watched = Decoder(), WIRE.watch(REQUEST)
    assert decoder.feed(chat("a") + b"garbage\n" + DONE) == [Start(model="m"), TextDelta("a")]
    assert watched.feed(chat("a") + b"garbage\n" + DONE) == chat("a")
    for machine in (decoder, watched):
        assert isinstance(machine.progress.broken, UpstreamInvalidResponse)
        assert not machine.progress.complete
        with pytest.raises(UpstreamInvalidResponse):
            machine.close()


ERRORS: list[tuple[Any, Failure]] = [
    ("model runner has unexpectedly stopped", Failure("model runner has unexpectedly stopped")),
    ({"message": "full", "code": "busy"}, Failure("full", "busy")),
    ([{"message": "full"}], Failure("full")),
    (True, Failure("the provider reported an error")),
    ({"code": 5}, Failure("the provider reported an error")),
    ("key sk-abcdefghijklmnop\n", Failure("key [key]")),
]


@pytest.mark.parametrize(("value", "failure"), ERRORS)
@pytest.mark.parametrize("before", [b"", chat("a")])
def test_an_error_line_ends_the_stream(before: bytes, value: Any, failure: Failure) -> None:
    stream = before + json.dumps({"error": value}).encode() + b"\n" + DONE
    started: list[Event] = [Start(model="m"), TextDelta("a")] if before else []
    for at in range(len(stream) + 1):
        events, progress = decode([stream[:at], stream[at:]])
        assert events == [*started, failure]
        assert progress.failure == failure
        assert not progress.complete
        passed, progress = watch([stream[:at], stream[at:]])
        assert passed == before
        assert progress.failure == failure
        assert progress.content == bool(before)
