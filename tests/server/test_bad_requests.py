"""Requests that are wrong as HTTP: framing, heads, methods, sizes and slow clients, on a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faultserver import PATIENCE, FaultServer
from tests.gatewayprocess import Gateway
from tests.server.errorshapes import check_error
from tests.server.providers import ENVIRON, PROVIDERS, obliging
from tests.server.rawhttp import LAST, Answer, exchange, parse, request, talk

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "ollama": "/api/chat"}
CHAT = PATHS["openai"]
ASK = {"model": "fake/m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5, "stream": False}
BODY = json.dumps(ASK).encode()
#: Bytes of body that this gateway takes.
LIMIT = 64 << 10

GATEWAY = """\
kind: gateway
allow_empty: true
limits: {body: 64KiB}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FaultServer]:
    async with obliging() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, provider: FaultServer) -> AsyncIterator[Gateway]:
    files = {"gateway.yaml": GATEWAY + PROVIDERS.format(url=provider.url)}
    async with Gateway(tmp_path_factory.mktemp("gateway"), files, environ=ENVIRON) as it:
        yield it


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def check(dialect: str, got: Answer, status: int, code: str) -> None:
    check_error(dialect, (got.status, got.headers, got.body), status, code)


# --- framing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(request(CHAT, BODY, "Content-Length: 4"), 400, id="two different lengths"),
        pytest.param(request(CHAT, BODY, "X-A: b\r\n folded"), 400, id="folded header line"),
        pytest.param(request(CHAT, BODY, "X-A: b\0c"), 400, id="NUL in a header"),
        pytest.param(request(CHAT, BODY, "X-A: b\rc"), 400, id="bare CR in a header"),
        pytest.param(request(CHAT, BODY, "X A: b"), 400, id="space in a header's name"),
        pytest.param(request(CHAT, BODY, "X-A : b"), 400, id="space before the colon"),
        *(
            pytest.param(request(CHAT, BODY, f"Content-Length: {length}", length=False), 400, id=f"length {length!r}")
            for length in ("-1", "+4", "0x4", "4 4", "", "9" * 30)
        ),
        pytest.param(request(CHAT, b"", "Transfer-Encoding: gzip", length=False), 400, id="chunked is not the last"),
        pytest.param(request(CHAT, chunked(BODY), "Transfer-Encoding: xchunked", length=False), 400, id="xchunked"),
        pytest.param(request(CHAT, BODY, *(f"X-{n}: a" for n in range(200))), 431, id="200 headers"),
        pytest.param(request("/" + "a" * 70_000, method="GET"), 414, id="70 KB of path"),
        pytest.param(b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, id="raw bytes in the path"),
        pytest.param(b"GET /livez\r\n\r\n", 400, id="HTTP/0.9"),
        pytest.param(b"GET /livez HTTP/3.0\r\nHost: localhost\r\n\r\n", 400, id="HTTP/3.0"),
        pytest.param(bytes.fromhex("160301020001000001fc0303"), 400, id="a TLS hello"),
    ],
)
async def test_what_is_not_http_is_refused_before_the_application(
    gateway: Gateway, provider: FaultServer, data: bytes, status: int
) -> None:
    before = len(provider.requests)
    answers, ended = await talk(gateway.port, data)
    assert [(got.status, got.body) for got in answers] == [(status, b"")]
    assert ended
    assert len(provider.requests) == before


@pytest.mark.parametrize(
    ("data", "ends"),
    [
        pytest.param(
            request(CHAT, chunked(BODY), "Content-Length: 4", "Transfer-Encoding: chunked", length=False),
            True,
            id="length, then chunks",
        ),
        pytest.param(
            request(CHAT, chunked(BODY), "Transfer-Encoding: chunked", "Content-Length: 4", length=False),
            True,
            id="chunks, then length",
        ),
        pytest.param(request(CHAT, BODY, f"Content-Length: {len(BODY)}"), False, id="two equal lengths"),
        pytest.param(
            request(CHAT, b"", length=False)
            .replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(BODY))
            .replace(b"\r\n", b"\n")
            + BODY,
            False,
            id="bare LF as line ends",
        ),
        pytest.param(request(CHAT, chunked(BODY), "Transfer-Encoding: Chunked", length=False), False, id="Chunked"),
    ],
)
async def test_what_could_be_read_in_two_ways_is_one_request(
    gateway: Gateway, provider: FaultServer, data: bytes, ends: bool
) -> None:
    # RFC 9112, section 6.3: chunks win over a length, and the connection is not used again.
    before = len(provider.requests)
    answers, ended = await talk(gateway.port, data)
    assert [got.status for got in answers] == [200]
    assert ended is ends
    assert [json.loads(asked.body)["model"] for asked in provider.requests[before:]] == ["m"]


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("body", [b"5;a\nb\r\nhello\r\n0\r\n\r\n", b"zz\r\nhello\r\n0\r\n\r\n", b"-1\r\n\r\n"])
async def test_broken_chunks(gateway: Gateway, dialect: str, body: bytes) -> None:
    data = request(PATHS[dialect], body, "Transfer-Encoding: chunked", length=False)
    [got], ended = await talk(gateway.port, data)
    check(dialect, got, 400, "invalid_body")
    assert ended


