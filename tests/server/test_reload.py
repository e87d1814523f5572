"""Hot reload of a gateway that answers all the while."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.faultserver import chunk, end, head, wait
from tests.gatewayprocess import Gateway
from tests.server.scene import DONE, Scene, ask, delta, finish, router, told, turns

SUCCESSFUL = "llm_relay_config_last_reload_successful"
RELOADS = "llm_relay_config_reloads_total"
BROKEN = "name: smart\ndescription: Broken\ncandidtes: []\n"
#: Seconds between two requests of the steady traffic.
EVERY = 0.01


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Scene() as scene:
        yield scene


@pytest.mark.parametrize("arguments", [(), ("--polling",)], ids=["events", "polling"])
async def test_an_edit_is_live_and_a_broken_one_is_not(
    scene: Scene, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    async with Gateway(tmp_path, scene.files(), *arguments) as gateway:
        first = await gateway.status()
        assert await gateway.metric(SUCCESSFUL) == 1

        gateway.write("smart.yaml", router(candidates=["beta"]))
        second = await gateway.until(lambda status: status["revision"] != first["revision"])
        assert told(await ask(gateway.client, "Hello")) == ("beta/m", "only_candidate")

        gateway.write("smart.yaml", BROKEN)
        broken = await gateway.until(lambda status: not status["desired"]["ok"])
        assert broken["revision"] == second["revision"]
        assert broken["desired"]["revision"] not in (first["revision"], second["revision"])
        problem = next(problem for problem in broken["desired"]["problems"] if problem["code"] == "E204")
        assert problem["file"].endswith("smart.yaml")
        assert (problem["line"], problem["column"]) == (3, 1)
        assert "candidates" in problem["remedy"]
        line = await gateway.logged(lambda line: line.get("code") == "E204")
        assert "smart.yaml:3:1" in line["msg"]
        assert line["level"] == "error"
        assert await gateway.metric(SUCCESSFUL) == 0
        assert await gateway.metric(RELOADS, outcome="refused") == 1
        answered = await ask(gateway.client, "Hello")
        assert told(answered) == ("beta/m", "only_candidate")
        assert answered.headers["x-llm-relay-revision"] == second["revision"]
        assert (await gateway.client.get("/readyz")).status_code == 200

        gateway.write("smart.yaml", router())
        third = await gateway.until(lambda status: status["desired"]["ok"])
        assert third["revision"] == first["revision"]
        assert await gateway.metric(SUCCESSFUL) == 1
        assert await gateway.metric("llm_relay_config_info", revision=first["revision"]) == 1
        assert await gateway.metric("llm_relay_config_info") == 1


async def test_what_began_on_the_old_generation_ends_on_it(scene: Scene, tmp_path: Path) -> None:
    release = asyncio.Event()
    scene.play("alpha", head(), chunk(delta("one")), wait(release), chunk(finish()), chunk(DONE), end())
    files = {**scene.files(), "other.yaml": router("other")}
    async with Gateway(tmp_path, files) as gateway:
        before = (await gateway.status())["revision"]
        body = {"model": "smart", "stream": True, "messages": turns("Hello")}
        async with gateway.client.stream("POST", "/v1/chat/completions", json=body) as response:
            pieces = response.aiter_raw()
            await anext(pieces)
            (gateway.config / "smart.yaml").unlink()
            await gateway.until(lambda status: status["revision"] != before)
            assert (await ask(gateway.client, "Hello")).status_code == 404
            release.set()
            assert b"".join([piece async for piece in pieces]).endswith(DONE.encode())
            assert response.headers["x-llm-relay-revision"] == before


async def test_connections_to_providers_that_did_not_change_are_kept(scene: Scene, tmp_path: Path) -> None:
    async with Gateway(tmp_path, scene.files()) as gateway:
        told(await ask(gateway.client, "Hello"))
        before = (await gateway.status())["revision"]
        accepted = scene.accepted
        gateway.write("smart.yaml", router(description="Another text"))
        await gateway.until(lambda status: status["revision"] != before)
        told(await ask(gateway.client, "Hello"))
        assert scene.accepted == accepted


async def test_edits_under_traffic(scene: Scene, tmp_path: Path) -> None:
    def edit(gateway: Gateway, number: int) -> None:
        gateway.write("smart.yaml", _smart(number))

    async with Gateway(tmp_path, {**scene.files(), "smart.yaml": _smart(0)}) as gateway:
        await _reloads(gateway, edit)


async def test_config_map_swaps_under_traffic(scene: Scene, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()

    def swap(_: Gateway | None, number: int) -> None:
        data = mount / f"..2026_{number}"
        data.mkdir()
        (data / "gateway.yaml").write_text(scene.gateway())
        (data / "smart.yaml").write_text(_smart(number))
        (mount / "..data_tmp").symlink_to(data.name)
        (mount / "..data_tmp").rename(mount / "..data")
        shutil.rmtree(mount / f"..2026_{number - 1}", ignore_errors=True)

    swap(None, 0)
    for name in ("gateway.yaml", "smart.yaml"):
        (mount / name).symlink_to(Path("..data") / name)
    async with Gateway(tmp_path, {}, config=mount) as gateway:
        await _reloads(gateway, swap)


def _smart(number: int) -> str:
    """Generation ``number`` of the router: even ones know alpha alone, odd ones beta."""
    return router(candidates=["beta" if number % 2 else "alpha"], description=f"Number {number}")


async def _reloads(gateway: Gateway, change: Callable[[Gateway, int], None], times: int = 20) -> None:
    """Make so many changes under steady traffic: every answer is whole, and of exactly one generation."""
    expected = {(await gateway.status())["revision"]: "alpha/m"}
    async with _traffic(gateway) as answers:
        for number in range(1, times + 1):
            change(gateway, number)
            status = await gateway.until(lambda status: status["routers"][0]["description"] == f"Number {number}")  # noqa: B023
            expected[status["revision"]] = "beta/m" if number % 2 else "alpha/m"
    assert len(expected) == times + 1
    assert len(answers) > times
    for answer in answers:
        candidate, decision = told(answer)
        assert decision == "only_candidate"
        assert candidate == expected[answer.headers["x-llm-relay-revision"]]
    assert not [line for line in gateway.log if re.search("defect|Traceback", str(line))]


@asynccontextmanager
async def _traffic(gateway: Gateway) -> AsyncIterator[list[httpx.Response]]:
    """Requests at a steady rate while the block runs; their answers, complete after it."""
    answers: list[httpx.Response] = []

    async def one() -> None:
        answers.append(await ask(gateway.client, "Hello"))

    async def steady() -> None:
        while True:
            running.create_task(one())
            await asyncio.sleep(EVERY)

    async with asyncio.TaskGroup() as running:
        traffic = running.create_task(steady())
        yield answers
        traffic.cancel()
