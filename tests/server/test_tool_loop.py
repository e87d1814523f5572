"""A tool's result comes back to the model that asked for the tool, in every dialect and through every worker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio

from tests.faultserver import answer, chunk, end, head
from tests.gatewayprocess import Gateway
from tests.server.scene import DONE, JUDGE, Scene, event, router, told, tool_call

pytestmark = pytest.mark.asyncio(loop_scope="module")

FUNCTION = {"name": "clock", "description": "Tells the time", "parameters": {"type": "object", "properties": {}}}


class Dialect(NamedTuple):
    """How a client asks with a tool, and how it brings the result of a call with a given id."""

    path: str
    tools: list[dict[str, Any]]
    #: The turn in which the model asked.
    asked: dict[str, Any]
    #: The turn that brings the result.
    result: dict[str, Any]
    more: dict[str, Any]

    def first(self, text: str) -> dict[str, Any]:
        return {
            "model": "smart",
            "messages": [{"role": "user", "content": text}],
            "tools": self.tools,
            "stream": False,
            **self.more,
        }

    def second(self, text: str, id: str) -> dict[str, Any]:
        body = self.first(text)
        body["messages"] += json.loads(json.dumps([self.asked, self.result]).replace("THE-ID", id))
        return body


CALL = {"id": "THE-ID", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
USE = {"type": "tool_use", "id": "THE-ID", "name": "clock", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "THE-ID", "content": "noon"}
DIALECTS = {
    "openai": Dialect(
        "/v1/chat/completions",
        [{"type": "function", "function": FUNCTION}],
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "THE-ID", "content": "noon"},
        {},
    ),
    "anthropic": Dialect(
        "/v1/messages",
        [{"name": "clock", "description": "Tells the time", "input_schema": FUNCTION["parameters"]}],
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [RESULT]},
        {"max_tokens": 100},
    ),
    "ollama": Dialect(
        "/api/chat",
        [{"type": "function", "function": FUNCTION}],
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "clock", "arguments": {}}}]},
        {"role": "tool", "tool_name": "clock", "content": "noon"},
        {},
    ),
}


class Stage(NamedTuple):
    scene: Scene
    gateway: Gateway

    async def post(self, path: str, body: dict[str, Any]) -> tuple[str, str]:
        """One request over a connection of its own: any worker may get it."""
        return told(await self.gateway.client.post(path, json=body, headers={"connection": "close"}))


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["1", "2"], ids=["one-worker", "two-workers"])
async def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("tools")
    async with Scene() as scene:
        files = {**scene.files(), "alone.yaml": router("alone", candidates=["beta"])}
        async with Gateway(folder, files, "--workers", request.param) as gateway:
            yield Stage(scene, gateway)


@pytest.fixture
def stage(running: Stage) -> Stage:
    running.scene.begin()
    return running


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_the_result_goes_to_the_model_that_asked(stage: Stage, name: str, stream: bool) -> None:
    scene, dialect = stage.scene, DIALECTS[name]
    id, text = f"call_{name}_{stream}", f"What time is it, {name}, {stream}?"
    scene.choice = "beta/m"
    fragment = {"index": 0, "id": id, "type": "function", "function": {"name": "clock", "arguments": "{}"}}
    if stream:
        events = [event({"tool_calls": [fragment]}), event({}, "tool_calls"), DONE]
        scene.play("beta", head(), *map(chunk, events), end())
    else:
        scene.play("beta", answer(tool_call(id)))
    assert await stage.post(dialect.path, {**dialect.first(text), "stream": stream}) == ("beta/m", "designated")
    scene.play("beta")
    scene.choice = "alpha/m"
    for _ in range(8):
        assert await stage.post(dialect.path, dialect.second(text, id)) == ("beta/m", "tool_loop")
    assert scene.calls(JUDGE) == 1
    # The tool's result is read; the next question is decided anew.
    body = dialect.second(text, id)
    body["messages"] += [{"role": "assistant", "content": "Noon."}, {"role": "user", "content": "Thanks"}]
    assert await stage.post(dialect.path, body) == ("alpha/m", "designated")


async def test_a_result_of_an_unknown_call_is_decided_anew(stage: Stage) -> None:
    body = DIALECTS["openai"].second("Who asked?", "call_of_nobody")
    assert await stage.post("/v1/chat/completions", body) == ("alpha/m", "designated")


async def test_the_loop_is_left_when_the_model_fails(stage: Stage) -> None:
    scene, dialect = stage.scene, DIALECTS["openai"]
    scene.play("alpha", answer(tool_call("call_fails")))
    assert await stage.post(dialect.path, dialect.first("Fails")) == ("alpha/m", "designated")
    scene.play("alpha", answer("{}", 503))
    assert await stage.post(dialect.path, dialect.second("Fails", "call_fails")) == ("beta/m", "failover")


async def test_one_candidate_needs_no_designator(stage: Stage) -> None:
    body = {"model": "alone", "messages": [{"role": "user", "content": "Anything"}]}
    assert await stage.post("/v1/chat/completions", body) == ("beta/m", "only_candidate")
    assert stage.scene.calls(JUDGE) == 0


async def test_the_ids_reach_the_client_as_they_were(stage: Stage) -> None:
    stage.scene.play("alpha", answer(tool_call("call_shown")))
    response: httpx.Response = await stage.gateway.client.post(
        "/v1/messages", json=DIALECTS["anthropic"].first("Shown?")
    )
    assert [block["id"] for block in response.json()["content"] if block["type"] == "tool_use"] == ["call_shown"]
