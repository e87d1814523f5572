"""What a provider can do wrong, and which of our errors it becomes."""

from __future__ import annotations

import asyncio
import ssl

import httpx
import pytest

from gateway.config.model import Timers
from gateway.errors import (
    UpstreamAuthFailed,
    UpstreamConnectFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamInvalidResponse,
    UpstreamProtocolError,
    UpstreamRateLimited,
    UpstreamResponseTooLarge,
    UpstreamTimeout,
    UpstreamTruncated,
)
from gateway.headers import MAX_RETRY_AFTER, retry_after
from gateway.upstream import Upstream, translated
from tests.faultserver import (
    FaultServer,
    Step,
    answer,
    blackhole,
    chunk,
    drip,
    end,
    fin,
    free_port,
    hang,
    head,
    rst,
    send,
)

from .provider import KEY, drained, post, provider

SHORT = Timers(connect=0.05, first_byte=0.05, idle=5.0, total=5.0)


async def test_a_good_answer(upstream: Upstream) -> None:
    async with FaultServer([answer('{"a":1}', content_type="Application/JSON; charset=utf-8")]) as server:
        reply = await post(upstream, provider(server.url + "/v1"))
        assert reply.status == 200
        assert reply.content_type == "application/json"
        assert (b"content-length", b"7") in reply.headers
        assert await reply.read(7) == b'{"a":1}'
        assert reply.ended_cleanly
        reply.close()
        assert server.requests[0].target == "/v1/chat/completions"


async def test_refused(upstream: Upstream) -> None:
    with pytest.raises(UpstreamConnectFailed, match=r"^acme: connection refused$"):
        await post(upstream, provider(f"http://127.0.0.1:{free_port()}"))


async def test_refused_after_a_connection_has_gone_stale(upstream: Upstream) -> None:
    async with FaultServer([answer(), fin()]) as server:
        await (await post(upstream, provider(server.url))).read(10)
        await server.refuse()
        await server.until(lambda: server.open == 0)
        with pytest.raises(UpstreamConnectFailed):
            await post(upstream, provider(server.url))


async def test_swallowed(upstream: Upstream) -> None:
    with blackhole() as port, pytest.raises(UpstreamTimeout, match="no connection in time"):
        await post(upstream, provider(f"http://127.0.0.1:{port}"), timers=SHORT)


@pytest.mark.parametrize("host", ["gw-test.invalid", "a..b", "x" * 70 + ".test"])
async def test_names_without_an_address(upstream: Upstream, host: str) -> None:
    with pytest.raises(UpstreamConnectFailed):
        await post(upstream, provider(f"http://{host}:80"))


async def test_localhost_by_name(upstream: Upstream) -> None:
    async with FaultServer([answer()]) as server:
        replies = await asyncio.gather(*(post(upstream, provider(f"http://localhost:{server.port}")) for _ in range(5)))
        assert {reply.whole for reply in replies} == {b"{}"}
        assert server.requests[0].headers["host"] == f"localhost:{server.port}"


@pytest.mark.parametrize("step", [rst(), fin()], ids=["reset", "closed"])
async def test_closed_as_soon_as_accepted(upstream: Upstream, step: Step) -> None:
    async with FaultServer(greeting=[step]) as server:
        with pytest.raises(UpstreamProtocolError):
            await post(upstream, provider(server.url))
        assert server.accepted == 1


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        pytest.param([rst()], UpstreamProtocolError, id="reset instead of an answer"),
        pytest.param([fin()], UpstreamProtocolError, id="closed instead of an answer"),
        pytest.param([send("SSH-2.0-x\r\n"), fin()], UpstreamProtocolError, id="not HTTP"),
        pytest.param(
            [send("HTTP/1.1 200 OK\r\nX-Up: a\rSet-Cookie: b=1\r\nContent-Length: 2\r\n\r\n{}")],
            UpstreamProtocolError,
            id="CR in a header",
        ),
        pytest.param([send("HTTP/1.1 200 OK\r\nX: " + "v" * 300_000)], UpstreamProtocolError, id="endless head"),
        pytest.param([send("HTTP/1.1 101 X\r\n\r\n")], UpstreamProtocolError, id="switches protocols"),
        pytest.param([hang()], UpstreamTimeout, id="silence"),
        pytest.param([drip("HTTP/1.1 200 OK\r\n" * 20, 0.01)], UpstreamTimeout, id="a head drop by drop"),
        pytest.param([answer("{}", headers=[("Content-Encoding", "gzip")])], UpstreamInvalidResponse, id="encoded"),
        pytest.param(
            [head(extra="Content-Encoding: identity\r\nContent-Encoding: br\r\n"), hang()],
            UpstreamInvalidResponse,
            id="encoded after all, and not read",
        ),
        pytest.param([answer("no", 401)], UpstreamAuthFailed, id="401"),
        pytest.param([answer("no", 500)], UpstreamFailed, id="500"),
        pytest.param([answer("no", 429, [("Content-Encoding", "gzip")])], UpstreamRateLimited, id="encoded 429"),
        pytest.param([answer("", 304)], UpstreamFailed, id="304"),
        pytest.param([answer("x", 600)], UpstreamFailed, id="600"),
    ],
)
async def test_no_good_answer(upstream: Upstream, steps: list[Step], error: type[UpstreamError]) -> None:
    async with FaultServer(steps) as server:
        with pytest.raises(error) as raised:
            await post(upstream, provider(server.url), timers=SHORT)
        assert type(raised.value) is error
        assert KEY not in str(raised.value)
        assert str(server.port) not in str(raised.value)
        if error in (UpstreamProtocolError, UpstreamTimeout):
            await server.until(lambda: server.open == 0)


