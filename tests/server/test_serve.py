"""What ``llm-relay serve`` refuses before it opens a port, and how it says so."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faultserver import free_port
from tests.gatewayprocess import Gateway
from tests.server.scene import Scene, ask, router, told

EX_CONFIG = 78
#: No folder at all, which the command line never hands over: a defect.
DEFECT = """
from gateway.server.serve import serve
from gateway.server.settings import Settings
raise SystemExit(serve(Settings(config=None, host="127.0.0.1", port={port})))
"""
KEY = "team-key-0123456789"
CLIENTS = "clients: [{name: team, key: env:TEAM_KEY}]"
ANYWHERE = ("--host", "0.0.0.0")


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Scene() as scene:
        yield scene


def gateway(scene: Scene, folder: Path, *arguments: str, clients: bool = False, **environ: str) -> Gateway:
    files = {**scene.files(), "gateway.yaml": scene.gateway(more=CLIENTS if clients else "")}
    return Gateway(folder, files, *arguments, environ={"TEAM_KEY": KEY, **environ})


async def test_a_bad_configuration_is_refused_with_every_place(scene: Scene, tmp_path: Path) -> None:
    refused = gateway(scene, tmp_path)
    refused.write("smart.yaml", "name: smart\ncandidtes: []\n")
    refused.write("other.yaml", router("other").replace("beta/m", "nobody/m"))
    assert await refused.run() == EX_CONFIG
    assert f"{refused.config}/smart.yaml:2:1" in refused.output
    assert "did you mean" in refused.output
    assert "E204" in refused.output
    assert f"{refused.config}/other.yaml:7:13" in refused.output
    assert "Traceback" not in refused.output


@pytest.mark.parametrize("folder", ["empty", "missing"])
async def test_a_folder_without_routers_is_refused(tmp_path: Path, folder: str) -> None:
    refused = Gateway(tmp_path, {}, config=tmp_path / folder)
    if folder == "empty":
        refused.config.mkdir()
    assert await refused.run() == EX_CONFIG
    assert "E40" in refused.output


async def test_a_defect_is_told_and_does_not_blame_the_configuration() -> None:
    code = DEFECT.format(port=free_port())
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == 1
    assert b"Traceback" in said


async def test_a_taken_port_is_refused_in_words(scene: Scene, tmp_path: Path) -> None:
    async with gateway(scene, tmp_path / "first") as first:
        second = gateway(scene, tmp_path / "second")
        second.port = first.port
        assert await second.run() == 1
        assert f"cannot listen on 127.0.0.1:{first.port}: Address already in use" in second.output
        assert "--port" in second.output
        assert "Traceback" not in second.output
        # And the first one did not notice.
        told(await ask(first.client, "Hello"))


async def test_an_address_of_another_machine_is_refused_in_words(scene: Scene, tmp_path: Path) -> None:
    refused = gateway(scene, tmp_path, "--host", "192.0.2.1")
    assert await refused.run() == 1
    assert f"cannot listen on 192.0.2.1:{refused.port}" in refused.output


@pytest.mark.parametrize(
    "arguments", [("--port", "70000"), ("--workers", "0"), ("--drain-timeout", "soon"), ("--log-format", "xml")]
)
async def test_wrong_usage(scene: Scene, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    refused = gateway(scene, tmp_path, *arguments)
    assert await refused.run() == 2
    assert arguments[0] in refused.output


async def test_a_variable_stands_for_an_option_and_is_checked_too(scene: Scene, tmp_path: Path) -> None:
    refused = gateway(scene, tmp_path, LLM_RELAY_DRAIN_TIMEOUT="soon")
    assert await refused.run() == 2
    assert "--drain-timeout" in refused.output


# --- who can reach it -------------------------------------------------------------------------------------------------


async def test_nobody_is_let_in_from_elsewhere_without_a_key(scene: Scene, tmp_path: Path) -> None:
    refused = gateway(scene, tmp_path, *ANYWHERE)
    assert await refused.run() == EX_CONFIG
    assert "E320" in refused.output
    assert "--allow-anonymous" in refused.output


@pytest.mark.parametrize("way", ["option", "variable", "clients"])
async def test_it_may_be_reached_from_elsewhere_on_purpose(scene: Scene, tmp_path: Path, way: str) -> None:
    arguments = ("--allow-anonymous",) if way == "option" else ()
    environ = {"LLM_RELAY_ALLOW_ANONYMOUS": "1"} if way == "variable" else {}
    async with gateway(scene, tmp_path, *ANYWHERE, *arguments, clients=way == "clients", **environ) as running:
        answered = await ask(running.client, "Hello")
        assert answered.status_code == (401 if way == "clients" else 200)
        told(await ask(running.client, "Hello", key=KEY))


async def test_a_reload_cannot_let_everybody_in(scene: Scene, tmp_path: Path) -> None:
    async with gateway(scene, tmp_path, *ANYWHERE, clients=True) as running:
        running.write("gateway.yaml", scene.gateway())
        status = await running.until(lambda status: not status["desired"]["ok"])
        assert "E320" in [problem["code"] for problem in status["desired"]["problems"]]
        assert (await ask(running.client, "Hello")).status_code == 401
        told(await ask(running.client, "Hello", key=KEY))


# --- what it leaves behind --------------------------------------------------------------------------------------------


async def test_nothing_temporary_is_left_behind(scene: Scene, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    async with gateway(scene, tmp_path, "--workers", "2", TMPDIR=str(temporary)) as running:
        assert list(temporary.iterdir())
        assert await running.stop(signal.SIGTERM) == 0
        assert not list(temporary.iterdir())
