"""Reviewed assessments in a running gateway: live like any commit, and never at the price of those that were good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.intelligence import lockfile
from tests.faultserver import PATIENCE, FaultServer, hang
from tests.gatewayprocess import Gateway
from tests.intelligence.kit import ENVIRON, Web, assessment, documents, needs_chroma, write
from tests.intelligence.test_command import CHAT

#: No look that nobody asked for.
UNASKED = {**ENVIRON, "LLM_RELAY_INTELLIGENCE_POLL": "3600"}


class Scene:
    """A gateway over reviewed files, and the web that its designator is on."""

    def __init__(self, web: Web, gateway: Gateway) -> None:
        self.web = web
        self.gateway = gateway

    async def prompt(self) -> str:
        """What the designator reads with the next request."""
        assert (await self.gateway.client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        return self.web.designations[-1]

    async def read(self, words: str) -> None:
        """Ask until the designator reads ``words``; none at all where they are empty."""
        async with asyncio.timeout(PATIENCE):
            while True:
                prompt = await self.prompt()
                if words in prompt and bool(words) == ("; assessment: " in prompt):
                    return


def render(words: str) -> str:
    return lockfile.render("smart", [assessment(text=words, days=36500)])


@pytest_asyncio.fixture(params=[(), ("--polling",)], ids=["events", "polling"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    web = Web()
    async with web.server() as server:
        write(tmp_path / "routers.d", documents(server.url, source="file"))
        async with Gateway(tmp_path, {}, *request.param, environ=UNASKED) as gateway:
            yield Scene(web, gateway)


async def test_a_file_appears_changes_and_goes(scene: Scene) -> None:
    config = scene.gateway.config
    assert "; assessment: " not in await scene.prompt()
    lockfile.write(config, "smart", [assessment(text="First.", days=36500)])
    await scene.read("First.")
    lockfile.path(config, "smart").write_text(render("Second, in place."))
    await scene.read("Second, in place.")
    lockfile.path(config, "smart").unlink()
    await scene.read("")


async def test_a_mistake_leaves_what_was_good(scene: Scene) -> None:
    config = scene.gateway.config
    path = lockfile.write(config, "smart", [assessment(text="Good.", days=36500)])
    await scene.read("Good.")
    good = await scene.gateway.status()
    assert good["desired"]["ok"]
    path.write_text(render("Bad.").replace("confidence: medium", "confidence: sure"))
    bad = await scene.gateway.until(lambda status: not status["desired"]["ok"])
    (problem,) = [each for each in bad["desired"]["problems"] if each["severity"] == "error"]
    assert (problem["file"], problem["line"], problem["code"]) == (str(path), 13, "E404")
    assert problem["path"] == "assessments[0].confidence"
    assert bad["routers"][0]["prompt_digest"] == good["routers"][0]["prompt_digest"]
    assert "Good." in await scene.prompt()
    # Another generation comes, with the assessments that are known.
    scene.gateway.write("other.yaml", (config / "smart.yaml").read_text().replace("name: smart", "name: other"))
    await scene.gateway.until(lambda status: len(status["routers"]) == 2)
    assert "Good." in await scene.prompt()
    path.write_text(render("Mended."))
    await scene.read("Mended.")
    mended = await scene.gateway.until(lambda status: status["desired"]["ok"])
    assert [each for each in mended["desired"]["problems"] if each["severity"] == "error"] == []


async def test_a_checkout_brings_routers_and_files_at_once(tmp_path: Path) -> None:
    """As git-sync does it: a link is turned to another folder, in which both are new."""
    web = Web()
    async with web.server() as server:
        for name, words in (("one", "First."), ("two", "Second.")):
            folder = write(tmp_path / name, documents(server.url, source="file"))
            (folder / "REVISION").write_text(f"{name}\n")
            lockfile.write(folder, "smart", [assessment(text=words, days=36500)])
        (tmp_path / "current").symlink_to("one")
        async with Gateway(tmp_path, {}, environ=UNASKED, config=tmp_path / "current") as gateway:
            scene = Scene(web, gateway)
            assert "First." in await scene.prompt(), "with the first request"
            (tmp_path / "next").symlink_to("two")
            (tmp_path / "next").rename(tmp_path / "current")
            await gateway.until(lambda status: status["commit"] == "two")
            assert "Second." in await scene.prompt(), "in the same generation"


@needs_chroma
async def test_a_store_that_hangs_does_not_keep_files_waiting(tmp_path: Path) -> None:
    """One router reads a server that never answers, another one a file."""
    web = Web()
    async with web.server() as server, FaultServer(respond=lambda request: [hang()]) as store:
        texts = documents(server.url, source="file")
        texts["stored.yaml"] = documents(server.url, names=("stored",))["stored.yaml"]
        async with Gateway(tmp_path, texts, environ={**UNASKED, "CHROMA_URL": store.url}) as gateway:
            await store.until(lambda: bool(store.requests))
            lockfile.write(gateway.config, "smart", [assessment(text="Quick.", days=36500)])
            await Scene(web, gateway).read("Quick.")
            assert not [line for line in gateway.log if "cannot be read" in str(line)], "it is still being read"
