"""A client's headers: which of them reach a provider, and that none of them forges, breaks or floods anything."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from tests.faultserver import FaultServer
from tests.gatewayprocess import Gateway
from tests.server.errorshapes import check_error
from tests.server.providers import ENVIRON, KEY, PROVIDERS, obliging
from tests.server.rawhttp import Answer, request, talk

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "ollama": "/api/chat"}
CLIENT = "key-of-the-team-0123456789"
GATEWAY = """\
kind: gateway
clients:
  - {name: team, key: env:TEAM_KEY, tags: [team]}
"""
SMART = """\
name: smart
designator: {model: sandbox/designator, timeout: 5s}
candidates:
  - {model: fake/m, purpose: Anything}
  - {model: fake/n, purpose: Nothing}
"""
ASK: dict[str, Any] = {"model": "smart", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FaultServer]:
    async with obliging() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, provider: FaultServer) -> AsyncIterator[Gateway]:
    files = {"gateway.yaml": GATEWAY + PROVIDERS.format(url=provider.url), "smart.yaml": SMART}
    environ = {**ENVIRON, "TEAM_KEY": CLIENT}
    async with Gateway(tmp_path_factory.mktemp("gateway"), files, environ=environ) as it:
        yield it


async def ask(gateway: Gateway, path: str, *headers: str, model: str = "smart") -> Answer:
    body = json.dumps({**ASK, "model": model, "stream": False}).encode()
    [got], _ = await talk(gateway.port, request(path, body, f"X-Api-Key: {CLIENT}", *headers))
    return got


#: What a provider gets, by wire, whatever a client sends.
BASE = {"host", "content-type", "content-length", "accept", "accept-encoding", "user-agent", "via"}
ALLOWED = {
    "fake/m": BASE | {"authorization"},
    "claude/m": BASE | {"x-api-key", "anthropic-version"},
    "llama/m": BASE,
}
NOISE = [
    "Cookie: session=1",
    "Proxy-Authorization: Basic eDp5",
    "Forwarded: for=192.0.2.1",
    "X-Forwarded-For: 192.0.2.1",
    "X-Forwarded-Proto: https",
    "X-Real-Ip: 192.0.2.1",
    "OpenAI-Organization: org-evil",
    "OpenAI-Project: evil",
    "OpenAI-Beta: assistants=v2",
    "X-Goog-User-Project: evil",
    "X-LLM-Relay-Router: other",
    "X-LLM-Relay-Routed-To: fake/m",
    "X-LLM-Relay-Decision: designated",
    "X-LLM-Relay-Internal: yes",
    "X-LLM-Relay-Session: mine",
    "X-LLM-Relay-Tags: mine",
    "X-Request-Id: mine",
    "X-Stainless-Lang: python",
    "Referer: https://intranet.example",
    "TE: trailers",
    "Traceparent: garbage",
    "Tracestate: garbage",
    "Baggage: " + "a=b," * 2000,
    "Accept-Encoding: gzip, br",
    "User-Agent: me/1.0",
    "Accept: text/html",
    "Range: bytes=0-1",
    "If-None-Match: x",
]


@pytest.mark.parametrize("path", PATHS.values())
@pytest.mark.parametrize("model", ALLOWED)
async def test_only_listed_headers_reach_a_provider(
    gateway: Gateway, provider: FaultServer, model: str, path: str
) -> None:
    before = len(provider.requests)
    got = await ask(gateway, path, *NOISE, model=model)
    assert got.status == 200
    [asked] = provider.requests[before:]
    assert asked.headers.keys() == ALLOWED[model]
    assert CLIENT not in asked.head.decode()
    assert asked.headers["accept-encoding"] == "identity"
    assert "me/1.0" not in asked.headers["user-agent"]
    assert "x-llm-relay-router" not in got.headers
    assert got.headers["x-request-id"] != "mine"


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        (["prompt-caching-2024-07-31"], "prompt-caching-2024-07-31"),
        (["prompt-caching-2024-07-31,oauth-2025-04-20"], "prompt-caching-2024-07-31"),
        (["oauth-2025-04-20"], None),
        (["../../x", "a b", "\xff"], None),
        (["x" * 20_000], None),
    ],
)
async def test_only_listed_betas_reach_anthropic(
    gateway: Gateway, provider: FaultServer, sent: Sequence[str], passed: str | None
) -> None:
    before = len(provider.requests)
    betas = [f"Anthropic-Beta: {value}" for value in sent]
    got = await ask(gateway, "/v1/messages", "Anthropic-Version: 2023-06-01", *betas, model="claude/m")
    assert got.status == 200
    [asked] = provider.requests[before:]
    assert asked.headers.get("anthropic-beta") == passed
    assert (asked.headers["x-api-key"], asked.headers["anthropic-version"]) == (KEY, "2023-06-01")


@pytest.mark.parametrize("connection", ["x-api-key", "authorization, host", "close, x-api-key", "keep-alive, via"])
async def test_a_connection_header_strips_nothing(gateway: Gateway, provider: FaultServer, connection: str) -> None:
    for model, name, value in (("claude/m", "x-api-key", KEY), ("fake/m", "authorization", f"Bearer {KEY}")):
        before = len(provider.requests)
        assert (await ask(gateway, PATHS["openai"], f"Connection: {connection}", model=model)).status == 200
        [asked] = provider.requests[before:]
        assert asked.headers[name] == value
        assert "via" in asked.headers


@pytest.mark.parametrize("name", ["X-LLM-Relay-Router: other", "X-LLM-Relay-Routed-To: evil/m", "X-LLM-Relay-Error: x"])
async def test_a_client_cannot_forge_a_decision(gateway: Gateway, name: str) -> None:
    got = await ask(gateway, PATHS["openai"], name)
    assert (got.headers["x-llm-relay-router"], got.headers["x-llm-relay-routed-to"]) == ("smart", "fake/m")
    assert "x-llm-relay-error" not in got.headers


@pytest.mark.parametrize(
    "header",
    [
        "X-Request-Id: \x1b[31mred\x1b[0m",
        "X-Request-Id: " + "a" * 10_000,
        'X-Request-Id: ","level":"error',
        'X-LLM-Relay-Tags: ","level":",a b,\u00e9,ok,' + "t" * 100 + "," * 50,
        "Traceparent: 00-" + "0" * 32 + "-" + "0" * 16 + "-01",
        "Traceparent: " + "x" * 5000,
    ],
)
async def test_headers_do_not_reach_the_log(gateway: Gateway, header: str) -> None:
    got = await ask(gateway, PATHS["openai"], header)
    if not got.body:
        # Control characters are refused by the server itself.
        assert (got.status, "\x1b" in header) == (400, True)
        return
    line = await gateway.logged(lambda line: line.get("request_id") == got.headers["x-request-id"])
    assert line["client"] == "team"
    assert set(line.get("tags", ())) <= {"ok", "team"}
    assert all(type(json.loads(line)) is dict for line in gateway.output.splitlines())


@pytest.mark.parametrize("session", ["", " ", "a b", "\u00e9", "a" * 257, "\x01"])
async def test_a_session_that_cannot_be_kept(gateway: Gateway, session: str) -> None:
    for dialect, path in PATHS.items():
        got = await ask(gateway, path, f"X-LLM-Relay-Session: {session}")
        if not got.body:
            assert (got.status, session) == (400, "\x01")
        else:
            check_error(dialect, (got.status, got.headers, got.body), 400, "invalid_session")