@pytest.mark.parametrize(
    ("steps", "received", "error"),
    [
        pytest.param(
            [send('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"a"'), fin()],
            b'{"a"',
            UpstreamTruncated,
            id="short length",
        ),
        pytest.param([head(), chunk("data: 1\n\n"), fin()], b"data: 1\n\n", UpstreamTruncated, id="closed"),
        pytest.param([head(), chunk("data: 1\n\n"), rst()], b"data: 1\n\n", UpstreamTruncated, id="reset"),
        pytest.param(
            [head(chunked=False), send("data: 1\n\n"), rst()], b"data: 1\n\n", UpstreamTruncated, id="reset, no length"
        ),
        pytest.param(
            [head(), chunk("data: 1\n\n"), send("what?")], b"data: 1\n\n", UpstreamProtocolError, id="framing"
        ),
        pytest.param([head(), fin()], b"", UpstreamTruncated, id="closed after the head"),
    ],
)
async def test_no_good_end(upstream: Upstream, steps: list[Step], received: bytes, error: type[UpstreamError]) -> None:
    async with FaultServer(steps) as server:
        reply = await post(upstream, provider(server.url))
        got: list[bytes] = []
        with pytest.raises(error) as raised:
            await drained(reply, got)
        assert b"".join(got) == received
        assert type(raised.value) is error
        assert not reply.ended_cleanly
        await server.until(lambda: server.open == 0)
        with pytest.raises(error):
            await (await post(upstream, provider(server.url))).read(1000)


async def test_an_end_by_closing_is_an_end_but_not_a_clean_one(upstream: Upstream) -> None:
    async with FaultServer([head(chunked=False), send("data: 1\n\n"), fin()]) as server:
        reply = await post(upstream, provider(server.url))
        assert await drained(reply) == b"data: 1\n\n"
        assert await reply.chunk() == b""
        assert not reply.ended_cleanly
        assert await (await post(upstream, provider(server.url))).read(1000) == b"data: 1\n\n"


async def test_a_stream_chunk_by_chunk(upstream: Upstream) -> None:
    async with FaultServer([head(), chunk("data: 1\n\n"), drip("5\r\nhello\r\n"), end()], [answer()]) as server:
        reply = await post(upstream, provider(server.url))
        assert reply.content_type == "text/event-stream"
        assert await drained(reply) == b"data: 1\n\nhello"
        assert reply.ended_cleanly
        await post(upstream, provider(server.url))
        assert server.accepted == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(upstream: Upstream, status: int) -> None:
    async with FaultServer([answer()]) as canary:
        async with FaultServer([answer("", status, [("Location", canary.url + "/x")])]) as server:
            with pytest.raises(UpstreamFailed, match=f"acme: it redirects \\({status}\\)"):
                await post(upstream, provider(server.url))
        assert canary.accepted == 0


async def test_a_stale_connection_is_replaced_silently(upstream: Upstream) -> None:
    async with FaultServer([answer()], [fin()], [answer('"again"')]) as server:
        await post(upstream, provider(server.url))
        reply = await post(upstream, provider(server.url))
        assert await reply.read(10) == b'"again"'
        assert [request.connection for request in server.requests] == [0, 0, 1]
        assert server.requests[1].body == server.requests[2].body


async def test_a_new_connection_is_not_tried_again(upstream: Upstream) -> None:
    async with FaultServer([answer()], [rst()], [rst()], [answer()]) as server:
        await post(upstream, provider(server.url))
        with pytest.raises(UpstreamProtocolError):
            await post(upstream, provider(server.url))
        assert len(server.requests) == 3


async def test_nothing_is_sent_again_after_a_byte_of_an_answer(upstream: Upstream) -> None:
    async with FaultServer([answer()], [send("H"), fin()], [answer()]) as server:
        await post(upstream, provider(server.url))
        with pytest.raises(UpstreamProtocolError):
            await post(upstream, provider(server.url))
        assert len(server.requests) == 2


