"""Many requests at once or after one another: what they may cost in memory, metrics and other people's work."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.gatewayprocess import Gateway
from tests.server.errorshapes import check_error
from tests.server.providers import ENVIRON, PROVIDERS, obliging
from tests.server.rawhttp import LAST, exchange, parse, request, talk

pytestmark = pytest.mark.asyncio(loop_scope="module")

SESSIONS = 50
GATEWAY = f"kind: gateway\nlimits: {{{{sessions: {SESSIONS}}}}}\n{PROVIDERS}"
SMART = """\
name: smart
strategy: session
designator: {model: sandbox/designator, timeout: 5s}
candidates:
  - {model: fake/a, purpose: Code}
  - {model: fake/b, purpose: Anything else}
"""
LOOP = """\
name: loop
designator: {model: sandbox/designator, timeout: 5s}
candidates:
  - {model: itself/loop, purpose: Say hello}
  - {model: sandbox/generalist, purpose: Code}
"""
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "ollama": "/api/chat"}
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5, "stream": False}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with obliging() as provider:
        files = {"gateway.yaml": GATEWAY.format(url=provider.url), "smart.yaml": SMART}
        async with Gateway(tmp_path_factory.mktemp("gateway"), files, environ=ENVIRON) as it:
            yield it


async def flood(gateway: Gateway, requests: list[bytes]) -> list[int]:
    """The statuses of the answers to requests that come as fast as a connection takes them."""
    pieces = [b"".join(requests[first::4]) + LAST for first in range(4)]
    answers = await asyncio.gather(*(exchange(gateway.port, piece, seconds=30) for piece in pieces))
    return [got.status for data in answers for got in parse(data)[:-1]]


async def series(gateway: Gateway) -> set[str]:
    """The metrics' series, without their values."""
    page = (await gateway.client.get("/metrics")).text
    return {line.rpartition(" ")[0] for line in page.splitlines() if not line.startswith("#")}


async def test_names_that_clients_make_up_are_no_metrics(gateway: Gateway) -> None:
    chance = random.Random(1)

    def name() -> str:
        return f"{chance.getrandbits(64):x}"

    def requests(count: int) -> list[bytes]:
        wanted = []
        for _ in range(count):
            wanted += [
                request(f"/{name()}/{name()}", method="GET"),
                request(f"/v1/{name()}", b"{}"),
                request(f"/v1/models/{name()}", method="GET"),
                request("/api/chat", json.dumps({**ASK, "model": name()}).encode()),
                request("/v1/messages", json.dumps({**ASK, "model": f"{name()}/{name()}"}).encode()),
                request(f"/{name()}", method=name().upper()),
            ]
        return wanted

    def known(count: int) -> list[bytes]:
        return [
            request("/v1/chat/completions", json.dumps({**ASK, "model": f"fake/{name()}"}).encode(), f"X-Tag: {name()}")
            for _ in range(count)
        ]

    # One of each kind first: statuses are labels too.
    assert set(await flood(gateway, requests(1))) == {404}
    assert await flood(gateway, known(1)) == [200]
    before = await series(gateway)
    assert set(await flood(gateway, requests(1650))) == {404}
    assert set(await flood(gateway, known(100))) == {200}
    assert await series(gateway) == before


async def test_sessions_are_forgotten_before_they_are_too_many(gateway: Gateway) -> None:
    def asked(session: int) -> bytes:
        return request(
            "/v1/chat/completions",
            json.dumps({**ASK, "model": "smart"}).encode(),
            f"X-LLM-Relay-Session: session-{session}",
        )

    assert set(await flood(gateway, [asked(session) for session in range(20 * SESSIONS)])) == {200}
    assert 0 < await gateway.metric("llm_relay_sessions") <= SESSIONS


async def test_a_loop_of_gateways_ends(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, {})
    provider = f"itself: {{wire: openai, base_url: '{gateway.url}/v1'}}"
    gateway.write("gateway.yaml", f"kind: gateway\nproviders:\n  {provider}\n")
    gateway.write("loop.yaml", LOOP)
    async with gateway:
        told = [await gateway.client.post(path, json={**ASK, "model": "loop"}) for path in PATHS.values()]
        assert [each.status_code for each in told] == [400] * len(PATHS)
        assert all("a loop" in each.text for each in told)
        last = told[-1].headers["x-request-id"]
        await gateway.logged(lambda line: line.get("request_id") == last)
        # Three gateways worked on each, the fourth refused; either is logged.
        assert sum(line["msg"] == "request" for line in gateway.log) == 4 * len(PATHS)
        assert sum(line["msg"] == "request" and line["dialect"] != "-" for line in gateway.log) == 3 * len(PATHS)


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize(
    ("hops", "loop"),
    [
        (["1.1 llm-relay, 1.1 llm-relay, 1.1 llm-relay"], True),
        (["1.1 llm-relay, 1.1 nginx", "1.1 llm-relay", "HTTP/1.1 llm-relay (x)"], True),
        (["1.1 llm-relay, 1.1 llm-relay"], False),
        (["1.0 fred, 1.1 nginx, 1.1 varnish, 2 envoy"], False),
    ],
)
async def test_hops_are_counted(gateway: Gateway, dialect: str, hops: list[str], loop: bool) -> None:
    data = request(PATHS[dialect], json.dumps({**ASK, "model": "fake/m"}).encode(), *(f"Via: {hop}" for hop in hops))
    [got], _ = await talk(gateway.port, data)
    if loop:
        check_error(dialect, (got.status, got.headers, got.body), 400, "loop_detected")
    else:
        assert got.status == 200
