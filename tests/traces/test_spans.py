"""Tracing is on: the spans of every kind of request, as a collector gets them."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio

from tests.faultserver import Step, answer, chunk, end, hang, head, send
from tests.gatewayprocess import Gateway
from tests.server.scene import DONE, JUDGE, Scene, delta, finish, router, told
from tests.traces.collector import Collector, Span

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CLIENT = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{CLIENT}-01"
SECRET = "a prompt that nobody else may read"
KEY = "key-of-the-team-0123456789"
UNIQUE = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class Stage(NamedTuple):
    scene: Scene
    collector: Collector
    gateway: Gateway

    async def ask(
        self, text: str = SECRET, *, stream: bool = False, model: str = "smart", **headers: str
    ) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}
        headers = {"authorization": f"Bearer {KEY}", **headers}
        return await self.gateway.client.post("/v1/chat/completions", json=body, headers=headers)

    async def spans(self, got: httpx.Response, attempts: int) -> tuple[Span, list[Span]]:
        """The spans of the request that ``got`` answers, which are as all must be."""
        server, others = await self.collector.trace(got.headers["x-request-id"], attempts)
        sane(self.scene, server, others)
        return server, others


def sane(scene: Scene, server: Span, others: list[Span]) -> None:
    """What is true of every trace: the tree, the times, and who was told of which span."""
    assert server.kind == "SERVER"
    assert server.resource["service.name"] == "llm-relay"
    assert server.begin < server.end <= time.time_ns()
    for span in others:
        assert (span.kind, span.trace, span.parent) == ("CLIENT", server.trace, server.id)
        assert server.begin <= span.begin < span.end <= server.end
    assert len({server.id, *(span.id for span in others)}) == 1 + len(others)
    asked = [each.headers["traceparent"] for each in scene.requests]
    assert asked == [f"00-{server.trace}-{span.id}-{flags(asked[0])}" for span in others]
    for span in (server, *others):
        assert SECRET not in str(span)
        assert KEY not in str(span)


def flags(traceparent: str) -> str:
    match = UNIQUE.fullmatch(traceparent)
    assert match is not None
    return match[3]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with Scene() as scene, Collector() as collector:
        more = "clients: [{name: team, key: env:TEAM_KEY}]"
        one = router("one", candidates=("alpha",))
        files = {"gateway.yaml": scene.gateway(more=more), "smart.yaml": router(), "one.yaml": one}
        environ = {**collector.environ(), "TEAM_KEY": KEY}
        environ["OTEL_RESOURCE_ATTRIBUTES"] = "deployment.environment.name=test"
        async with Gateway(tmp_path_factory.mktemp("gateway"), files, environ=environ) as gateway:
            yield Stage(scene, collector, gateway)


@pytest.fixture
def stage(running: Stage) -> Stage:
    running.scene.begin()
    return running


def chat(span: Span, provider: str) -> dict[str, Any]:
    """What every span of a chat says, and no more; what is left of its attributes."""
    assert span.name == "chat m"
    left = dict(span.attributes)
    for name in ("llm_relay.request_id", "llm_relay.revision"):
        assert left.pop(name)
    assert left.pop("gen_ai.operation.name") == "chat"
    assert left.pop("gen_ai.provider.name") == provider
    assert left.pop("gen_ai.request.model") == "m"
    assert left.pop("llm_relay.model") == f"{provider}/m"
    assert left.pop("llm_relay.router") == "smart"
    assert left.pop("server.address") == "127.0.0.1"
    assert left.pop("server.port") > 0
    return left


ANSWERED = {
    "gen_ai.response.model": "m",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 3,
    "gen_ai.usage.output_tokens": 1,
}


async def test_a_smart_request(stage: Stage) -> None:
    got = await stage.ask(traceparent=PARENT, tracestate="congo=t61rcWkgMzE", baggage="user=jane")
    assert told(got) == ("alpha/m", "designated")
    server, [designator, candidate] = await stage.spans(got, 2)

    assert (server.name, server.trace, server.parent) == ("POST /v1/chat/completions", TRACE, CLIENT)
    assert not server.failed
    assert server.resource["deployment.environment.name"] == "test"
    assert server.resource["service.version"]
    assert server.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "url.path": "/v1/chat/completions",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "llm_relay.request_id": got.headers["x-request-id"],
        "llm_relay.dialect": "openai",
        "llm_relay.client": "team",
        "llm_relay.router": "smart",
        "llm_relay.candidate": "alpha/m",
        "llm_relay.decision": "designated",
        "llm_relay.revision": got.headers["x-llm-relay-revision"],
        "llm_relay.ended": "complete",
    }
    assert chat(designator, JUDGE) == {
        **ANSWERED,
        "llm_relay.role": "designator",
        "llm_relay.designator.outcome": "designated",
    }
    assert chat(candidate, "alpha") == {
        **ANSWERED,
        "llm_relay.role": "candidate",
        "llm_relay.decision": "designated",
    }
    assert not designator.failed
    assert not candidate.failed
    assert designator.end <= candidate.begin
    for each in stage.scene.requests:
        assert each.headers["tracestate"] == "congo=t61rcWkgMzE"
        assert flags(each.headers["traceparent"]) == "01"
        assert "baggage" not in each.headers
    assert server.state == candidate.state == "congo=t61rcWkgMzE"


@pytest.mark.parametrize("parent", [None, "garbage", f"00-{'0' * 32}-{CLIENT}-01"])
async def test_without_a_parent_a_trace_begins_here(stage: Stage, parent: str | None) -> None:
    if parent is None:
        got = await stage.ask(model="one", tracestate="congo=1")
    else:
        got = await stage.ask(model="one", tracestate="congo=1", traceparent=parent)
    server, [candidate] = await stage.spans(got, 1)
    assert server.parent == ""
    assert server.trace not in ("0" * 32, TRACE)
    assert candidate.attributes["llm_relay.decision"] == "only_candidate"
    [asked] = stage.scene.requests
    assert "tracestate" not in asked.headers
    line = await stage.gateway.logged(lambda line: line.get("request_id") == got.headers["x-request-id"])
    assert line["trace_id"] == server.trace


async def test_a_trace_that_its_client_does_not_record(stage: Stage) -> None:
    got = await stage.ask(traceparent=PARENT[:-1] + "0")
    later = await stage.ask()
    await stage.collector.trace(later.headers["x-request-id"], 2)
    # All that came before has been exported by now.
    assert TRACE not in {
        span.trace
        for span in stage.collector.spans
        if span.attributes["llm_relay.request_id"] == got.headers["x-request-id"]
    }
    parents = [each.headers["traceparent"] for each in stage.scene.requests[:2]]
    for parent in parents:
        assert parent.startswith(f"00-{TRACE}-")
        assert parent.endswith("-00")
        assert CLIENT not in parent
    assert parents[0] != parents[1]


async def test_a_model_that_is_asked_for_directly_has_no_router(stage: Stage) -> None:
    got = await stage.ask(model="beta/m")
    server, [candidate] = await stage.spans(got, 1)
    assert not {"llm_relay.router", "llm_relay.decision"} & (server.attributes | candidate.attributes).keys()
    assert server.attributes["llm_relay.candidate"] == "beta/m"


async def test_failover(stage: Stage) -> None:
    stage.scene.play("alpha", answer(json.dumps({"error": {"message": SECRET}}), 503))
    got = await stage.ask(traceparent=PARENT)
    assert told(got) == ("beta/m", "failover")
    server, [_, failed, answered] = await stage.spans(got, 3)
    assert (failed.failed, answered.failed, server.failed) == (True, False, False)
    assert failed.attributes["error.type"] == "upstream_error"
    assert failed.attributes["gen_ai.response.finish_reasons"] == ["error"]
    assert not {"gen_ai.usage.input_tokens", "llm_relay.decision"} & failed.attributes.keys()
    assert chat(answered, "beta")["llm_relay.decision"] == "failover"
    assert server.attributes["llm_relay.failover_from"] == "alpha/m"
    assert failed.end <= answered.begin


async def test_a_stream(stage: Stage) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}
    last = f"data: {json.dumps(usage)}\n\n"
    stage.scene.play("alpha", head(), chunk(delta("Hi")), chunk(finish()), chunk(last), chunk(DONE), end())
    got = await stage.ask(stream=True, traceparent=PARENT)
    server, [_, candidate] = await stage.spans(got, 2)
    assert candidate.attributes["gen_ai.request.stream"] is True
    assert candidate.attributes["gen_ai.usage.input_tokens"] == 7
    assert candidate.attributes["gen_ai.usage.output_tokens"] == 5
    assert candidate.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    first = candidate.attributes["gen_ai.response.time_to_first_chunk"]
    assert 0 < first <= (candidate.end - candidate.begin) / 1e9
    assert server.attributes["http.response.status_code"] == 200


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ((send("HTTP/1.1 200 OK\r\n\r\nnonsense"),), "upstream_invalid_response"),
        ((answer("{}", 401),), "upstream_auth_failed"),
        ((answer("{}", 429),), "upstream_rate_limited"),
    ],
)
async def test_nobody_answers(stage: Stage, steps: tuple[Step, ...], code: str) -> None:
    # The last of these leaves its provider alone for a while: no other test asks gamma.
    stage.scene.play("gamma", *steps)
    got = await stage.ask(model="gamma/m")
    server, [candidate] = await stage.spans(got, 1)
    assert candidate.failed
    assert candidate.attributes["error.type"] == server.attributes["llm_relay.error"] == code
    assert server.attributes["http.response.status_code"] == got.status_code
    # To a server, what is answered with 4xx is no error of its own.
    assert server.failed == (got.status_code >= 500)
    assert ("error.type" in server.attributes) == server.failed


async def test_a_request_that_the_provider_rejects(stage: Stage) -> None:
    rejected = {"error": {"message": SECRET, "type": "invalid_request_error", "code": "bad_tool"}}
    stage.scene.play("alpha", answer(json.dumps(rejected), 400))
    got = await stage.ask()
    assert got.status_code == 400
    server, [_, candidate] = await stage.spans(got, 2)
    assert (candidate.failed, server.failed) == (True, False)
    assert candidate.attributes["error.type"] == server.attributes["llm_relay.error"]
    assert server.attributes["http.response.status_code"] == 400


async def test_a_stream_that_breaks(stage: Stage) -> None:
    stage.scene.play("alpha", head(), chunk(delta("Hi")), send("zz\r\n"))
    got = await stage.ask(stream=True)
    assert got.status_code == 200
    server, [_, candidate] = await stage.spans(got, 2)
    assert (candidate.failed, server.failed) == (True, True)
    assert candidate.attributes["gen_ai.response.finish_reasons"] == ["error"]
    assert candidate.attributes["error.type"] == server.attributes["error.type"]
    assert server.attributes["http.response.status_code"] == 200
    assert server.attributes["llm_relay.ended"] == "upstream_cut"


async def test_a_designator_that_fails(stage: Stage) -> None:
    stage.scene.play(JUDGE, answer("{}", 500))
    got = await stage.ask()
    assert told(got) == ("alpha/m", "fallback_error")
    server, [designator, candidate] = await stage.spans(got, 2)
    assert (designator.failed, candidate.failed, server.failed) == (True, False, False)
    assert designator.attributes["error.type"] == "upstream_error"
    assert designator.attributes["llm_relay.designator.outcome"] == "error"
    assert server.attributes["llm_relay.decision"] == "fallback_error"


@pytest.mark.parametrize(("player", "attempts"), [(JUDGE, 1), ("alpha", 2)])
async def test_a_client_that_leaves_before_its_answer(stage: Stage, player: str, attempts: int) -> None:
    stage.scene.play(player, hang())
    asking = asyncio.create_task(stage.ask(traceparent=PARENT))
    await stage.scene.until(lambda: stage.scene.calls(player) == 1)
    asking.cancel()
    line = await stage.gateway.logged(
        lambda line: (
            line.get("code") == "client_left"
            and line["trace_id"] == TRACE
            and line.get("candidate") == (None if player == JUDGE else "alpha/m")
        )
    )
    server, others = await stage.collector.trace(line["request_id"], attempts)
    sane(stage.scene, server, others)
    assert not server.failed
    assert "http.response.status_code" not in server.attributes
    assert server.attributes["llm_relay.ended"] == others[-1].attributes["llm_relay.ended"] == "client_left"
    assert not others[-1].failed
    assert "error.type" not in others[-1].attributes
    assert others[-1].attributes["gen_ai.response.finish_reasons"] == ["error"]


async def test_a_client_that_leaves_its_stream(stage: Stage) -> None:
    stage.scene.play("alpha", head(), chunk(delta("Hi")), hang())
    body = {"model": "smart", "messages": [{"role": "user", "content": SECRET}], "stream": True}
    headers = {"authorization": f"Bearer {KEY}"}
    async with stage.gateway.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as got:
        await anext(got.aiter_bytes())
    server, [_, candidate] = await stage.spans(got, 2)
    assert (server.failed, candidate.failed) == (False, False)
    assert server.attributes["http.response.status_code"] == 200
    assert server.attributes["llm_relay.ended"] == candidate.attributes["llm_relay.ended"] == "client_left"
    assert "gen_ai.response.time_to_first_chunk" in candidate.attributes


@pytest.mark.parametrize(
    ("key", "content", "status", "code"),
    [("wrong", b"{}", 401, "invalid_api_key"), (KEY, b"{", 400, "invalid_json"), (KEY, b"[]", 400, None)],
)
async def test_a_request_that_is_refused(stage: Stage, key: str, content: bytes, status: int, code: str | None) -> None:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "traceparent": PARENT}
    got = await stage.gateway.client.post("/v1/chat/completions", content=content, headers=headers)
    assert got.status_code == status
    assert not stage.scene.requests
    server, _ = await stage.collector.trace(got.headers["x-request-id"], 0)
    assert (server.trace, server.parent, server.failed) == (TRACE, CLIENT, False)
    assert server.attributes["http.response.status_code"] == status
    assert code in (None, server.attributes["llm_relay.error"])


@pytest.mark.parametrize(("method", "name", "told"), [("GET", "GET", "GET"), ("BREW", "HTTP", "_OTHER")])
async def test_a_method_that_is_not_allowed(stage: Stage, method: str, name: str, told: str) -> None:
    got = await stage.gateway.client.request(method, "/api/chat")
    assert got.status_code == 405
    server, _ = await stage.collector.trace(got.headers["x-request-id"], 0)
    assert (server.name, server.attributes["http.request.method"]) == (f"{name} /api/chat", told)


async def test_a_name_is_kept_short(stage: Stage) -> None:
    got = await stage.ask(model="beta/" + "m" * 1000)
    server, [candidate] = await stage.spans(got, 1)
    assert len(candidate.name) <= 210
    assert all(len(str(value)) <= 200 for span in (server, candidate) for value in span.attributes.values())


async def test_embeddings(stage: Stage) -> None:
    vectors = {"object": "list", "model": "e", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
    stage.scene.play("alpha", answer(json.dumps({**vectors, "usage": {"prompt_tokens": 9, "total_tokens": 9}})))
    headers = {"authorization": f"Bearer {KEY}", "traceparent": PARENT}
    body = {"model": "alpha/m", "input": SECRET}
    got = await stage.gateway.client.post("/v1/embeddings", json=body, headers=headers)
    server, [span] = await stage.spans(got, 1)
    assert (server.name, span.name) == ("POST /v1/embeddings", "embeddings m")
    assert span.attributes["gen_ai.operation.name"] == "embeddings"
    assert span.attributes["gen_ai.usage.input_tokens"] == 9
    assert "gen_ai.response.finish_reasons" not in span.attributes
    assert server.attributes["http.response.status_code"] == 200

    stage.scene.begin()
    stage.scene.play("alpha", answer("{}", 500))
    got = await stage.gateway.client.post("/v1/embeddings", json=body, headers=headers)
    server, [span] = await stage.spans(got, 1)
    assert (server.failed, span.failed) == (True, True)
    assert span.attributes["error.type"] == server.attributes["error.type"] == "upstream_error"


async def test_what_operators_ask_for_is_not_traced(stage: Stage) -> None:
    before = {span.id for span in stage.collector.spans}
    for path in ("/livez", "/metrics", "/v1/models", "/api/tags"):
        await stage.gateway.client.get(path, headers={"authorization": f"Bearer {KEY}"})
    got = await stage.ask(model="one")
    server, [span] = await stage.spans(got, 1)
    assert {each.id for each in stage.collector.spans} - before == {server.id, span.id}
