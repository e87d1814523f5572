"""Lines of a stream, however it is cut."""

from __future__ import annotations

import pytest

from gateway.errors import UpstreamResponseTooLarge
from gateway.wire.ndjson import Splitter
from gateway.wire.protocol import MAX_EVENT_BYTES

STREAM = '{"a":"é漢🙂\u2028\u0085"}\n\n{"b":2}\r\n{"c":3}'.encode()
LINES = ['{"a":"é漢🙂\u2028\u0085"}\n'.encode(), b"\n", b'{"b":2}\r\n']
REST = b'{"c":3}'


def split(chunks: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = Splitter()
    return [line for chunk in chunks for line in splitter.feed(chunk)], splitter.close()


@pytest.mark.parametrize("at", range(len(STREAM) + 1))
def test_every_split_gives_the_same_lines(at: int) -> None:
    assert split([STREAM[:at], STREAM[at:]]) == (LINES, REST)


def test_byte_by_byte_gives_the_same_lines() -> None:
    assert split([STREAM[i : i + 1] for i in range(len(STREAM))]) == (LINES, REST)


@pytest.mark.parametrize(
    ("chunk", "lines", "rest"),
    [
        (b"", [], b""),
        (b"\n", [b"\n"], b""),
        (b"x", [], b"x"),
        (b"x\n", [b"x\n"], b""),
        (b"x\ny", [b"x\n"], b"y"),
        (b"x\ny\n", [b"x\n", b"y\n"], b""),
    ],
)
def test_one_chunk(chunk: bytes, lines: list[bytes], rest: bytes) -> None:
    assert split([chunk]) == (lines, rest)


def test_lines_add_up_to_the_stream() -> None:
    lines, rest = split([STREAM])
    assert b"".join(lines) + rest == STREAM


def test_a_line_over_the_limit_is_refused_before_it_is_whole() -> None:
    splitter = Splitter()
    assert splitter.feed(b"x" * MAX_EVENT_BYTES) == []
    with pytest.raises(UpstreamResponseTooLarge):
        splitter.feed(b"x")


def test_close_forgets() -> None:
    splitter = Splitter()
    splitter.feed(b"x")
    assert splitter.close() == b"x"
    assert splitter.close() == b""
