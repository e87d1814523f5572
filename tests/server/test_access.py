"""Who may ask what, from where: keys, routers, hosts, origins, operators."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
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
#: Every path that wants a client's key, with its method and the dialect of its errors.
CLOSED = [
    ("POST", "/v1/chat/completions", "openai"),
    ("POST", "/v1/completions", "openai"),
    ("POST", "/v1/embeddings", "openai"),
    ("POST", "/v1/messages", "anthropic"),
    ("POST", "/v1/messages/count_tokens", "anthropic"),
    ("POST", "/api/chat", "ollama"),
    ("POST", "/api/generate", "ollama"),
    ("POST", "/api/embed", "ollama"),
    ("POST", "/api/embeddings", "ollama"),
    ("POST", "/api/show", "ollama"),
    ("GET", "/api/tags", "ollama"),
    ("GET", "/api/ps", "ollama"),
    ("GET", "/v1/models", "openai"),
    ("GET", "/v1/models/smart", "openai"),
    ("GET", "/status", "ollama"),
]
OPEN = ["/", "/api/version", "/livez", "/readyz", "/metrics"]

TEAM, EVERYTHING, OPERATOR = "key-of-the-team-0123456789", "key-of-the-staff-0123456789", "key-of-the-watch-0123456789"
WRONG = "key-that-nobody-owns-0123456789"
GATEWAY = """\
kind: gateway
clients:
  - {name: team, key: env:TEAM_KEY, routers: [smart], tags: [team]}
  - {name: staff, key: env:STAFF_KEY}
operators:
  - {name: watch, key: env:WATCH_KEY}
"""
SMART = """\
name: smart
designator: {model: sandbox/designator, timeout: 5s}
candidates:
  - {model: fake/m, purpose: Anything}
  - {model: fake/n, purpose: Nothing}
