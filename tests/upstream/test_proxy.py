"""Outbound proxies: forwarding for http://, a tunnel for https://."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from gateway.config.model import Timers
from gateway.errors import UpstreamConnectFailed, UpstreamError, UpstreamTimeout, UpstreamTLSFailed
from gateway.upstream import Upstream
from tests.faultserver import FaultServer, Peer, Step, answer, fin, hang, send

from .provider import KEY, WIRES, drained, post, provider

SHORT = Timers(connect=0.05, first_byte=5.0, idle=5.0, total=5.0)


def tunnel(port: int) -> Step:
    """Answers CONNECT, and from there on carries bytes to and from ``port``."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()

    async def step(peer: Peer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await peer.send(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
        ways = [asyncio.ensure_future(carry(peer.reader, writer)), asyncio.ensure_future(carry(reader, peer.writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.transport.abort()
            peer.writer.transport.abort()

    return step


async def test_plain_http_is_forwarded(upstream: Upstream) -> None:
    async with FaultServer([answer()]) as proxy:
        target = provider("http://provider.test/v1", proxy=f"http://us%40er:pass@127.0.0.1:{proxy.port}")
        for _ in range(2):
            assert (await post(upstream, target)).whole == b"{}"
        request = proxy.requests[0]
        assert request.target == "http://provider.test/v1/chat/completions"
        assert request.headers["host"] == "provider.test"
        assert request.headers["proxy-authorization"] == "Basic dXNAZXI6cGFzcw=="
        assert proxy.accepted == 1


async def test_https_goes_through_a_tunnel(upstream: Upstream, server_context: ssl.SSLContext) -> None:
    async with FaultServer([answer()], context=server_context) as server, FaultServer([tunnel(server.port)]) as proxy:
        target = provider(f"https://localhost:{server.port}/v1", proxy=f"http://user:pass@127.0.0.1:{proxy.port}")
        for _ in range(2):
            assert (await post(upstream, target)).whole == b"{}"
        connect = proxy.requests[0]
        assert (connect.method, connect.target) == ("CONNECT", f"localhost:{server.port}")
        assert connect.headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"
        assert KEY.encode() not in connect.head
        assert "proxy-authorization" not in server.requests[0].headers
        assert (proxy.accepted, len(server.requests)) == (1, 2)
        upstream.forget([target])
        await server.until(lambda: server.open == 0)


async def test_a_proxy_that_speaks_tls_itself(upstream: Upstream, server_context: ssl.SSLContext) -> None:
    async with (
        FaultServer([answer()], context=server_context) as server,
        FaultServer([tunnel(server.port)], context=server_context) as proxy,
    ):
        target = provider(server.url, proxy=proxy.url)
        for _ in range(2):
            assert await drained(await post(upstream, target)) == b"{}"
        assert (proxy.accepted, len(server.requests)) == (1, 2)


async def test_the_origin_must_prove_itself_behind_a_proxy(server_context: ssl.SSLContext) -> None:
    upstream = Upstream(wires=WIRES)
    async with FaultServer([answer()], context=server_context) as server, FaultServer([tunnel(server.port)]) as proxy:
        with pytest.raises(UpstreamTLSFailed):
            await post(upstream, provider(server.url, proxy=proxy.url))
        assert server.requests == []
        await proxy.until(lambda: proxy.open == 0)
    await upstream.aclose()


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ([answer("no", 407)], UpstreamConnectFailed),
        ([send("SSH-2.0-x\r\n\r\n"), hang()], UpstreamConnectFailed),
        ([send("HTTP/1.1 200 OK\r\n\r\nsurplus"), hang()], UpstreamConnectFailed),
        ([send("HTTP/1.1 200 OK\r\nX: " + "v" * 100_000), hang()], UpstreamConnectFailed),
        ([fin()], UpstreamConnectFailed),
        ([hang()], UpstreamTimeout),
        ([send("HTTP/1.1 200 OK\r\n\r\n"), hang()], UpstreamTimeout),
        ([send("HTTP/1.1 200 OK\r\n\r\n"), fin()], UpstreamError),
    ],
    ids=["407", "not HTTP", "surplus", "endless head", "closed", "silent", "no handshake", "closed in the handshake"],
)
async def test_tunnels_that_do_not_open(upstream: Upstream, steps: list[Step], error: type[UpstreamError]) -> None:
    async with FaultServer(steps) as proxy:
        target = provider("https://provider.test/v1", proxy=f"http://user:pass@127.0.0.1:{proxy.port}")
        with pytest.raises(error) as raised:
            await post(upstream, target, timers=SHORT)
        assert "pass" not in str(raised.value)
        await proxy.until(lambda: proxy.open == 0)


async def test_a_tunnel_that_is_cancelled(upstream: Upstream) -> None:
    async with FaultServer([hang()]) as proxy:
        asking = asyncio.ensure_future(post(upstream, provider("https://provider.test", proxy=proxy.url)))
        await proxy.until(lambda: len(proxy.requests) == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await proxy.until(lambda: proxy.open == 0)


async def test_proxies_of_the_environment_are_ignored(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FaultServer([answer('"proxy"')]) as proxy, FaultServer([answer('"provider"')]) as server:
        for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, proxy.url)
        assert (await post(upstream, provider(server.url))).whole == b'"provider"'


@pytest.mark.parametrize("fields", [{"proxy": "socks5://user:pass@a.test:1"}, {"proxy": "http://user:pass@a.test:1x"}])
async def test_proxies_that_cannot_be_used(upstream: Upstream, fields: dict[str, Any]) -> None:
    with pytest.raises(UpstreamConnectFailed, match="cannot be used") as raised:
        await post(upstream, provider("http://provider.test", **fields))
    assert "pass" not in str(raised.value)