async def test_what_follows_a_good_request_may_be_bad(gateway: Gateway) -> None:
    answers, ended = await talk(gateway.port, request("/livez", method="GET") + b"GARBAGE\r\n\r\n")
    assert [got.status for got in answers] == [200, 400]
    assert ended


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(("/nothing", "POST"), 404, id="no such path"),
        pytest.param((CHAT, "PUT"), 405, id="no such method"),
        pytest.param((CHAT, "GET"), 405, id="GET with a body"),
        pytest.param(("/livez", "GET"), 200, id="a body that nobody reads"),
    ],
)
async def test_a_body_is_never_taken_for_a_request(gateway: Gateway, data: tuple[str, str], status: int) -> None:
    path, method = data
    hidden = request("/api/tags", method="GET")
    answers, _ = await talk(gateway.port, request(path, hidden, method=method))
    assert [got.status for got in answers] == [status]


# --- head -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize(
    ("host", "headers", "status", "code"),
    [
        pytest.param(None, (), 400, "missing_host", id="no Host"),
        pytest.param("", (), 400, "missing_host", id="empty Host"),
        pytest.param("localhost", ("Host: evil.example",), 400, "duplicate_header", id="two Hosts"),
        pytest.param("a/b?c#d", (), 400, "invalid_host", id="a path as Host"),
        pytest.param("a b", (), 400, "invalid_host", id="a space in Host"),
        pytest.param("user@localhost", (), 400, "invalid_host", id="a user in Host"),
        pytest.param("evil.example", (), 421, "misdirected_request", id="a foreign Host"),
        pytest.param("evil.example", ("X-Forwarded-Host: localhost",), 421, "misdirected_request", id="a forged Host"),
        pytest.param("localhost", ("X-A: " + "a" * 40_000,), 431, "headers_too_large", id="40 KB of head"),
        pytest.param("localhost", ("X-A: " + "a" * 300_000,), 431, "headers_too_large", id="300 KB of head"),
    ],
)
async def test_heads(
    gateway: Gateway, dialect: str, host: str | None, headers: tuple[str, ...], status: int, code: str
) -> None:
    answers, _ = await talk(gateway.port, request(PATHS[dialect], BODY, *headers, host=host))
    [got] = answers
    check(dialect, got, status, code)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET /livez HTTP/1.0\r\n\r\n", id="HTTP/1.0 without Host"),
        pytest.param(request("/livez", method="GET", host="192.0.2.7:11434"), id="an address: a probe's Host"),
        pytest.param(request("/livez", method="GET", host="[::1]:11434"), id="an IPv6 address"),
        pytest.param(request("/livez", method="GET", host="LOCALHOST"), id="letter case"),
        pytest.param(
            request("/livez", b"", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example", method="GET"),
            id="forged forwarding",
        ),
        pytest.param(request("http://evil.example/livez", method="GET"), id="absolute form: routed by its path"),
        pytest.param(
            request("/livez", b"", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", method="GET"), id="h2c"
        ),
        pytest.param(
            request(
                "/livez",
                b"",
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                "Sec-WebSocket-Version: 13",
                method="GET",
            ),
            id="websocket",
        ),
    ],
)
async def test_what_is_odd_but_harmless(gateway: Gateway, data: bytes) -> None:
    answers, _ = await talk(gateway.port, data)
    assert {(got.status, got.body) for got in answers} <= {(200, b"ok\n")}


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO", "post"])
@pytest.mark.parametrize("dialect", PATHS)
async def test_other_methods(gateway: Gateway, dialect: str, method: str) -> None:
    [got], ended = await talk(gateway.port, request(PATHS[dialect], b"", "X-Secret: tell-me", method=method))
    check(dialect, got, 405, "method_not_allowed")
    assert got.headers["allow"] == "POST"
    assert b"tell-me" not in got.body
    assert not ended


