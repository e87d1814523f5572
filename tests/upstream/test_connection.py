"""The parser's side of a connection, fed by hand: every split of the bytes, every limit, every way to break HTTP."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.transport import BrokenMessage, Disconnected, Exchange, Route, Truncated
from gateway.transport.connection import HIGH_WATER_BYTES, MAX_HEAD_BYTES, Connection

ROUTE = Route("http", "example.test", 80)


class FakeStream(asyncio.Transport):
    """A socket that remembers what was done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.aborted = False
        self.paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Bench:
    """A connection with a request on it, and an owner that notes what becomes of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, is_head: bool = False) -> None:
        self.released = 0
        self.is_lost = False
        self.stream = FakeStream()
        self.connection = Connection(ROUTE, self, loop)
        self.connection.connection_made(self.stream)
        self.exchange = self.begin(is_head=is_head)

    def begin(self, *, is_head: bool = False) -> Exchange:
        return self.connection.begin(b"POST / HTTP/1.1\r\n\r\n", b"", end_by=1e9, is_head=is_head)

    def release(self, connection: Connection) -> None:
        self.released += 1

    def lost(self, connection: Connection) -> None:
        self.is_lost = True

    def feed(self, *pieces: bytes) -> None:
        """Delivers ``pieces`` as a loop does: nothing more to a connection that is closing."""
        for piece in pieces:
            if piece and not self.is_lost:
                self.connection.data_received(piece)


async def body_of(exchange: Exchange) -> bytes:
    await exchange.answered(1e9)
    received = b""
    while data := await exchange.read(1e9):
        received += data
    return received


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")


PLAIN = head("Content-Type: application/json", "Content-Length: 5") + b"hello"
CHUNKED = head("Transfer-Encoding: chunked", "X-A: b") + b"2;ext=1\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: t\r\n\r\n"
INTERIM = head(status="100 Continue") + head("Link: </a>", status="103 Early Hints") + CHUNKED


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, INTERIM], ids=["length", "chunked", "interim"])
async def test_any_split_is_the_same_answer(answer: bytes) -> None:
    loop = asyncio.get_running_loop()
    splits = [(answer[:cut], answer[cut:]) for cut in range(len(answer))]
    for pieces in [*splits, tuple(bytes([byte]) for byte in answer)]:
        bench = Bench(loop)
        bench.feed(*pieces)
        assert await body_of(bench.exchange) == b"hello"
        assert bench.exchange.status == 200
        assert bench.exchange.clean
        assert bench.exchange.headers[0][0] in (b"content-type", b"transfer-encoding")
        assert (b"x-trailer", b"t") not in bench.exchange.headers
        assert bench.released == 1
        assert not bench.is_lost


async def test_a_message_at_once_is_whole_and_can_still_be_read() -> None:
    bench = Bench(asyncio.get_running_loop())
    bench.feed(CHUNKED)
    assert bench.exchange.whole == b"hello"
    assert await body_of(bench.exchange) == b"hello"


async def test_pieces_of_one_delivery_are_one_chunk() -> None:
    bench = Bench(asyncio.get_running_loop())
    bench.feed(head("Transfer-Encoding: chunked") + b"2\r\nhe\r\n3\r\nllo\r\n")
    assert bench.exchange.whole is None
    assert await bench.exchange.read(1e9) == b"hello"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_statuses_without_a_body(status: str) -> None:
    bench = Bench(asyncio.get_running_loop())
    bench.feed(head("Content-Length: 5", status=status))
    assert bench.exchange.whole == b""
    assert bench.released == 1


async def test_an_answer_to_head_has_no_body() -> None:
    bench = Bench(asyncio.get_running_loop(), is_head=True)
    bench.feed(head("Content-Length: 5"))
    assert bench.exchange.whole == b""
    assert bench.is_lost


@pytest.mark.parametrize(
    "received",
    [
        pytest.param(b"SSH-2.0-x\r\n", id="not HTTP"),
        pytest.param(head("X-Up: a\rSet-Cookie: b=1", "Content-Length: 0"), id="CR in a value"),
        pytest.param(head("X-Up: a\nSet-Cookie: b=1", "Content-Length: 0"), id="LF in a value"),
        pytest.param(head("X-Up: a\0b", "Content-Length: 0"), id="NUL in a value"),
        pytest.param(head("X-Up: a", " folded", "Content-Length: 0"), id="folded value"),
        pytest.param(head("X-Up : a", "Content-Length: 0"), id="space before the colon"),
        pytest.param(head("nonsense", "Content-Length: 0"), id="no colon"),
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", id="bare line feeds"),
        pytest.param(head("Content-Length: 2", "Content-Length: 3") + b"{}", id="two lengths"),
        pytest.param(head("Content-Length: 2", "Transfer-Encoding: chunked") + b"{}", id="length and chunks"),
        pytest.param(head("Content-Length: -1"), id="negative length"),
        pytest.param(head("Upgrade: x", "Connection: upgrade", status="101 Switching"), id="switches protocols"),
        pytest.param(head(status="101 Switching"), id="switches protocols without saying to what"),
        pytest.param(head("Content-Length: 0", status="099 Low"), id="status below 100"),
        pytest.param(head(*(f"X-{n}: v" for n in range(300)), "Content-Length: 0"), id="too many headers"),
        pytest.param(head("X-Long: " + "v" * MAX_HEAD_BYTES, "Content-Length: 0"), id="head too large, at once"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"v" * MAX_HEAD_BYTES, id="head too large, without an end"),
        pytest.param(head(status="100 Continue") * 4000, id="interim answers for ever"),
    ],
)
async def test_broken_heads(received: bytes) -> None:
    bench = Bench(asyncio.get_running_loop())
    bench.feed(received)
    with pytest.raises(BrokenMessage):
        await bench.exchange.answered(1e9)
    assert bench.is_lost
    assert bench.released == 0


@pytest.mark.parametrize(
    "received",
    [
        pytest.param(b"zz\r\n", id="chunk size"),
        pytest.param(b"5\r\nhello!", id="chunk longer than announced"),
        pytest.param(b"5\n", id="bare line feed"),
        pytest.param(b"0\r\nX: " + b"v" * MAX_HEAD_BYTES, id="endless trailer"),
        pytest.param(b"5;" + b"x" * MAX_HEAD_BYTES, id="endless chunk extension"),
    ],
)
async def test_broken_bodies_fail_after_what_came_before(received: bytes) -> None:
    bench = Bench(asyncio.get_running_loop())
    bench.feed(head("Transfer-Encoding: chunked") + b"2\r\nhi\r\n", received)
    assert await bench.exchange.read(1e9) in (b"hi", b"hihello")
    with pytest.raises(BrokenMessage):
        await bench.exchange.read(1e9)
    assert bench.is_lost


async def test_closed_before_the_head() -> None:
    for received, silent in ((b"", True), (b"HTTP/1.1 2", False), (head(status="100 Continue"), False)):
        bench = Bench(asyncio.get_running_loop())
        bench.feed(received)
        bench.connection.eof_received()
        with pytest.raises(Disconnected) as raised:
            await bench.exchange.answered(1e9)
        assert raised.value.silent is silent


@pytest.mark.parametrize(
    ("framing", "body", "error", "cut"),
    [
        ("Content-Length: 100", b'{"a"', None, True),
        ("Transfer-Encoding: chunked", b'4\r\n{"a"\r\n', None, True),
        ("Connection: close", b'{"a"', ConnectionResetError(), True),
        ("Connection: close", b'{"a"', None, False),
    ],
    ids=["short length", "no last chunk", "reset", "ended by the close"],
)
async def test_closed_inside_the_body(framing: str, body: bytes, error: Exception | None, cut: bool) -> None:
    bench = Bench(asyncio.get_running_loop())
    bench.feed(head(framing) + body)
    if error is None:
        bench.connection.eof_received()
    bench.connection.connection_lost(error)
    assert await bench.exchange.read(1e9) == b'{"a"'
    if cut:
        with pytest.raises(Truncated):
            await bench.exchange.read(1e9)
    else:
        assert await bench.exchange.read(1e9) == b""
        assert bench.exchange.ended
    assert not bench.exchange.clean
    assert bench.is_lost


@pytest.mark.parametrize(
    "surplus", [PLAIN, b"x", b"HTTP/1.1 200"], ids=["another answer", "nonsense", "the beginning of an answer"]
)
async def test_bytes_after_the_answer_end_the_connection(surplus: bytes) -> None:
    at_once = Bench(asyncio.get_running_loop())
    at_once.feed(PLAIN + surplus)
    assert await body_of(at_once.exchange) == b"hello"
    assert at_once.is_lost
    assert at_once.released == 0
    later = Bench(asyncio.get_running_loop())
    later.feed(PLAIN, surplus)
    assert await body_of(later.exchange) == b"hello"
    assert later.is_lost


@pytest.mark.parametrize("answer", [head("Connection: close", "Content-Length: 0"), b"HTTP/1.0" + PLAIN[8:]])
async def test_answers_that_end_the_connection(answer: bytes) -> None:
    bench = Bench(asyncio.get_running_loop())
    bench.feed(answer)
    assert bench.exchange.clean
    assert bench.is_lost
    assert bench.released == 0


async def test_an_answer_before_the_request_is_sent_ends_the_connection() -> None:
    bench = Bench(asyncio.get_running_loop())
    bench.stream.unsent = 1
    bench.feed(PLAIN)
    assert bench.exchange.whole == b"hello"
    assert bench.is_lost


async def test_a_connection_carries_one_exchange_after_the_other() -> None:
    bench = Bench(asyncio.get_running_loop())
    for answer in (PLAIN, CHUNKED, INTERIM, PLAIN):
        bench.feed(answer)
        assert bench.exchange.whole == b"hello"
        bench.exchange = bench.begin()
    assert bench.released == 4


async def test_a_fast_peer_is_held_back_until_its_bytes_are_read() -> None:
    bench = Bench(asyncio.get_running_loop())
    bench.feed(head("Content-Length: 10000000") + b"x" * HIGH_WATER_BYTES)
    before = bench.stream.paused
    bench.feed(b"x")
    held = bench.stream.paused
    assert len(await bench.exchange.read(1e9)) == HIGH_WATER_BYTES + 1
    assert (before, held, bench.stream.paused) == (False, True, False)


async def test_a_connection_is_not_handed_on_while_it_is_held_back() -> None:
    bench = Bench(asyncio.get_running_loop())
    bench.feed(head(f"Content-Length: {HIGH_WATER_BYTES + 2}") + b"x" * (HIGH_WATER_BYTES + 1), b"x")
    assert bench.released == 1
    assert not bench.stream.paused


async def test_a_late_reader_does_not_touch_the_next_ones_deadline() -> None:
    bench = Bench(asyncio.get_running_loop())
    first = asyncio.create_task(bench.exchange.answered(7.0))
    await asyncio.sleep(0)

    async def next_one() -> None:
        bench.feed(PLAIN)
        await bench.begin().answered(5.0)

    second = asyncio.create_task(next_one())
    await first
    assert bench.connection.deadline == 5.0
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_large_bodies_are_not_joined_to_their_head() -> None:
    bench = Bench(asyncio.get_running_loop())
    bench.feed(PLAIN)
    bench.stream.written = b""
    body = b"x" * 100_000
    bench.connection.begin(b"head\r\n\r\n", body, end_by=1e9, is_head=False)
    assert bench.stream.written == b"head\r\n\r\n" + body


PARTS = st.sampled_from([PLAIN, CHUNKED, INTERIM, b"\r\n", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", b"\0"])


@given(st.lists(PARTS | st.binary(max_size=20), max_size=8), st.booleans())
@settings(max_examples=150, deadline=None)
def test_no_bytes_are_an_exception_in_the_loop(pieces: list[bytes], is_head: bool) -> None:
    loop = asyncio.new_event_loop()
    try:
        bench = Bench(loop, is_head=is_head)
        bench.feed(*pieces)
        bench.connection.eof_received()
        bench.connection.connection_lost(None)
        assert bench.is_lost
    finally:
        loop.close()