async def test_the_body_of_an_error_is_not_waited_for(upstream: Upstream) -> None:
    hanging = [send("HTTP/1.1 500 X\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n{"), hang()]
    async with FaultServer(hanging) as server:
        with pytest.raises(UpstreamFailed, match=r"500 text/plain \{"):
            await post(upstream, provider(server.url))
        await server.until(lambda: server.open == 0)


async def test_the_body_of_an_error_is_cut(upstream: Upstream) -> None:
    async with FaultServer([answer("x" * 1_000_000, 500)]) as server:
        with pytest.raises(UpstreamFailed) as raised:
            await post(upstream, provider(server.url))
        assert raised.value.message.count("x") == 64 << 10


async def test_the_body_of_an_error_may_break(upstream: Upstream) -> None:
    async with FaultServer([send("HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\noops"), rst()]) as server:
        with pytest.raises(UpstreamFailed, match="oops"):
            await post(upstream, provider(server.url))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7\t", 7.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("61", MAX_RETRY_AFTER),
        ("99999999999999999999", MAX_RETRY_AFTER),
        ("9" * 5000, None),
        ("1e9", None),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("1\u00a0", None),
        ("\u0661", None),
        ("Thu, 01 Jan 1970 00:16:47 GMT", 7.0),
        ("Thu, 01 Jan 1970 00:16:47 -0000", 7.0),
        ("Thu, 01 Jan 1970 01:00:00 GMT", MAX_RETRY_AFTER),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:16:47 +99999999999999", None),
        ("Thu, 99 Foo 99999 99:99:99 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after([(b"retry-after", value.encode())], now=1000.0) == seconds


@pytest.mark.parametrize(
    ("body", "seconds"), [("slow down", 7.0), ("retry in 5", 5.0)], ids=["from the header", "from the body"]
)
async def test_errors_carry_retry_after(upstream: Upstream, body: str, seconds: float) -> None:
    async with FaultServer([answer(body, 429, [("Retry-After", "7")])]) as server:
        with pytest.raises(UpstreamRateLimited) as raised:
            await post(upstream, provider(server.url))
        assert raised.value.retry_after == seconds


@pytest.mark.parametrize("step", [answer("x" * 101), head(chunked=False)], ids=["whole", "streamed"])
async def test_a_body_over_the_limit(upstream: Upstream, step: Step) -> None:
    async with FaultServer([step, send("y" * 101), hang()]) as server:
        reply = await post(upstream, provider(server.url))
        with pytest.raises(UpstreamResponseTooLarge):
            await reply.read(100)


@pytest.mark.parametrize("framing", ["whole", "streamed"])
@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"a":1}', None),
        ("\r\n [1]", None),
        ("<html>captive portal</html>", UpstreamInvalidResponse),
        ("", UpstreamInvalidResponse),
        ("{" * 101, UpstreamResponseTooLarge),
    ],
)
async def test_a_body_that_should_be_json(
    upstream: Upstream, framing: str, body: str, error: type[UpstreamError] | None
) -> None:
    streamed = [head("application/json", chunked=False), send(body), fin()]
    async with FaultServer([answer(body)] if framing == "whole" else streamed) as server:
        reply = await post(upstream, provider(server.url))
        if error is None:
            assert await reply.read_json(100) == body.encode()
        else:
            with pytest.raises(error):
                await reply.read_json(100)


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (httpx.ConnectTimeout("secret"), UpstreamTimeout),
        (httpx.PoolTimeout("secret"), UpstreamTimeout),
        (httpx.ConnectError("secret"), UpstreamConnectFailed),
        (httpx.ReadError("secret"), UpstreamProtocolError),
        (httpx.RemoteProtocolError("secret"), UpstreamProtocolError),
        (httpx.UnsupportedProtocol("secret"), UpstreamProtocolError),
        (httpx.ProxyError("secret"), UpstreamConnectFailed),
        (httpx.StreamClosed(), UpstreamProtocolError),
        (ConnectionResetError("secret"), UpstreamProtocolError),
        (OSError("secret"), UpstreamConnectFailed),
        (TimeoutError("secret"), UpstreamTimeout),
        (ssl.SSLError("secret"), "upstream_tls_failed"),
    ],
)
def test_errors_of_lower_libraries(error: BaseException, ours: type[UpstreamError] | str) -> None:
    found = translated(error, "acme")
    assert ours in (type(found), found.code)
    assert found.message.startswith("acme: ")
    assert "secret" not in found.message


def test_the_cause_of_an_error_counts() -> None:
    error = httpx.ConnectError("secret")
    error.__cause__ = ssl.SSLCertVerificationError("secret")
    assert translated(error, "acme").code == "upstream_tls_failed"
