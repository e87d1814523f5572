"""TLS: who is believed, and how connections end inside it."""

from __future__ import annotations

import asyncio
import ssl

import pytest
import trustme

from gateway.config.model import Timers
from gateway.errors import UpstreamError, UpstreamProtocolError, UpstreamTimeout, UpstreamTLSFailed, UpstreamTruncated
from gateway.transport.connection import HIGH_WATER_BYTES
from gateway.transport.dial import default_context
from gateway.upstream import Upstream
from tests.faultserver import FaultServer, Peer, Step, answer, chunk, end, fin, hang, head, repeat, rst, send, wait

from .provider import WIRES, drained, post, provider

SHORT = Timers(connect=0.05, first_byte=5.0, idle=5.0, total=5.0)


async def test_a_good_certificate(upstream: Upstream, server_context: ssl.SSLContext) -> None:
    names: list[str | None] = []
    server_context.sni_callback = lambda connection, name, context: names.append(name)
    async with FaultServer([answer()], [head(), chunk("x"), end()], context=server_context) as server:
        target = provider(f"https://localhost:{server.port}")
        assert await (await post(upstream, target)).read(10) == b"{}"
        assert await drained(await post(upstream, target)) == b"x"
        assert server.accepted == 1
        assert names == ["localhost"]


async def test_http_2_is_not_offered(upstream: Upstream, server_context: ssl.SSLContext) -> None:
    chosen: list[str | None] = []

    async def note(peer: Peer) -> None:
        chosen.append(peer.writer.get_extra_info("ssl_object").selected_alpn_protocol())

    async with FaultServer([answer()], greeting=[note], context=server_context) as server:
        await post(upstream, provider(server.url))
    assert chosen == ["http/1.1"]


async def test_a_certificate_for_somebody_else(upstream: Upstream, authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.test").configure_cert(context)
    async with FaultServer([answer()], context=context) as server:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(UpstreamTLSFailed):
                await post(upstream, provider(f"https://{host}:{server.port}"))
        assert server.requests == []


async def test_an_unknown_authority(server_context: ssl.SSLContext) -> None:
    upstream = Upstream(wires=WIRES)
    async with FaultServer([answer()], context=server_context) as server:
        with pytest.raises(UpstreamTLSFailed):
            await post(upstream, provider(server.url))
        assert server.requests == []
    await upstream.aclose()


def test_the_default_verifies() -> None:
    context = default_context()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_no_tls_at_all(upstream: Upstream) -> None:
    async with FaultServer(greeting=[send("HTTP/1.1 400 Plain HTTP\r\n\r\n"), hang()]) as server:
        with pytest.raises(UpstreamTLSFailed):
            await post(upstream, provider(f"https://127.0.0.1:{server.port}"))
        await server.until(lambda: server.open == 0)


@pytest.mark.parametrize("step", [fin(), rst()], ids=["closed", "reset"])
async def test_closed_in_the_handshake(upstream: Upstream, step: Step) -> None:
    async with FaultServer(greeting=[step]) as server:
        with pytest.raises(UpstreamError):
            await post(upstream, provider(f"https://127.0.0.1:{server.port}"))


async def test_a_handshake_that_hangs(upstream: Upstream) -> None:
    async with FaultServer(greeting=[hang()]) as server:
        with pytest.raises(UpstreamTimeout):
            await post(upstream, provider(f"https://127.0.0.1:{server.port}"), timers=SHORT)
        await server.until(lambda: server.open == 0)


async def test_a_handshake_that_is_cancelled(upstream: Upstream) -> None:
    async with FaultServer(greeting=[hang()]) as server:
        asking = asyncio.ensure_future(post(upstream, provider(f"https://127.0.0.1:{server.port}")))
        await server.until(lambda: server.open == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await server.until(lambda: server.open == 0)


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ([send("SSH-2.0-x\r\n"), hang()], UpstreamProtocolError),
        ([fin()], UpstreamProtocolError),
        ([head(), chunk("x"), fin()], UpstreamTruncated),
        ([head(), chunk("x"), rst()], UpstreamTruncated),
        ([head(), chunk("x"), send("zz\r\n"), hang()], UpstreamProtocolError),
        ([head(), answer(), answer(), fin()], UpstreamProtocolError),
    ],
    ids=["not HTTP", "no answer", "closed", "reset", "framing", "nonsense and the end at once"],
)
async def test_faults_inside_tls(
    upstream: Upstream, server_context: ssl.SSLContext, steps: list[Step], error: type[UpstreamError]
) -> None:
    async with FaultServer(steps, context=server_context) as server:

        async def ask() -> None:
            await drained(await post(upstream, provider(server.url)))

        with pytest.raises(error):
            await ask()
        await server.until(lambda: server.open == 0)


async def test_a_stale_connection_is_replaced(upstream: Upstream, server_context: ssl.SSLContext) -> None:
    async with FaultServer([answer()], [fin()], [answer('"again"')], context=server_context) as server:
        await post(upstream, provider(server.url))
        assert (await post(upstream, provider(server.url))).whole == b'"again"'


async def test_nonsense_and_the_end_while_held_back(upstream: Upstream, server_context: ssl.SSLContext) -> None:
    """Both are found in one callback of asyncio's TLS, which may not be aborted from inside."""
    more = asyncio.Event()

    async def cut(peer: Peer) -> None:
        peer.writer.transport.abort()

    piece = b"x" * (HIGH_WATER_BYTES + 1)
    async with FaultServer([head(), chunk(piece), wait(more), send("zz\r\n"), cut], context=server_context) as server:
        reply = await post(upstream, provider(server.url))
        await asyncio.sleep(0.05)
        more.set()
        await server.until(lambda: server.open == 0)
        await asyncio.sleep(0.05)
        received: list[bytes] = []
        with pytest.raises(UpstreamError):
            await drained(reply, received)
        assert b"".join(received) == piece


async def test_a_cancelled_reader_closes_the_connection(upstream: Upstream, server_context: ssl.SSLContext) -> None:
    async with FaultServer([head(), chunk("x"), hang()], context=server_context) as server:
        reply = await post(upstream, provider(server.url))
        assert await reply.chunk() == b"x"
        reading = asyncio.ensure_future(reply.chunk())
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await server.until(lambda: server.open == 0)


async def test_a_server_is_held_back_by_a_slow_reader(upstream: Upstream, server_context: ssl.SSLContext) -> None:
    piece = b"x" * (1 << 16)
    async with FaultServer([head(), repeat(400, chunk(piece)), end()], context=server_context) as server:
        reply = await post(upstream, provider(server.url))
        sent = -1
        while sent < server.sent:
            sent = server.sent
            await asyncio.sleep(0.05)
        assert sent < 20 << 20
        assert len(await drained(reply)) == 400 * len(piece)
