"""The server's end of one request, against a server that is told what to do: bodies, slow readers, leaving clients."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.errors import BadRequest, RequestTimeout, RequestTooLarge
from gateway.server.exchange import PIECE, Attendant, ClientLeft, Exchange
from tests.faultserver import PATIENCE

#: Long enough to be sure that a deadline of a few milliseconds was not met, however busy the machine.
TICK = 0.005


class Server:
    """An ASGI server's two ends: plays ``messages``, then waits until :meth:`leave`; ``stuck`` takes no more bytes."""

    def __init__(self, *messages: tuple[bytes, bool]) -> None:
        self.sent: list[Any] = []
        self.stuck = False
        self._messages = list(messages)
        self._gone = asyncio.Event()

    async def receive(self) -> Any:
        if self._messages:
            body, more = self._messages.pop(0)
            return {"type": "http.request", "body": body, "more_body": more}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if self.stuck and message["type"] == "http.response.body":
            await asyncio.Event().wait()

    def leave(self) -> None:
        self._gone.set()


def exchange(server: Server, **seconds: float) -> Exchange:
    scope: Any = {"type": "http", "method": "POST", "headers": []}
    attendant = Attendant(tick=TICK, **seconds)
    return Exchange(attendant, scope, server.receive, server.send)


@pytest.mark.parametrize(
    ("messages", "declared", "body"),
    [
        ([(b"{}", True), (b"", False)], 2, b"{}"),
        ([(b"{}", True), (b"", False)], None, b"{}"),
        ([(b"{", True), (b"}", True), (b"", False)], None, b"{}"),
        ([(b"", False)], 0, b""),
    ],
)
async def test_a_body(messages: list[tuple[bytes, bool]], declared: int | None, body: bytes) -> None:
    with exchange(Server(*messages)) as it:
        assert await it.body(10, declared) == body


@pytest.mark.parametrize(("messages", "declared"), [([], 11), ([(b"123456", True), (b"123456", True)], None)])
async def test_a_body_over_the_limit(messages: list[tuple[bytes, bool]], declared: int | None) -> None:
    # There is no third message: to wait for one would be for ever.
    with exchange(Server(*messages)) as it, pytest.raises(RequestTooLarge):
        await it.body(10, declared)


@pytest.mark.parametrize("messages", [[], [(b"{", True)]])
async def test_a_body_that_does_not_come(messages: list[tuple[bytes, bool]]) -> None:
    server = Server(*messages)
    with exchange(server, body_seconds=0.01) as it:
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(RequestTimeout):
                await it.body(10, 5)
        # The refusal of the slow body is an answer like any other.
        await it.whole(408, [], b"late")
    assert server.sent[-1] == {"type": "http.response.body", "body": b"late", "more_body": False}


async def test_a_body_that_keeps_to_the_rate_may_take_long() -> None:
    class Slow(Server):
        async def receive(self) -> Any:
            await asyncio.sleep(2 * TICK)
            return await super().receive()

    pieces = [(b"12345678", True)] * 20
    with exchange(Slow(*pieces, (b"", False)), body_seconds=10 * TICK, body_rate=1.0) as it:
        assert await it.body(1000, None) == b"12345678" * 20


async def test_a_body_that_is_cut() -> None:
    server = Server((b"{", True))
    server.leave()
    with exchange(server) as it, pytest.raises(BadRequest) as caught:
        await it.body(10, 5)
    assert caught.value.code == "invalid_body"


async def test_work_ends_when_the_client_leaves() -> None:
    server = Server((b"{}", True), (b"", False))

    async def work() -> None:
        with exchange(server) as it:
            await it.body(10, 2)
            server.leave()
            await asyncio.Event().wait()

    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ClientLeft):
            await work()
    # The task goes on as if nobody had cancelled it.
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    async def work() -> None:
        with exchange(Server()):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(3 * TICK)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_client_that_takes_nothing_is_given_up() -> None:
    server = Server((b"", False))
    server.stuck = True

    async def work() -> None:
        with exchange(server, write_seconds=0.01) as it:
            await it.start(200, [])
            await it.write(b"event")

    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ClientLeft):
            await work()


async def test_a_large_answer_is_given_up_too() -> None:
    server = Server((b"", False))
    server.stuck = True
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ClientLeft), exchange(server, write_seconds=0.01) as it:
            await it.whole(200, [], b"x" * (2 * PIECE))
    # What is not sent yet is ours to drop.
    assert sum(len(message.get("body", b"")) for message in server.sent) == PIECE


async def test_idle_time_between_writes_is_not_the_client_s() -> None:
    server = Server((b"", False))
    with exchange(server, write_seconds=2 * TICK) as it:
        await it.start(200, [])
        await it.write(b"event")
        await asyncio.sleep(10 * TICK)
        await it.finish()


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 3 * PIECE])
async def test_an_answer_in_one_piece_or_several(size: int) -> None:
    server, body = Server((b"", False)), b"x" * size
    with exchange(server) as it:
        await it.whole(200, [(b"a", b"b")], body)
    head, *pieces = server.sent
    assert head["headers"] == [(b"a", b"b"), (b"content-length", b"%d" % size)]
    assert b"".join(piece["body"] for piece in pieces) == body
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]


async def test_one_attendant_looks_after_many_and_rests_when_they_are_gone() -> None:
    server = Server((b"", False))
    attendant = Attendant(tick=TICK)
    scope: Any = {"type": "http", "method": "GET", "headers": []}
    first, second = (Exchange(attendant, scope, server.receive, server.send) for _ in range(2))
    with first, second:
        assert len(attendant) == 2
    assert len(attendant) == 0
