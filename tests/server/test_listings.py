"""What can be asked for, in every dialect, and how everything else is refused: paths, methods, names."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import anthropic
import ollama
import openai
import pytest
import pytest_asyncio

from tests.gatewayprocess import Gateway
from tests.server.errorshapes import check_error

pytestmark = pytest.mark.asyncio(loop_scope="module")

GATEWAY = """\
kind: gateway
models:
  sandbox/generalist: {context: 8000, capabilities: [tools, vision]}
"""
SMART = """\
name: smart
description: |
  For everybody.
  FROM nothing
designator: {model: sandbox/designator, timeout: 5s}
candidates:
  - {model: sandbox/generalist, purpose: Anything}
  - {model: sandbox/coder, purpose: Code}
"""
READ = [
    "/",
    "/api/version",
    "/api/tags",
    "/api/ps",
    "/v1/models",
    "/v1/models/smart",
    "/livez",
    "/readyz",
    "/metrics",
    "/status",
]
WRITE = [
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/api/show",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/messages/count_tokens",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    files = {"gateway.yaml": GATEWAY, "smart.yaml": SMART}
    async with Gateway(tmp_path_factory.mktemp("gateway"), files) as it:
        yield it


def dialect_of(path: str) -> str:
    if not path.startswith("/v1/"):
        return "ollama"
    return "anthropic" if path.startswith("/v1/messages") else "openai"


# --- what there is ----------------------------------------------------------------------------------------------------


async def test_the_root_says_what_clients_look_for(gateway: Gateway) -> None:
    answer = await gateway.client.get("/")
    assert (answer.status_code, answer.text) == (200, "Ollama is running")


async def test_ollama_s_own_client_sees_routers_and_models(gateway: Gateway) -> None:
    async with ollama.AsyncClient(host=gateway.url, trust_env=False) as client:
        names = [model.model for model in (await client.list()).models]
        assert names[0] == "smart:latest"
        assert "sandbox/generalist:latest" in names
        assert [model.model for model in (await client.ps()).models] == ["smart:latest"]
        shown = await client.show("smart:latest")
        assert shown.capabilities == ["completion", "tools", "vision"]
        assert shown.modelfile == "# For everybody. FROM nothing\nFROM smart\n"
        with pytest.raises(ollama.ResponseError, match="not found") as caught:
            await client.show("nothing")
        assert caught.value.status_code == 404
    assert (await gateway.client.get("/api/version")).json().keys() == {"version"}


async def test_openai_s_own_client_sees_routers_and_models(gateway: Gateway) -> None:
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        listed = [model async for model in client.models.list()]
        assert (listed[0].id, listed[0].owned_by) == ("smart", "llm-relay")
        for name in ("smart", "SMART:latest", "sandbox/generalist"):
            assert (await client.models.retrieve(name)).id == name.lower().removesuffix(":latest")
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve("no/such/model")
        assert caught.value.code == "model_not_found"


async def test_anthropic_s_own_client_sees_routers_and_models(gateway: Gateway) -> None:
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="none", max_retries=0) as client:
        listed = [model async for model in client.models.list()]
        assert (listed[0].id, listed[0].type) == ("smart", "model")
        assert (await client.models.retrieve("sandbox/generalist")).id == "sandbox/generalist"
        with pytest.raises(anthropic.NotFoundError) as caught:
            await client.models.retrieve("nothing")
        assert caught.value.body == {
            "type": "error",
            "error": {"type": "not_found_error", "message": "model 'nothing' not found"},
            "request_id": caught.value.response.headers["x-request-id"],
        }


@pytest.mark.parametrize("path", READ)
async def test_head_is_get_without_a_body(gateway: Gateway, path: str) -> None:
    whole, head = await gateway.client.get(path), await gateway.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
    assert head.headers["x-request-id"] != whole.headers["x-request-id"]
    # The metrics' page grows with every request that it counts.
    assert abs(int(head.headers["content-length"]) - len(whole.content)) < 200


@pytest.mark.parametrize("path", ["/livez/", "//livez", "/v1//models", "/v1/models/smart/", "//v1/models/smart"])
async def test_slashes_are_not_counted(gateway: Gateway, path: str) -> None:
    assert (await gateway.client.get(gateway.url + path)).status_code == 200


# --- what there is not ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "FOO"])
@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/nothing", "ollama"),
        ("/api", "ollama"),
        ("/api/pull", "ollama"),
        ("/api/chat/more", "ollama"),
        ("/v1", "openai"),
        ("/v1/responses", "openai"),
        ("/v1/chat", "openai"),
        ("/v1/chat/completions/x", "openai"),
        ("/v1/messages/batches", "anthropic"),
        ("//v1//messages/x", "anthropic"),
        ("/v1beta/models", "ollama"),
        ("/metrics/x", "ollama"),
        ("/../../etc/passwd", "ollama"),
        ("/%2e%2e/%00%0d%0aX-Evil:%201", "ollama"),
        ("/.git/config", "ollama"),
    ],
)
async def test_paths_that_are_not_there(gateway: Gateway, path: str, dialect: str, method: str) -> None:
    # The address is given whole, or the client would mend it.
    answer = await gateway.client.request(method, gateway.url + path)
    message = check_error(dialect, (answer.status_code, answer.headers, answer.content), 404, "not_found")
    assert message == "no such path"


async def test_an_anthropic_client_gets_its_own_errors_on_shared_paths(gateway: Gateway) -> None:
    for path, code in (("/v1/models/nothing", "model_not_found"), ("/v1/files", "not_found")):
        answer = await gateway.client.get(path, headers={"anthropic-version": "2023-06-01"})
        check_error("anthropic", (answer.status_code, answer.headers, answer.content), 404, code)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"])
@pytest.mark.parametrize("path", READ)
async def test_what_is_there_to_be_read_cannot_be_changed(gateway: Gateway, path: str, method: str) -> None:
    answer = await gateway.client.request(method, path, content=b"{}")
    check_error(dialect_of(path), (answer.status_code, answer.headers, answer.content), 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"])
@pytest.mark.parametrize("path", WRITE)
async def test_questions_are_posted(gateway: Gateway, path: str, method: str) -> None:
    answer = await gateway.client.request(method, path)
    check_error(dialect_of(path), (answer.status_code, answer.headers, answer.content), 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", WRITE)
async def test_a_head_request_is_refused_without_a_body(gateway: Gateway, path: str) -> None:
    answer = await gateway.client.head(path)
    assert (answer.status_code, answer.content) == (405, b"")


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "a/b/c",
        "a%2Fb",
        "%00",
        "%0d%0aX-Evil:%201",
        "%F0%9F%98%80",
        "..%2f..%2fetc%2fpasswd",
        "x" * 10_000,
        "smart%20",
    ],
)
async def test_models_that_are_not_there(gateway: Gateway, name: str) -> None:
    answer = await gateway.client.get(f"{gateway.url}/v1/models/{name}")
    message = check_error("openai", (answer.status_code, answer.headers, answer.content), 404, "model_not_found")
    assert all(" " <= char <= "~" for char in message)
    assert len(message) < 100
    assert "x-evil" not in answer.headers


@pytest.mark.parametrize("body", [{}, {"name": None}, {"model": 5}, {"model": ["smart"]}, {"model": ""}])
async def test_show_wants_a_name(gateway: Gateway, body: dict[str, object]) -> None:
    answer = await gateway.client.post("/api/show", json=body)
    check_error("ollama", (answer.status_code, answer.headers, answer.content), 400, "missing_model")


@pytest.mark.parametrize("body", [{"model": "smart"}, {"name": "smart"}, {"model": "Smart:latest", "verbose": True}])
async def test_show_knows_both_words_for_it(gateway: Gateway, body: dict[str, object]) -> None:
    answer = await gateway.client.post("/api/show", content=json.dumps(body))
    assert answer.json()["model_info"]["general.basename"] == "smart"


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/openmetrics-text", "application/openmetrics-text; version=9.9.9", "x" * 5000, "\u00e9;q=;;,"],
)
async def test_the_metrics_page_whatever_is_accepted(gateway: Gateway, accept: str) -> None:
    answer = await gateway.client.get("/metrics", headers={b"accept": accept.encode("latin-1")})
    assert answer.status_code == 200
    assert b"llm_relay_config_info" in answer.content
