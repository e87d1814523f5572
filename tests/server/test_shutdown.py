"""How a gateway ends: answers under way are finished within the drain time, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faultserver import PATIENCE, chunk, end, hang, head, repeat, wait
from tests.gatewayprocess import Gateway
from tests.server.scene import DONE, Scene, ask, delta, finish, told, turns

STREAM = {"model": "smart", "stream": True, "messages": turns("Hello")}


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Scene() as scene:
        yield scene


async def test_a_running_stream_is_finished(scene: Scene, tmp_path: Path) -> None:
    release = asyncio.Event()
    steps = [chunk(delta("two")), chunk(finish()), chunk(DONE), end()]
    scene.play("alpha", head(), chunk(delta("one")), wait(release), *steps)
    async with Gateway(tmp_path, scene.files()) as gateway:
        async with gateway.client.stream("POST", "/v1/chat/completions", json=STREAM) as response:
            pieces = response.aiter_raw()
            first = await anext(pieces)
            ended = asyncio.create_task(gateway.stop())
            await gateway.logged(lambda line: "shutting down: 1 requests" in line["msg"])
            await _refused(gateway)
            assert not ended.done()
            release.set()
            rest = b"".join([piece async for piece in pieces])
        assert await ended == 0
        assert b"one" in first
        assert b"two" in rest
        assert rest.endswith(DONE.encode())
        (row,) = await gateway.stored("ledger")
        assert (row["status"], row["ended"]) == (200, "complete")


async def test_an_endless_stream_is_cut_and_told_so(scene: Scene, tmp_path: Path) -> None:
    scene.play("alpha", head(), chunk(delta("one")), hang())
    async with Gateway(tmp_path, scene.files(), "--drain-timeout", "100ms") as gateway:
        async with gateway.client.stream("POST", "/v1/chat/completions", json=STREAM) as response:
            pieces = response.aiter_raw()
            await anext(pieces)
            gateway.send(signal.SIGTERM)
            rest = b"".join([piece async for piece in pieces])
        assert await gateway.ended() == 0
        assert json.loads(rest.removeprefix(b"data: "))["error"]["code"] == "overloaded"
        (row,) = await gateway.stored("ledger")
        assert (row["status"], row["ended"], row["code"]) == (503, "error", "overloaded")


@pytest.mark.parametrize(
    ("path", "model", "fields"),
    [
        ("/v1/chat/completions", "smart", {"messages": turns("Hello")}),
        ("/v1/embeddings", "alpha/m", {"input": "Hello"}),
    ],
)
async def test_an_answer_that_has_not_begun_is_refused_at_the_end(
    scene: Scene, tmp_path: Path, path: str, model: str, fields: dict[str, Any]
) -> None:
    scene.play("alpha", hang())
    environ = {"LLM_RELAY_DRAIN_TIMEOUT": "100ms"}
    async with Gateway(tmp_path, scene.files(), environ=environ) as gateway:
        waiting = asyncio.create_task(gateway.client.post(path, json={"model": model, **fields}))
        await scene.until(lambda: scene.calls("alpha") == 1)
        assert await gateway.stop() == 0
        response = await waiting
        assert response.status_code == 503
        assert response.headers["x-llm-relay-error"] == "overloaded"


async def test_a_second_signal_does_not_wait(scene: Scene, tmp_path: Path) -> None:
    scene.play("alpha", head(), chunk(delta("one")), hang())
    async with Gateway(tmp_path, scene.files(), "--drain-timeout", "1h") as gateway:
        async with gateway.client.stream("POST", "/v1/chat/completions", json=STREAM) as response:
            pieces = response.aiter_raw()
            await anext(pieces)
            gateway.send(signal.SIGTERM)
            await gateway.logged(lambda line: "shutting down" in line["msg"])
            gateway.send(signal.SIGTERM)
            assert b"overloaded" in b"".join([piece async for piece in pieces])
        assert await gateway.ended() == 0


async def test_a_client_that_does_not_read_cannot_hold_it_up(scene: Scene, tmp_path: Path) -> None:
    scene.play("alpha", head(), repeat(1 << 20, chunk(delta("x" * 4000))))
    async with Gateway(tmp_path, scene.files(), "--drain-timeout", "100ms") as gateway:
        async with gateway.client.stream("POST", "/v1/chat/completions", json=STREAM) as response:
            assert response.status_code == 200
            assert await gateway.stop() == 0
        (row,) = await gateway.stored("ledger")
        assert row["ended"] != "complete"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_no_row_of_the_ledger_is_lost(scene: Scene, tmp_path: Path, number: int) -> None:
    async with Gateway(tmp_path, scene.files()) as gateway:
        for _ in range(30):
            told(await ask(gateway.client, "Hello"))
        # As a terminal does it: to every process of the group.
        os.killpg(gateway.pid, number)
        assert await gateway.ended() == 0
        assert len(await gateway.stored("ledger", count=30)) == 30


async def test_workers_do_not_outlive_their_parent(scene: Scene, tmp_path: Path) -> None:
    async with Gateway(tmp_path, scene.files(), "--workers", "2") as gateway:
        told(await ask(gateway.client, "Hello"))
        gateway.send(signal.SIGKILL)
        assert await gateway.ended() == -signal.SIGKILL
        await _refused(gateway)
        assert len(await gateway.stored("ledger")) == 1


async def _refused(gateway: Gateway) -> None:
    """Wait until nobody listens any more."""
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(base_url=gateway.url) as client:
        while True:
            try:
                await client.get("/livez", headers={"connection": "close"})
            except httpx.ConnectError:
                return
            await asyncio.sleep(0.01)
