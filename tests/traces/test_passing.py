"""Tracing is off: a client's trace context goes on to every provider as it came, and nothing is made up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.faultserver import FaultServer, answer
from tests.gatewayprocess import Gateway
from tests.server.providers import ENVIRON, PROVIDERS, obliging
from tests.server.rawhttp import Answer, request, talk
from tests.server.scene import JUDGE, Scene, ask, told

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
NAMES = ("traceparent", "tracestate", "baggage")

EVERYWHERE = {
    "/v1/chat/completions": "fake/m",
    "/v1/completions": "claude/m",
    "/v1/messages": "claude/m",
    "/v1/messages/count_tokens": "claude/m",
    "/api/chat": "llama/m",
    "/api/generate": "fake/m",
    "/v1/embeddings": "fake/m",
    "/api/embed": "llama/m",
}


class Stage(NamedTuple):
    scene: Scene
    provider: FaultServer
    gateway: Gateway
    #: The same providers, from a second gateway with an endpoint for traces, and the SDK disabled.
    disabled: Gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with Scene() as scene, obliging() as provider:
        # Both are documents of providers: the second one's go under the first one's heading.
        more = PROVIDERS.format(url=provider.url).removeprefix("providers:\n")
        first, rest = scene.gateway().split("providers:\n")
        files = {**scene.files(), "gateway.yaml": f"{first}providers:\n{more}{rest}"}
        off = {"OTEL_EXPORTER_OTLP_ENDPOINT": provider.url, "OTEL_SDK_DISABLED": "true"}
        folder = tmp_path_factory.mktemp
        async with (
            Gateway(folder("off"), files, environ=ENVIRON) as gateway,
            Gateway(folder("disabled"), files, environ={**ENVIRON, **off}) as disabled,
        ):
            yield Stage(scene, provider, gateway, disabled)


async def post(gateway: Gateway, path: str, model: str, *headers: str) -> Answer:
    asked: dict[str, Any] = {"model": model, "max_tokens": 5, "stream": False, "input": "hello", "prompt": "hello"}
    asked["messages"] = [{"role": "user", "content": "hello"}]
    if "embed" in path:
        del asked["messages"], asked["prompt"], asked["max_tokens"], asked["stream"]
    [got], _ = await talk(gateway.port, request(path, json.dumps(asked).encode(), *headers))
    return got


def traced(server: FaultServer, since: int) -> list[dict[str, str]]:
    """The headers of traces in all requests after the first ``since``."""
    return [{name: each.headers[name] for name in NAMES if name in each.headers} for each in server.requests[since:]]


@pytest.mark.parametrize(("path", "model"), EVERYWHERE.items())
async def test_every_endpoint_passes_it_on(stage: Stage, path: str, model: str) -> None:
    before = len(stage.provider.requests)
    headers = (f"Traceparent: {PARENT}", f"Tracestate: {STATE}", "Baggage: user=jane")
    got = await post(stage.gateway, path, model, *headers)
    assert got.status == 200, got.body
    assert traced(stage.provider, before) == [{"traceparent": PARENT, "tracestate": STATE}]
    assert not set(NAMES) & got.headers.keys()


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        ([], {}),
        (["Baggage: a=1"], {}),
        ([f"Tracestate: {STATE}"], {}),
        ([f"Traceparent: {PARENT}"], {"traceparent": PARENT}),
        ([f"TRACEPARENT:   {PARENT}  "], {"traceparent": PARENT}),
        ([f"Traceparent: cc{PARENT[2:]}-more"], {"traceparent": f"cc{PARENT[2:]}-more"}),
        (
            [f"Traceparent: {PARENT}", "Tracestate: a=1", "Tracestate: b=2"],
            {"traceparent": PARENT, "tracestate": "a=1,b=2"},
        ),
        ([f"Traceparent: {PARENT}", "Tracestate: GARBAGE"], {"traceparent": PARENT}),
        ([f"Traceparent: {PARENT}", f"Traceparent: {PARENT}"], {}),
        ([f"Traceparent: {PARENT.upper()}", f"Tracestate: {STATE}"], {}),
        ([f"Traceparent: ff{PARENT[2:]}", f"Tracestate: {STATE}"], {}),
        ([f"Traceparent: 00-{'0' * 32}-00f067aa0ba902b7-01"], {}),
        ([f"Traceparent: 00-{TRACE}-{'0' * 16}-01"], {}),
        (["Traceparent: " + "x" * 5000], {}),
    ],
)
@pytest.mark.parametrize("disabled", [False, True])
async def test_what_is_valid_goes_on_and_nothing_else(
    stage: Stage, sent: Sequence[str], passed: dict[str, str], disabled: bool
) -> None:
    before = len(stage.provider.requests)
    gateway = stage.disabled if disabled else stage.gateway
    assert (await post(gateway, "/v1/chat/completions", "fake/m", *sent)).status == 200
    assert traced(stage.provider, before) == [passed]


@pytest.mark.parametrize("stream", [False, True])
async def test_designator_and_every_candidate_get_the_same(stage: Stage, stream: bool) -> None:
    scene = stage.scene
    scene.begin()
    scene.play("alpha", answer("{}", 503))
    headers = {"traceparent": PARENT, "tracestate": STATE}
    body = {"model": "smart", "messages": [{"role": "user", "content": "hello"}], "stream": stream}
    got = await stage.gateway.client.post("/v1/chat/completions", json=body, headers=headers)
    assert told(got) == ("beta/m", "failover")
    assert [each.target.split("/")[1] for each in scene.requests] == [JUDGE, "alpha", "beta"]
    assert traced(scene, 0) == [headers] * 3


async def test_log_and_ledger_know_the_clients_trace(stage: Stage) -> None:
    gateway = stage.gateway
    got = await gateway.client.post("/v1/chat/completions", json=[], headers={"traceparent": PARENT})
    assert got.status_code == 400
    assert (await logged(gateway, got.headers["x-request-id"]))["trace_id"] == TRACE

    stage.scene.begin()
    with_trace = await post(gateway, "/v1/chat/completions", "smart", f"Traceparent: {PARENT}")
    without = await ask(gateway.client, "Hello")
    for headers, trace in ((with_trace.headers, TRACE), (without.headers, None)):
        request_id = headers["x-request-id"]
        assert (await logged(gateway, request_id)).get("trace_id") == trace
        [row] = await gateway.stored("ledger", f"request_id = '{request_id}'")
        assert row["trace_id"] == trace


async def logged(gateway: Gateway, request_id: str) -> dict[str, Any]:
    """The log's line about a request."""
    line: dict[str, Any] = await gateway.logged(lambda line: line.get("request_id") == request_id)
    return line
