"""Providers that cannot be reached, or that are not who they should be."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trustme

from gateway.config.model import Timers
from tests.faultserver import FaultServer, answer, blackhole, fin, free_port, rst
from tests.relaykit import PATIENT, Kit, Recorder, model, router, snapshot

from .heard import hear
from .outcomes import PAIRS, check_error, fails_over, surfaces

HASTY = Timers(connect=0.08, first_byte=5.0, idle=5.0, total=10.0)


@asynccontextmanager
async def refused() -> AsyncIterator[str]:
    yield f"http://127.0.0.1:{free_port()}"


@asynccontextmanager
async def swallowed() -> AsyncIterator[str]:
    with blackhole() as port:
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def reset_at_once() -> AsyncIterator[str]:
    async with FaultServer(greeting=[rst()]) as server:
        yield server.url


@asynccontextmanager
async def closed_at_once() -> AsyncIterator[str]:
    async with FaultServer(greeting=[fin()]) as server:
        yield server.url


@asynccontextmanager
async def unknown() -> AsyncIterator[str]:
    yield "http://gw-test.invalid"


@pytest.mark.parametrize(("wire", "dialect"), PAIRS)
@pytest.mark.parametrize(
    ("address", "code"),
    [
        pytest.param(refused, "upstream_connect_failed", id="F01"),
        pytest.param(swallowed, "upstream_timeout", id="F02"),
        pytest.param(reset_at_once, "upstream_protocol_error", id="F04 reset"),
        pytest.param(closed_at_once, "upstream_protocol_error", id="F04 closed"),
        pytest.param(unknown, "upstream_connect_failed", id="F09"),
    ],
)
async def test_nobody_there(
    address: Callable[[], AbstractAsyncContextManager[str]], code: str, wire: str, dialect: str
) -> None:
    async with address() as url, asyncio.TaskGroup() as group:
        bad = model("bad/m", url=url, wire=wire, timers=HASTY if code == "upstream_timeout" else PATIENT)
        for stream in (True, False):
            group.create_task(fails_over(bad, dialect, code, stream=stream))
            group.create_task(surfaces(bad, dialect, code, stream=stream))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("names", "trusted", "code"),
    [
        (("other.test",), True, "upstream_tls_failed"),
        (("127.0.0.1",), False, "upstream_tls_failed"),
        (("127.0.0.1",), True, None),
    ],
    ids=["F06 another's certificate", "an unknown authority", "good"],
)
async def test_certificates(names: tuple[str, ...], trusted: bool, code: str | None, stream: bool) -> None:
    authority = trustme.CA()
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(theirs)
    ours = ssl.create_default_context()
    if trusted:
        authority.configure_trust(ours)
    async with FaultServer([answer('{"choices": []}', 500)], context=theirs) as server:
        bad = model("bad/m", url=server.url)
        async with Kit(snapshot(router(bad, model("spare/m"))), ssl_context=ours) as kit:
            got: Recorder = await kit.ask(stream=stream)
            assert (got.decision, hear("openai", got).text) == ("failover", "spare")
            check_error("openai", await kit.ask(model="bad/m", stream=stream), code or "upstream_error")
            assert kit.metric("upstream_errors_total", provider="bad", code=code or "upstream_error") == 2
        # Not a byte of a request went to somebody who is not the provider.
        assert len(server.requests) == (0 if code else 2)