async def test_connect_is_no_way_through(gateway: Gateway) -> None:
    [got], _ = await talk(gateway.port, b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n")
    check("ollama", got, 405, "method_not_allowed")


# --- the body as a whole ----------------------------------------------------------------------------------------------


async def test_a_body_over_the_limit_is_not_read_to_its_end(gateway: Gateway) -> None:
    piece = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    wanted = [
        (dialect, request(path, body, *headers, length=False))
        for dialect, path in PATHS.items()
        for body, headers in (
            (b"", (f"Content-Length: {LIMIT + 1}",)),
            (b"", (f"Content-Length: {LIMIT + 1}", "Expect: 100-continue")),
            (piece * 3, ("Transfer-Encoding: chunked",)),
        )
    ]
    answers = await asyncio.gather(*(exchange(gateway.port, data) for _, data in wanted))
    for (dialect, _), data in zip(wanted, answers, strict=True):
        [got] = parse(data)
        check(dialect, got, 413, "request_too_large")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (CHAT, ("Content-Length: 100000",), 413),
        (CHAT, ("Content-Length: 1000", "Content-Type: text/plain"), 415),
        (CHAT, ("Content-Length: 1000", "Origin: https://evil.example"), 403),
        ("/v1/responses", ("Content-Length: 1000",), 404),
    ],
)
async def test_who_is_refused_may_end_the_sentence(
    gateway: Gateway, path: str, headers: tuple[str, ...], status: int
) -> None:
    # A connection that is closed on a client that still sends is reset, and the client never sees the answer.
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        writer.write(request(path, b"", *headers, length=False))
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b" " * int(headers[0].rpartition(" ")[2]) + LAST)
            rest = await reader.read()
    finally:
        writer.close()
    assert [got.status for got in parse(head + rest)] == [status, 200]


async def test_a_body_of_the_limit_is_read(gateway: Gateway) -> None:
    body = BODY + b" " * (LIMIT - len(BODY))
    for data in (request(CHAT, body), request(CHAT, chunked(body), "Transfer-Encoding: chunked", length=False)):
        [got], ended = await talk(gateway.port, data)
        assert (got.status, ended) == (200, False)


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (("Content-Encoding: gzip",), "unsupported_encoding"),
        (("Content-Encoding: br",), "unsupported_encoding"),
        (("Content-Encoding: zstd",), "unsupported_encoding"),
        (("Content-Type: multipart/form-data; boundary=" + "b" * 20_000,), "unsupported_media_type"),
    ],
)
async def test_encodings_and_types_that_are_not_read(
    gateway: Gateway, provider: FaultServer, dialect: str, headers: tuple[str, ...], code: str
) -> None:
    before = len(provider.requests)
    [got], _ = await talk(gateway.port, request(PATHS[dialect], BODY, *headers))
    check(dialect, got, 415, code)
    assert len(provider.requests) == before


async def test_a_transfer_coding_beside_chunked(gateway: Gateway) -> None:
    data = request(CHAT, chunked(BODY), "Transfer-Encoding: gzip, chunked", length=False)
    [got], _ = await talk(gateway.port, data)
    check("openai", got, 415, "unsupported_encoding")


@pytest.mark.parametrize("header", ["Content-Encoding: identity", "Content-Type: Application/JSON;charset=utf-8"])
async def test_encodings_and_types_that_are_read(gateway: Gateway, header: str) -> None:
    [got], _ = await talk(gateway.port, request(CHAT, BODY, header))
    assert got.status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""])
async def test_only_ollama_s_paths_take_any_content_type(gateway: Gateway, kind: str) -> None:
    for dialect, path in PATHS.items():
        [got], _ = await talk(gateway.port, request(path, BODY, f"Content-Type: {kind}"))
        if dialect == "ollama":
            assert got.status == 200
        else:
            check(dialect, got, 415, "unsupported_media_type")


# --- time -------------------------------------------------------------------------------------------------------------


async def _drip(port: int, first: bytes, slowly: bytes) -> bytes:
    """Send ``first`` at once and ``slowly`` a byte every 2 seconds; everything that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = asyncio.ensure_future(reader.read())
    try:
        writer.write(first)
        for byte in slowly:
            await asyncio.wait([answered], timeout=2.0)
            if answered.done():
                break
            writer.write(bytes([byte]))
        async with asyncio.timeout(2 * PATIENCE):
            return await answered
    finally:
        writer.transport.abort()


async def test_slow_clients(gateway: Gateway) -> None:
    declared = request(CHAT, b"", "Content-Length: 1000", length=False)
    expecting = request(CHAT, b"", "Content-Length: 10", "Expect: 100-continue", length=False)
    open_end = request(PATHS["anthropic"], b"", "Transfer-Encoding: chunked", length=False)
    async with asyncio.timeout(15):
        nothing, drop, body, silence, chunks, unsent = await asyncio.gather(
            _drip(gateway.port, b"", b""),
            _drip(gateway.port, request(CHAT)[:40], b"X" * 20),
            _drip(gateway.port, declared, b" " * 20),
            _drip(gateway.port, declared + b"{}  ", b""),
            _drip(gateway.port, open_end, b"1\r\n{\r\n" * 4),
            _drip(gateway.port, expecting, b""),
        )
    # The server closes silently what never became a request.
    assert (nothing, drop) == (b"", b"")
    continued, _, unsent = unsent.partition(b"\r\n\r\n")
    assert continued == b"HTTP/1.1 100 Continue"
    for dialect, data in (("openai", body), ("openai", silence), ("anthropic", chunks), ("openai", unsent)):
        [got] = parse(data)
        check(dialect, got, 408, "request_timeout")
