"""Several workers are one gateway: one port, one memory of sessions, one page of metrics."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.faultserver import PATIENCE
from tests.gatewayprocess import Gateway
from tests.server.scene import JUDGE, Scene, ask, router, told, turns

TWO = ("--workers", "2")
#: Requests over connections of their own: that all of them meet the same of two workers is as good as impossible.
MANY = 40


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Scene() as scene:
        yield scene


async def test_sessions_and_metrics_are_shared(scene: Scene, tmp_path: Path) -> None:
    async with Gateway(tmp_path, scene.files(strategy="session"), *TWO) as gateway:
        await _applied(gateway, 2)
        scene.choice = "beta/m"
        assert await _ask(gateway, 1) == ("beta/m", "designated")
        scene.choice = "alpha/m"
        for count in range(2, MANY + 1):
            assert await _ask(gateway, count) == ("beta/m", "session")
        assert scene.calls(JUDGE) == 1
        for _ in range(4):
            assert await gateway.metric("llm_relay_requests_total", candidate="beta/m") == MANY
            assert await gateway.metric("llm_relay_requests_total", decision="session") == MANY - 1
            assert await gateway.metric("llm_relay_designator_requests_total") == 1
            assert await gateway.metric("llm_relay_inflight_requests") == 0
            assert await gateway.metric("llm_relay_config_info") == 1


async def test_a_session_that_moves_has_moved_for_all_workers_soon(scene: Scene, tmp_path: Path) -> None:
    async with Gateway(tmp_path, scene.files(strategy="session"), *TWO) as gateway:
        await _applied(gateway, 2)
        assert await _ask(gateway, 1) == ("alpha/m", "designated")
        gateway.write("smart.yaml", router(strategy="session", candidates=("beta", "gamma")))
        await _applied(gateway, 4)
        scene.choice = "gamma/m"
        agreed = 0
        async with asyncio.timeout(PATIENCE):
            # A worker may believe its own memory for a second.
            while agreed < MANY:
                agreed = agreed + 1 if await _ask(gateway, 2) == ("gamma/m", "session") else 0
        for count in range(3, MANY):
            assert await _ask(gateway, count) == ("gamma/m", "session")


async def test_a_reload_reaches_every_worker(scene: Scene, tmp_path: Path) -> None:
    async with Gateway(tmp_path, scene.files(), *TWO) as gateway:
        await _applied(gateway, 2)
        gateway.write("smart.yaml", router(candidates=["beta"]))
        await _applied(gateway, 4)
        for count in range(MANY):
            assert await _ask(gateway, count + 1) == ("beta/m", "only_candidate")
        assert await gateway.metric("llm_relay_config_info") == 1


async def test_a_worker_that_is_killed_is_replaced(scene: Scene, tmp_path: Path) -> None:
    async with Gateway(tmp_path, scene.files(strategy="session"), *TWO) as gateway:
        await _applied(gateway, 2)
        assert await _ask(gateway, 1) == ("alpha/m", "designated")
        await gateway.stored("pins")
        before = set(gateway.workers())
        os.kill(min(before), signal.SIGKILL)
        await _until_replaced(gateway, before, 1)
        await gateway.logged(lambda line: line["level"] == "error" and "Unexpected exit" in line["msg"])
        scene.choice = "beta/m"
        for count in range(2, MANY):
            assert await _ask(gateway, count) == ("alpha/m", "session")
        # What the dead one counted stays, what it held does not.
        assert await gateway.metric("llm_relay_requests_total") >= MANY - 2
        assert await gateway.metric("llm_relay_inflight_requests") == 0
        assert await gateway.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_new_worker_serves_what_was_good_last(scene: Scene, tmp_path: Path, workers: int) -> None:
    async with Gateway(tmp_path, scene.files(), "--workers", str(workers)) as gateway:
        good = (await gateway.status())["revision"]
        gateway.write("smart.yaml", "name: smart\ncandidtes: []\n")
        await gateway.logged(lambda line: line.get("code") == "E204")
        before = set(gateway.workers())
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await _until_replaced(gateway, before, workers)
        status = await gateway.until(lambda status: True)
        assert status["revision"] == good
        assert not status["desired"]["ok"]
        assert "E204" in [problem["code"] for problem in status["desired"]["problems"]]
        assert await gateway.metric("llm_relay_config_last_reload_successful") == 0
        assert await _ask(gateway, 1) == ("alpha/m", "designated")


async def _ask(gateway: Gateway, count: int) -> tuple[str, str]:
    """One turn over a connection of its own: any worker may get it."""
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as client:
        return told(await ask(client, turns("Shared", count)))


async def _applied(gateway: Gateway, generations: int) -> None:
    """Wait until the workers have applied so many generations, all together."""
    await gateway.until_metric("llm_relay_config_reloads_total", generations, outcome="applied")


async def _until_replaced(gateway: Gateway, before: set[int], killed: int) -> None:
    """Wait until so many new workers run and the gateway answers."""
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(base_url=gateway.url, trust_env=False) as client:
        while True:
            if len(set(gateway.workers()) - before) == killed:
                try:
                    if (await client.get("/readyz", headers={"connection": "close"})).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
            await asyncio.sleep(0.02)