"""
ASK: dict[str, Any] = {"model": "smart", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
BODY = json.dumps({**ASK, "stream": False}).encode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FaultServer]:
    async with obliging() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, provider: FaultServer) -> AsyncIterator[Gateway]:
    files = {
        "gateway.yaml": GATEWAY + PROVIDERS.format(url=provider.url),
        "smart.yaml": SMART,
        "other.yaml": SMART.replace("smart", "other"),
    }
    environ = {**ENVIRON, "TEAM_KEY": TEAM, "STAFF_KEY": EVERYTHING, "WATCH_KEY": OPERATOR}
    async with Gateway(tmp_path_factory.mktemp("gateway"), files, environ=environ) as it:
        yield it


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_gateway(tmp_path_factory: pytest.TempPathFactory, provider: FaultServer) -> AsyncIterator[Gateway]:
    """One without clients, which a name of its own was given to."""
    document = f"kind: gateway\nallowed_hosts: [relay.example.com]\n{PROVIDERS.format(url=provider.url)}"
    files = {"gateway.yaml": document, "smart.yaml": SMART}
    async with Gateway(tmp_path_factory.mktemp("open"), files, environ=ENVIRON) as it:
        yield it


async def ask(gateway: Gateway, path: str, *headers: str, body: bytes = BODY, host: str = "localhost") -> Answer:
    [got], _ = await talk(gateway.port, request(path, body, *headers, host=host))
    return got


def check(dialect: str, got: Answer, status: int, code: str) -> str:
    return check_error(dialect, (got.status, got.headers, got.body), status, code)


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}"


# --- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param((), id="none"),
        pytest.param((bearer(WRONG),), id="wrong"),
        pytest.param((f"X-Api-Key: {WRONG}",), id="wrong x-api-key"),
        pytest.param((bearer(""),), id="empty"),
        pytest.param(("Authorization: Bearer",), id="no token"),
        pytest.param(("X-Api-Key:",), id="empty x-api-key"),
        pytest.param((f"Authorization: Basic {TEAM}",), id="Basic"),
        pytest.param((f"Authorization: {TEAM}",), id="no scheme"),
        pytest.param((bearer(TEAM[:-1]),), id="cut"),
        pytest.param((bearer(TEAM.upper()),), id="letter case"),
        pytest.param((bearer(f"{TEAM} {TEAM}"),), id="a list"),
        pytest.param((bearer("\xff\xfe"),), id="not ASCII"),
        pytest.param((bearer(TEAM), bearer(WRONG)), id="two"),
        pytest.param((bearer(TEAM), bearer(TEAM)), id="the same twice"),
        pytest.param((f"X-Api-Key: {TEAM}", f"X-Api-Key: {WRONG}"), id="two x-api-keys"),
        pytest.param((bearer(WRONG), f"X-Api-Key: {TEAM}"), id="the other header is not tried"),
        pytest.param((f"Proxy-Authorization: Bearer {TEAM}", f"Cookie: key={TEAM}"), id="elsewhere"),
    ],
)
async def test_without_a_client_s_key_there_is_nothing(
    gateway: Gateway, provider: FaultServer, headers: tuple[str, ...]
) -> None:
    before = len(provider.requests)
    for method, path, dialect in CLOSED:
        [got], _ = await talk(gateway.port, request(path, BODY if method == "POST" else b"", *headers, method=method))
        message = check(dialect, got, 401, "invalid_api_key")
        assert got.headers["www-authenticate"] == "Bearer"
        assert "key-" not in message
    assert len(provider.requests) == before


async def test_an_operator_s_key_is_no_client_s(gateway: Gateway) -> None:
    for dialect, path in PATHS.items():
        check(dialect, await ask(gateway, path, bearer(OPERATOR)), 401, "invalid_api_key")
    for key in (TEAM, EVERYTHING):
        [got], _ = await talk(gateway.port, request("/status", b"", bearer(key), method="GET"))
        check("ollama", got, 401, "invalid_api_key")


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("header", [bearer(TEAM), f"authorization: bearer  {TEAM} ", f"X-Api-Key: {TEAM}"])
async def test_a_client_s_key(gateway: Gateway, dialect: str, header: str) -> None:
    got = await ask(gateway, PATHS[dialect], header)
    assert (got.status, got.headers["x-llm-relay-router"]) == (200, "smart")


async def test_what_is_open_needs_no_key(gateway: Gateway) -> None:
    for path in OPEN:
        assert (await gateway.client.get(path)).status_code == 200


@pytest.mark.parametrize("name", ["key", "api_key", "access_token", "token"])
async def test_a_key_in_the_query_string_is_no_key_and_is_not_logged(gateway: Gateway, name: str) -> None:
    for dialect, path in PATHS.items():
        check(dialect, await ask(gateway, f"{path}?{name}={TEAM}"), 401, "invalid_api_key")
        assert (await ask(gateway, f"{path}?{name}=hidden-in-the-query", bearer(TEAM))).status == 200
    await gateway.logged(lambda line: line.get("client") == "team")
    assert "hidden-in-the-query" not in gateway.output
    assert not any(key in gateway.output for key in (TEAM, EVERYTHING, OPERATOR, WRONG, KEY))


# --- what a client may ask for ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "dialect"), CLOSED[:9])
async def test_what_is_not_for_a_client_does_not_exist_for_it(
    gateway: Gateway, provider: FaultServer, method: str, path: str, dialect: str
) -> None:
    before = len(provider.requests)
    body = {**ASK, "prompt": "hello", "input": "hello"}
    told = set()
    for model in ("other", "fake/m", "OTHER", "no-such-router"):
        got = await ask(gateway, path, bearer(TEAM), body=json.dumps({**body, "model": model}).encode())
        message = check(dialect, got, 404, "model_not_found")
        assert got.headers.keys() & {"x-llm-relay-router", "x-llm-relay-routed-to"} == set()
        told.add(message.replace(model, "…"))
    # An answer that differed would tell that it exists.
    assert len(told) == 1
    assert len(provider.requests) == before


async def test_a_client_sees_what_it_may_ask_for(gateway: Gateway) -> None:
    client = gateway.client
    for key, routers, everything in ((TEAM, {"smart"}, False), (EVERYTHING, {"smart", "other"}, True)):
        headers = {"authorization": f"Bearer {key}"}
        tags = {each["name"] for each in (await client.get("/api/tags", headers=headers)).json()["models"]}
        models = {each["id"] for each in (await client.get("/v1/models", headers=headers)).json()["data"]}
        running = {each["name"] for each in (await client.get("/api/ps", headers=headers)).json()["models"]}
        assert {name.removesuffix(":latest") for name in tags} == models
        assert running == {f"{name}:latest" for name in routers}
        assert {name for name in models if "/" not in name} == routers
        assert ("fake/m" in models) is everything
    headers = {"authorization": f"Bearer {TEAM}"}
    got = await client.get("/v1/models/other", headers=headers)
    check_error("openai", (got.status_code, got.headers, got.content), 404, "model_not_found")
    got = await client.post("/api/show", json={"model": "other"}, headers=headers)
    check_error("ollama", (got.status_code, got.headers, got.content), 404, "model_not_found")


# --- where a request comes from ---------------------------------------------------------------------------------------

EVIL = [
    "https://evil.example",
    "http://evil.example:11434",
    "null",
    "http://[",
    "file://",
    "http://localhost.evil.example",
]


@pytest.mark.parametrize("origin", [*EVIL, "http://evil.example, http://localhost", ""])
async def test_pages_of_strangers_get_no_answer(open_gateway: Gateway, provider: FaultServer, origin: str) -> None:
    before = len(provider.requests)
    for dialect, path in PATHS.items():
        got = await ask(open_gateway, path, f"Origin: {origin}", "Content-Type: text/plain")
        check(dialect, got, 403, "origin_not_allowed")
    for method, path, dialect in (("GET", "/api/tags", "ollama"), ("GET", "/", "ollama"), ("GET", "/status", "ollama")):
        [got], _ = await talk(open_gateway.port, request(path, b"", f"Origin: {origin}", method=method))
        check(dialect, got, 403, "origin_not_allowed")
    assert len(provider.requests) == before


async def test_a_page_s_permission_to_ask_is_not_given(open_gateway: Gateway) -> None:
    headers = ("Origin: https://evil.example", "Access-Control-Request-Method: POST")
    [got], _ = await talk(open_gateway.port, request(PATHS["openai"], b"", *headers, method="OPTIONS"))
    check("openai", got, 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost", "http://localhost:3000"),
        ("127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("[::1]:11434", "http://[::1]:8080"),
        ("relay.example.com", "https://relay.example.com"),
        ("RELAY.example.com", "https://Relay.Example.com"),
        ("192.0.2.7:11434", "http://192.0.2.7:11434"),
        ("localhost", None),
        ("relay.example.com", None),
    ],
)
async def test_pages_of_our_own_get_one_without_cors(open_gateway: Gateway, host: str, origin: str | None) -> None:
    headers = [] if origin is None else [f"Origin: {origin}"]
    got = await ask(open_gateway, PATHS["openai"], *headers, host=host)
    assert got.status == 200
    assert not any(name.startswith("access-control-") for name in got.headers)


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "relay.example.com.evil.example", "0x7f.1x"]
)
@pytest.mark.parametrize(("method", "path", "dialect"), [*CLOSED, ("GET", "/metrics", "ollama")])
async def test_a_name_that_is_not_ours(open_gateway: Gateway, host: str, method: str, path: str, dialect: str) -> None:
    body = BODY if method == "POST" else b""
    [got], _ = await talk(open_gateway.port, request(path, body, f"Origin: http://{host}", host=host, method=method))
    check(dialect, got, 421, "misdirected_request")


# --- status -----------------------------------------------------------------------------------------------------------


async def test_status_is_for_operators_and_holds_no_secret(gateway: Gateway) -> None:
    got = await gateway.client.get("/status", headers={"authorization": f"Bearer {OPERATOR}"})
    assert got.status_code == 200
    assert {router["name"] for router in got.json()["routers"]} == {"smart", "other"}
    assert not any(key in got.text for key in (TEAM, EVERYTHING, OPERATOR, KEY))


async def test_a_page_cannot_lead_a_browser_of_this_machine_to_status(tmp_path: Path, provider: FaultServer) -> None:
    """Where there are clients and no operators, no key protects status from a name that now points here."""
    document = f"kind: gateway\nclients: [{{name: team, key: env:TEAM_KEY}}]\n{PROVIDERS.format(url=provider.url)}"
    files = {"gateway.yaml": document, "smart.yaml": SMART}
    async with Gateway(tmp_path, files, environ={**ENVIRON, "TEAM_KEY": TEAM}) as gateway:
        for path in ("/status", "/ui/"):
            [got], _ = await talk(gateway.port, request(path, b"", host="evil.example", method="GET"))
            assert got.status == 421
            for host in ("localhost", "127.0.0.1:11434", "[::1]"):
                [got], _ = await talk(gateway.port, request(path, b"", host=host, method="GET"))
                assert got.status == 200
        # A client's key is more than a page has: any name will do.
        assert (await ask(gateway, PATHS["openai"], bearer(TEAM), host="relay.example.com")).status == 200


async def test_without_operators_status_is_for_this_machine(open_gateway: Gateway) -> None:
    assert (await open_gateway.client.get("/status")).status_code == 200
