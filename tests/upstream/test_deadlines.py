"""Every wall-clock rule, at work: what moves a deadline, and what does not."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config.model import Timers
from gateway.errors import UpstreamTimeout
from gateway.upstream import Upstream
from tests.faultserver import FaultServer, Step, answer, chunk, drip, end, hang, head, pause, repeat, send, wait

from .provider import PATH, drained, post, provider

#: The rule under test is the only one that can end the exchange.
FIRST_BYTE = Timers(connect=5.0, first_byte=0.06, idle=5.0, total=10.0)
IDLE = Timers(connect=5.0, first_byte=5.0, idle=0.06, total=10.0)
TOTAL = Timers(connect=5.0, first_byte=5.0, idle=5.0, total=0.1)
#: For what must not time out, although it goes on for longer.
STEADY = Timers(connect=5.0, first_byte=5.0, idle=0.15, total=10.0)

COMMENTS = repeat(1000, chunk(": keep-alive\n\n"), pause(0.01))
FLOOD = repeat(1_000_000, chunk(": keep-alive\n\n" * 100))
CONTENT = repeat(1000, chunk("data: x\n\n"), pause(0.01))


@pytest.mark.parametrize("step", [hang(), COMMENTS, FLOOD, drip("1\r\n:\r\n" * 1000, 0.01)])
async def test_the_first_content_is_late_whatever_else_comes(upstream: Upstream, step: Step) -> None:
    async with FaultServer([head(), step]) as server:
        reply = await post(upstream, provider(server.url), timers=FIRST_BYTE)
        with pytest.raises(UpstreamTimeout, match="acme: no more content in time"):
            await drained(reply)
        await server.until(lambda: server.open == 0)


@pytest.mark.parametrize("step", [hang(), COMMENTS, FLOOD])
async def test_content_stops(upstream: Upstream, step: Step) -> None:
    async with FaultServer([head(), chunk("data: x\n\n"), step]) as server:
        reply = await post(upstream, provider(server.url), timers=IDLE)
        await reply.chunk()
        reply.progress()
        with pytest.raises(UpstreamTimeout, match="no more content"):
            await drained(reply)
        await server.until(lambda: server.open == 0)


async def test_content_moves_the_deadline(upstream: Upstream) -> None:
    async with FaultServer([head(), repeat(20, chunk("x"), pause(0.01)), end()]) as server:
        reply = await post(upstream, provider(server.url), timers=STEADY)
        assert await drained(reply, content=True) == b"x" * 20


@pytest.mark.parametrize("step", [hang(), COMMENTS, CONTENT, FLOOD])
async def test_an_answer_takes_too_long(upstream: Upstream, step: Step) -> None:
    async with FaultServer([head(), step]) as server:
        reply = await post(upstream, provider(server.url), timers=TOTAL)
        with pytest.raises(UpstreamTimeout, match="acme: the answer took too long"):
            await drained(reply, content=True)
        await server.until(lambda: server.open == 0)


async def test_a_slow_reader_is_not_the_providers_fault(upstream: Upstream) -> None:
    """The comment was no content, and the reader then takes longer than the idle time."""
    more = asyncio.Event()
    async with FaultServer([head(), chunk("data: x\n\n"), wait(more), chunk(": c\n\n"), end()]) as server:
        reply = await post(upstream, provider(server.url), timers=STEADY)
        await reply.chunk()
        reply.progress()
        more.set()
        assert await reply.chunk() == b": c\n\n"
        await asyncio.sleep(0.25)
        assert await reply.chunk() == b""


async def test_a_slow_reader_does_not_outlive_the_total(upstream: Upstream) -> None:
    async with FaultServer([head(), chunk("x"), hang()]) as server:
        reply = await post(upstream, provider(server.url), timers=TOTAL)
        await reply.chunk()
        # Nobody reads, and yet the connection is closed.
        await server.until(lambda: server.open == 0)
        with pytest.raises(UpstreamTimeout, match="took too long"):
            await reply.chunk()


@pytest.mark.parametrize(
    "steps", [[hang()], [head(), hang()], [head("application/json"), drip("1\r\n{\r\n" * 1000, 0.01)]]
)
async def test_the_callers_deadline_ends_everything(upstream: Upstream, steps: list[Step]) -> None:
    async with FaultServer(steps) as server:
        deadline = asyncio.get_running_loop().time() + 0.1

        async def ask() -> bytes:
            reply = await upstream.open(provider(server.url), PATH, b"{}", accept=b"*/*", deadline=deadline)
            return await reply.read(1000)

        with pytest.raises(UpstreamTimeout):
            await ask()
        await server.until(lambda: server.open == 0)


async def test_the_rest_can_be_hurried(upstream: Upstream) -> None:
    async with FaultServer([head(), chunk("data: [DONE]\n\n"), COMMENTS]) as server:
        reply = await post(upstream, provider(server.url))
        await reply.chunk()
        reply.progress()
        reply.hurry(0.05)
        reply.hurry(60.0)
        with pytest.raises(UpstreamTimeout, match="took too long"):
            await drained(reply)
        await server.until(lambda: server.open == 0)


async def test_a_deadline_that_has_passed_dials_nobody(upstream: Upstream) -> None:
    async with FaultServer([answer()]) as server:
        deadline = asyncio.get_running_loop().time() - 1
        with pytest.raises(UpstreamTimeout, match="no time left"):
            await upstream.open(provider(server.url), PATH, b"{}", accept=b"*/*", deadline=deadline)
        assert server.accepted == 0


async def test_every_byte_of_a_whole_body_is_content(upstream: Upstream) -> None:
    slow = [send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"), drip("x" * 20, 0.01)]
    async with FaultServer(slow) as server:
        reply = await post(upstream, provider(server.url), timers=STEADY)
        assert await reply.read(20) == b"x" * 20
