"""What is sent to a provider, and the ways to one that are not the network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.config.model import Provider, Secret, Timers
from gateway.errors import (
    UpstreamConnectFailed,
    UpstreamFailed,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamTruncated,
)
from gateway.upstream import Upstream
from tests.faultserver import FaultServer, answer

from .provider import PATH, WIRES, drained, post, provider

QUICKER = Timers(connect=0.1, first_byte=0.05, idle=0.05, total=5.0)


async def test_the_request_as_it_is_sent(upstream: Upstream) -> None:
    async with FaultServer([answer()]) as server:
        await post(upstream, provider(server.url + "/v1/"), b"{}", headers=[(b"openai-beta", b"x")])
        first, *lines = server.requests[0].head.decode().split("\r\n")
        assert first == "POST /v1/chat/completions HTTP/1.1"
        agent = lines.pop(1)
        assert agent.startswith("User-Agent: llm-relay/")
        assert lines == [
            f"Host: 127.0.0.1:{server.port}",
            "Accept-Encoding: identity",
            "Content-Type: application/json",
            "Authorization: Bearer sk-secret",
            "Accept: application/json",
            "openai-beta: x",
            "Content-Length: 2",
            "",
            "",
        ]


@pytest.mark.parametrize(
    "name",
    b"Authorization HOST content-type accept accept-encoding content-length user-agent "
    b"transfer-encoding connection proxy-authorization".split(),
)
async def test_what_is_set_here_cannot_be_overridden(upstream: Upstream, name: bytes) -> None:
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    foreign = Upstream(transport=httpx.MockTransport(respond), wires=WIRES)
    async with FaultServer([answer()]) as server:
        await post(upstream, provider(server.url), headers=[(name, b"hostile"), (b"x-fine", b"1")])
        assert b"hostile" not in server.requests[0].head
        assert server.requests[0].headers["x-fine"] == "1"
        await post(foreign, provider(server.url), headers=[(name, b"hostile"), (b"x-fine", b"1")])
        assert b"hostile" not in dict(seen[0].headers.raw).values()
        assert seen[0].headers["x-fine"] == "1"


@pytest.mark.parametrize("header", [(b"x", b"a\r\nHost: b"), (b"x", b"a\nb"), (b"x", b"\0"), (b"x\r\ny", b"a")])
async def test_no_header_can_hold_another(upstream: Upstream, header: tuple[bytes, bytes]) -> None:
    async with FaultServer([answer()]) as server:
        with pytest.raises(ValueError, match="control character"):
            await post(upstream, provider(server.url), headers=[header])
        assert server.requests == []


@pytest.mark.parametrize(
    "path",
    [
        *("", "x", "/", "//evil.test/x", "@evil.test/x", "http://evil.test/x", ":1/x"),
        *("/../x", "/a/..", "/a/../b", "/./x", "/%2e%2e/x", "/a\\..\\b"),
        *("/a b", "/a\r\nX: y", "/a#b", "/a?b#c", "/é"),
    ],
)
async def test_no_path_leads_elsewhere(upstream: Upstream, path: str) -> None:
    async with FaultServer([answer()]) as server:
        with pytest.raises(ValueError, match="below the provider's base_url"):
            await upstream.open(provider(server.url), path, b"{}", accept=b"*/*")
        assert server.accepted == 0


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/messages?beta=true", "/a.b/..c/d...", "/api/chat"])
async def test_paths_of_wires(upstream: Upstream, path: str) -> None:
    async with FaultServer([answer()]) as server:
        await upstream.open(provider(server.url), path, b"{}", accept=b"*/*")
        assert server.requests[0].target == path


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("ftp://a.test", "k"),
        ("http://", "k"),
        ("http://a.test:1x", "k"),
        ("http://a.test", "k\nHost: b"),
        ("http://a.test", "schlüssel"),
        ("sandbox:", "k"),
    ],
)
async def test_providers_that_cannot_be_dialled(upstream: Upstream, url: str, key: str) -> None:
    with pytest.raises(UpstreamConnectFailed, match="acme: its base_url, proxy or key cannot be used"):
        await post(upstream, provider(url, key=Secret(key)))


async def test_a_changed_provider_counts_at_once(upstream: Upstream) -> None:
    async with FaultServer([answer()]) as server:
        for key in ("first", "second"):
            await post(upstream, provider(server.url, key=Secret(key)))
        await post(upstream, provider(server.url, key=None))
        sent = [request.headers.get("authorization") for request in server.requests]
        assert sent == ["Bearer first", "Bearer second", None]
        # Connections of the older selves are closed: nothing is kept of what a reload has changed.
        await server.until(lambda: server.open == 1)
        await post(upstream, provider(server.url, key=None))
        assert server.accepted == 3


# --- other transports ---


class Stream(httpx.AsyncByteStream):
    """A body in pieces that notes whether it was closed; waits for ever at a None."""

    def __init__(self, *pieces: bytes | Exception | None) -> None:
        self._pieces = pieces
        self.closed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            if piece is None:
                await asyncio.Event().wait()
            elif isinstance(piece, Exception):
                raise piece
            else:
                yield piece

    async def aclose(self) -> None:
        self.closed.set()


class Foreign(httpx.AsyncBaseTransport):
    """Answers with what it was given; None never answers."""

    def __init__(self, response: httpx.Response | Exception | None) -> None:
        self.requests: list[httpx.Request] = []
        self.response = response
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.response is None:
            await asyncio.Event().wait()
        if isinstance(self.response, Exception):
            raise self.response
        assert self.response is not None
        return self.response

    async def aclose(self) -> None:
        self.closed = True


SANDBOX = "sandbox:"


def over(transport: Foreign) -> Upstream:
    return Upstream(sandbox=transport, wires=WIRES)


async def test_the_sandbox_is_asked_in_process() -> None:
    transport = Foreign(httpx.Response(200, json={"a": 1}, headers={"X-Up": "1"}))
    upstream = over(transport)
    reply = await post(upstream, provider(SANDBOX, key=None), b'{"model":"m"}')
    assert (reply.content_type, reply.whole) == ("application/json", b'{"a":1}')
    assert (b"x-up", b"1") in reply.headers
    assert await reply.read(100) == b'{"a":1}'
    assert await drained(reply) == b'{"a":1}'
    assert reply.ended_cleanly
    request = transport.requests[0]
    assert (request.url.path, await request.aread()) == (PATH, b'{"model":"m"}')
    assert request.headers["accept"] == "application/json"
    await upstream.aclose()
    assert transport.closed


async def test_the_seam_stands_for_every_provider() -> None:
    network, sandbox = Foreign(httpx.Response(200, text="network")), Foreign(httpx.Response(200, text="sandbox"))
    upstream = Upstream(transport=network, sandbox=sandbox, wires=WIRES)
    assert (await post(upstream, provider("https://a.test", proxy="http://b.test"))).whole == b"network"
    assert (await post(upstream, provider(SANDBOX, name="other"))).whole == b"sandbox"
    assert (await post(Upstream(transport=network, wires=WIRES), provider(SANDBOX))).whole == b"network"


async def test_a_foreign_stream() -> None:
    stream = Stream(b"a", b"", b"b")
    upstream = over(Foreign(httpx.Response(200, stream=stream)))
    reply = await post(upstream, provider(SANDBOX))
    assert reply.whole is None
    assert [await reply.chunk(), await reply.chunk(), await reply.chunk(), await reply.chunk()] == [
        b"a",
        b"b",
        b"",
        b"",
    ]
    assert reply.ended_cleanly
    await upstream.aclose()
    assert stream.closed.is_set()


async def test_a_foreign_stream_that_is_given_up() -> None:
    stream = Stream(b"a", b"b")
    upstream = over(Foreign(httpx.Response(200, stream=stream)))
    reply = await post(upstream, provider(SANDBOX))
    assert await reply.chunk() == b"a"
    reply.close()
    reply.close()
    await stream.closed.wait()
    assert await reply.chunk() == b""
    assert not reply.ended_cleanly


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (None, UpstreamTimeout),
        (httpx.ConnectError("x"), UpstreamConnectFailed),
        (httpx.Response(200, stream=Stream(b"a", None)), UpstreamTimeout),
        (httpx.Response(200, stream=Stream(b"a", httpx.ReadError("x"))), UpstreamTruncated),
        (httpx.Response(200, stream=Stream(b"a", httpx.DecodingError("x"))), UpstreamProtocolError),
        (httpx.Response(500, stream=Stream(b"a", httpx.ReadError("x"))), UpstreamFailed),
        (httpx.Response(500, text="no"), UpstreamFailed),
    ],
    ids=["silence", "refused", "hangs", "breaks", "nonsense", "error that breaks", "error"],
)
async def test_foreign_faults(response: httpx.Response | Exception | None, error: type[Exception]) -> None:
    upstream = over(Foreign(response))

    async def ask() -> None:
        reply = await post(upstream, provider(SANDBOX), timers=QUICKER)
        await drained(reply)

    with pytest.raises(error):
        await ask()
    await upstream.aclose()


async def test_a_foreign_reader_is_cancelled() -> None:
    stream = Stream(None)
    upstream = over(Foreign(httpx.Response(200, stream=stream)))
    reply = await post(upstream, provider(SANDBOX))
    reading = asyncio.ensure_future(reply.chunk())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    reply.close()
    await stream.closed.wait()


async def test_forgetting_what_was_never_used(upstream: Upstream) -> None:
    unknown: list[Provider] = [provider("http://a.test"), provider("http://b.test", name="b")]
    upstream.forget(unknown)
