"""Server-sent events are cut where the HTML standard says, wherever the network cut them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.errors import UpstreamResponseTooLarge
from gateway.wire import sse
from gateway.wire.protocol import MAX_EVENT_BYTES

# Four events: a comment, two lines of data, characters of two to four bytes, and characters that Unicode (not SSE)
# calls line ends.
_LINES: tuple[bytes, ...] = (b": hello", b"", b"id: 1", b"data: one", b"data:two", b"", "data: é漢🙂".encode(), b"")
_LINES += ("data: a\u2028b\u0085c\x0bd".encode(), b"", b"retry: 5", b"foo", b"data", b"", b"")
_DATA = [None, b"one\ntwo", "é漢🙂".encode(), "a\u2028b\u0085c\x0bd".encode(), b""]


def _pieces(stream: bytes) -> Iterator[list[bytes]]:
    """The stream cut once at every offset, and into single bytes."""
    for offset in range(len(stream) + 1):
        yield [stream[:offset], stream[offset:]]
    yield [stream[offset : offset + 1] for offset in range(len(stream))]


def _split(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = sse.Splitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return events, splitter.close()


def _data(events: list[bytes]) -> list[bytes | None]:
    return [None if found is None else found.rstrip(b"\r\n") for found in map(sse.data, events)]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_any_cut_gives_the_same_data_and_loses_no_byte(line_end: bytes) -> None:
    stream = line_end.join(_LINES)
    for pieces in _pieces(stream):
        events, rest = _split(pieces)
        assert b"".join(events) + rest == stream
        # A CRLF that was cut leaves its LF to the next event, where it is no data.
        assert [found for found in _data(events) if found is not None] == _DATA[1:]
        assert not rest.strip()


def test_line_ends_may_be_mixed() -> None:
    stream = b"data: 1\r\n\ndata: 2\n\r\ndata: 3\r\rdata: 4\n\rdata: 5\r\n\r\n"
    for pieces in _pieces(stream):
        events, rest = _split(pieces)
        assert _data(events) == [b"1", b"2", b"3", b"4", b"5"]
        assert not rest.strip()


@pytest.mark.parametrize(
    ("chunks", "events"),
    [
        ([b"data: 1\n\n"], [b"data: 1\n\n"]),
        ([b"data: 1\n\ndata: 2\n\n"], [b"data: 1\n\n", b"data: 2\n\n"]),
        ([b"data: 1\n\n\n\n"], [b"data: 1\n\n", b"\n\n"]),
        ([b"data: 1\n", b"\n"], [b"data: 1\n\n"]),
        ([b"\n", b"\n"], [b"\n\n"]),
        ([b"", b"\n\n", b""], [b"\n\n"]),
        ([b"data: 1\ndata: 2\n\n"], [b"data: 1\ndata: 2\n\n"]),
    ],
)
def test_raw_events_keep_their_blank_line(chunks: list[bytes], events: list[bytes]) -> None:
    assert _split(chunks) == (events, b"")


@pytest.mark.parametrize("mark", [b"", b"\xef", b"\xef\xbb", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_is_no_part_of_the_stream(mark: bytes) -> None:
    stream = b"data: 1\n\n\xef\xbb\xbf\n\n"
    whole = stream if len(mark) == 3 else mark + stream
    for pieces in _pieces(mark + stream):
        events, rest = _split(pieces)
        assert b"".join(events) + rest == whole
    assert _split([mark[:2]]) == ([], mark[:2])


def test_an_event_without_its_blank_line_is_left_over() -> None:
    assert _split([b"data: 1\n\ndata: 2\n"]) == ([b"data: 1\n\n"], b"data: 2\n")


@pytest.mark.parametrize("line_end", [b"", b"\r"], ids=["no line end", "CR"])
def test_an_endless_event_is_refused_before_it_is_whole(line_end: bytes) -> None:
    splitter = sse.Splitter()
    splitter.feed(b"data: " + line_end)
    with pytest.raises(UpstreamResponseTooLarge):
        splitter.feed(b"x" * MAX_EVENT_BYTES)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: x\n\n", b"x"),
        (b"data:x\n\n", b"x"),
        (b"data:  x\n\n", b" x"),
        (b"data: x\r\n\r\n", b"x"),
        (b"data: x\r\r", b"x"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"event: message\ndata: x\nid: 7\n\n", b"x"),
        (b"data\n\n", b""),
        (b"data: \n\n", b""),
        (b"\ndata: x\n\n", b"x"),
        (b": keep-alive\n\n", None),
        (b"retry: 1\n\n", None),
        (b"database: x\n\n", None),
        (b"\n\n", None),
    ],
)
def test_data_of_an_event(event: bytes, data: bytes | None) -> None:
    found = sse.data(event)
    assert (found if found is None else found.rstrip(b"\n")) == data
