"""Connections: kept, shared, given up, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.errors import UpstreamProtocolError, UpstreamTruncated
from gateway.transport import DeadlinePassed, Route, ThinTransport
from gateway.upstream import Reply, Upstream
from tests.faultserver import (
    FaultServer,
    Request,
    Script,
    Step,
    answer,
    chunk,
    end,
    fin,
    hang,
    head,
    repeat,
    send,
    wait,
)

from .provider import PATH, WIRES, drained, post, provider


async def test_connections_are_kept_and_the_last_one_is_used_first(upstream: Upstream) -> None:
    async with FaultServer(respond=lambda request: [answer()]) as server:
        await asyncio.gather(*(post(upstream, provider(server.url)) for _ in range(3)))
        assert server.accepted == 3
        for _ in range(5):
            await post(upstream, provider(server.url))
        assert server.accepted == 3
        assert len({request.connection for request in server.requests[3:]}) == 1


async def test_an_idle_connection_is_closed_in_time() -> None:
    transport = ThinTransport(idle=0.05)
    upstream = Upstream(transport=transport, wires=WIRES)
    async with FaultServer([answer()]) as server:
        await post(upstream, provider(server.url))
        await server.until(lambda: server.open == 0)
    await upstream.aclose()


async def test_a_connection_that_the_server_closes_is_not_used_again(upstream: Upstream) -> None:
    closing = asyncio.Event()

    async with FaultServer([answer(), wait(closing), fin()], [answer()]) as server:
        await post(upstream, provider(server.url))
        closing.set()
        await server.until(lambda: server.open == 0)
        await post(upstream, provider(server.url))
        assert server.accepted == 2


async def test_bytes_that_nobody_asked_for_are_nobodys_answer(upstream: Upstream) -> None:
    async with FaultServer([answer('"mine"'), answer('"poison"')]) as server:
        for _ in range(3):
            reply = await post(upstream, provider(server.url))
            assert await reply.read(10) == b'"mine"'
            await server.until(lambda: server.open == 0)


async def test_an_unfinished_reply_is_closed_at_once_and_a_finished_one_kept(upstream: Upstream) -> None:
    async with FaultServer([head(), chunk("x"), hang()], [answer()]) as server:
        reply = await post(upstream, provider(server.url))
        assert await reply.chunk() == b"x"
        reply.close()
        reply.close()
        await server.until(lambda: server.open == 0)
        reply = await post(upstream, provider(server.url))
        reply.close()
        await post(upstream, provider(server.url))
        assert server.accepted == 2


async def test_a_reload_closes_idle_connections_of_what_is_gone(upstream: Upstream) -> None:
    async with FaultServer([answer()]) as gone, FaultServer([answer()]) as kept:
        leaving, staying = provider(gone.url), provider(kept.url, name="other")
        await post(upstream, leaving)
        await post(upstream, staying)
        upstream.forget([leaving])
        await gone.until(lambda: gone.open == 0)
        await post(upstream, staying)
        assert kept.accepted == 1


async def test_a_reload_leaves_running_requests_alone(upstream: Upstream) -> None:
    more = asyncio.Event()
    async with FaultServer([head(), chunk("a"), wait(more), chunk("b"), end()]) as server:
        target = provider(server.url)
        reply = await post(upstream, target)
        assert await reply.chunk() == b"a"
        upstream.forget([target])
        more.set()
        assert await drained(reply) == b"b"


async def test_closing_ends_requests_that_are_under_way(upstream: Upstream) -> None:
    async with FaultServer([head(), hang()]) as server:
        reply = await post(upstream, provider(server.url))
        reading = asyncio.ensure_future(reply.chunk())
        await asyncio.sleep(0)
        await upstream.aclose()
        with pytest.raises(Exception, match="acme"):
            await reading
        await server.until(lambda: server.open == 0)
        with pytest.raises(UpstreamProtocolError):
            await post(upstream, provider(server.url))


def _by_path(request: Request) -> Script:
    scripts: dict[str, Script] = {
        "/silent": [hang()],
        "/stream": [head(), chunk("x"), hang()],
        "/fine": [answer()],
    }
    return scripts[request.target]


async def test_two_thousand_cancels_leave_nothing_behind(upstream: Upstream) -> None:
    """At any point: name, connect, head, body; the number of loop rounds before the cancel decides where."""

    async def ask(path: str) -> None:
        reply = await upstream.open(provider(server.url), path, b"{}", accept=b"*/*")
        await drained(reply)

    async with FaultServer(respond=_by_path) as server:
        for group in range(40):
            tasks = [asyncio.create_task(ask(("/silent", "/stream", "/fine")[n % 3])) for n in range(50)]
            for task in tasks:
                for _ in range(group % 5):
                    await asyncio.sleep(0)
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        open_ones = 50
        await server.until(lambda: server.open <= open_ones)
        for _ in range(20):
            await ask("/fine")
        assert server.open <= open_ones


async def test_a_cancelled_reader_closes_the_connection(upstream: Upstream) -> None:
    async with FaultServer([head(), chunk("x"), hang()]) as server:
        reply = await post(upstream, provider(server.url))
        assert await reply.chunk() == b"x"
        reading = asyncio.ensure_future(reply.chunk())
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await server.until(lambda: server.open == 0)


async def test_closing_wakes_who_waits(upstream: Upstream) -> None:
    async with FaultServer([head(), hang()]) as server:
        reply = await post(upstream, provider(server.url))
        reading = asyncio.ensure_future(reply.chunk())
        await asyncio.sleep(0)
        reply.close()
        with pytest.raises(UpstreamTruncated, match="acme: the answer was given up"):
            await reading


async def test_a_server_is_held_back_by_a_slow_reader(upstream: Upstream) -> None:
    """64 MB are ready; what the server could send before the first read is what sockets and one buffer hold."""
    piece = b"x" * (1 << 16)
    async with FaultServer([head(), repeat(1000, chunk(piece)), end()]) as server:
        reply = await post(upstream, provider(server.url))
        sent = -1
        while sent < server.sent:
            sent = server.sent
            await asyncio.sleep(0.05)
        assert sent < 20 << 20
        received = 0
        while data := await reply.chunk():
            assert len(data) <= 1 << 20
            received += len(data)
        assert received == 1000 * len(piece)


async def test_a_large_request_is_sent_whole(upstream: Upstream) -> None:
    body = bytes(range(256)) * 20_000
    async with FaultServer([answer()]) as server:
        await post(upstream, provider(server.url), body)
        assert server.requests[0].body == body


async def test_an_answer_before_the_request_is_read(upstream: Upstream) -> None:
    async with FaultServer(greeting=[answer('"early"'), hang()]) as server:
        reply = await post(upstream, provider(server.url), b"x" * 20_000_000)
        assert await reply.read(100) == b'"early"'
        await server.until(lambda: server.open == 0)


async def test_as_a_transport_of_httpx() -> None:
    steps: list[Step] = [head("text/plain"), chunk("hello"), end()]
    transport = ThinTransport()
    async with FaultServer(steps, [answer()], [hang()]) as server, httpx.AsyncClient(transport=transport) as client:
        response = await client.get(server.url + "/a?b=c")
        assert (response.status_code, response.text) == (200, "hello")
        response = await client.post(server.url, content=_parts())
        assert response.json() == {}
        with pytest.raises(DeadlinePassed):
            await client.get(server.url, timeout=0.05)
        assert [request.target for request in server.requests] == ["/a?b=c", "/", "/"]
        assert server.requests[1].body == b"onetwo"
        assert server.accepted == 1


async def test_a_head_request_over_httpx() -> None:
    steps = [send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")]
    async with FaultServer(steps) as server, httpx.AsyncClient(transport=ThinTransport()) as client:
        assert (await client.head(server.url)).headers["content-length"] == "5"


async def _parts() -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


async def test_a_reply_of_another_loop_round(upstream: Upstream) -> None:
    """Many readers at once, each with its own answer."""
    async with FaultServer(respond=lambda request: [answer(request.body)]) as server:

        async def ask(number: int) -> None:
            reply: Reply = await upstream.open(provider(server.url), PATH, b"%d" % number, accept=b"*/*")
            assert await reply.read(10) == b"%d" % number

        for _ in range(3):
            await asyncio.gather(*(ask(number) for number in range(50)))
        assert server.accepted <= 50


def test_routes() -> None:
    assert Route.of(httpx.URL("http://[::1]:8000/v1")).authority == b"[::1]:8000"
    assert Route.of(httpx.URL("https://a.test/v1")) == Route("https", "a.test", 443)
    assert Route.of(httpx.URL("https://a.test:443")).authority == b"a.test"
    with pytest.raises(ValueError, match="can be dialled"):
        Route.of(httpx.URL("ftp://a.test"))
