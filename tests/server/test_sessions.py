"""Sessions on a real gateway: one decision per conversation, kept by restarts and by several workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.faultserver import answer
from tests.gatewayprocess import Gateway
from tests.server.scene import JUDGE, Scene, ask, completion, router, told, turns

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEYS = {"FIRST_KEY": "first-key-0123456789", "SECOND_KEY": "second-key-0123456789"}
CLIENTS = "clients: [{name: first, key: env:FIRST_KEY}, {name: second, key: env:SECOND_KEY}]"
FIRST, SECOND = KEYS.values()
MODELS = (
    "models: {alpha/m: {capabilities: [tools]}, beta/m: {capabilities: [vision]}, gamma/m: {capabilities: [vision]}}"
)
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


class Stage(NamedTuple):
    scene: Scene
    gateway: Gateway

    async def ask(self, messages: list[dict[str, Any]] | str, **options: Any) -> tuple[str, str]:
        return told(await ask(self.gateway.client, messages, **{"key": FIRST, **options}))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with Scene() as scene:
        files = {
            "gateway.yaml": scene.gateway(models=MODELS, more=CLIENTS),
            "smart.yaml": router(strategy="session", candidates=("alpha", "beta", "gamma")),
            "other.yaml": router("other", strategy="session"),
            "brief.yaml": router("brief", strategy="session", ttl="200ms"),
        }
        async with Gateway(tmp_path_factory.mktemp("sessions"), files, environ=KEYS) as gateway:
            yield Stage(scene, gateway)


@pytest.fixture
def stage(running: Stage) -> Stage:
    """The one gateway of this file, and its providers as they begin; every test has conversations of its own."""
    running.scene.begin()
    return running


async def test_fifty_turns_stay_with_one_choice(stage: Stage) -> None:
    stage.scene.choice = "beta/m"
    assert await stage.ask(turns("Fifty")) == ("beta/m", "designated")
    stage.scene.choice = "alpha/m"
    for count in range(2, 51):
        assert await stage.ask(turns("Fifty", count), stream=count % 2 == 0) == ("beta/m", "session")
    assert stage.scene.calls(JUDGE) == 1


async def test_conversations_do_not_share(stage: Stage) -> None:
    assert await stage.ask(turns("One")) == ("alpha/m", "designated")
    stage.scene.choice = "beta/m"
    assert await stage.ask(turns("Another")) == ("beta/m", "designated")
    assert await stage.ask(turns("One", 2)) == ("alpha/m", "session")
    assert await stage.ask(turns("Another", 2)) == ("beta/m", "session")


async def test_clients_do_not_share(stage: Stage) -> None:
    assert await stage.ask(turns("Mine"), key=FIRST) == ("alpha/m", "designated")
    stage.scene.choice = "beta/m"
    assert await stage.ask(turns("Mine"), key=SECOND) == ("beta/m", "designated")
    assert await stage.ask(turns("Mine", 2), key=FIRST) == ("alpha/m", "session")


async def test_routers_do_not_share(stage: Stage) -> None:
    assert await stage.ask(turns("Where"), model="smart") == ("alpha/m", "designated")
    stage.scene.choice = "beta/m"
    assert await stage.ask(turns("Where"), model="other") == ("beta/m", "designated")
    assert await stage.ask(turns("Where", 2), model="smart") == ("alpha/m", "session")


async def test_a_clock_in_the_system_prompt_changes_nothing(stage: Stage) -> None:
    assert await stage.ask(turns("Clock", system="It is 2026-01-31 09:59:58.")) == ("alpha/m", "designated")
    stage.scene.choice = "beta/m"
    assert await stage.ask(turns("Clock", 2, system="It is 2026-02-01 10:00:03.")) == ("alpha/m", "session")
    assert await stage.ask(turns("Clock", system="Somebody else's words.")) == ("beta/m", "designated")


async def test_the_client_can_name_its_session(stage: Stage) -> None:
    assert await stage.ask(turns("Named"), session="s-1") == ("alpha/m", "designated")
    stage.scene.choice = "beta/m"
    assert await stage.ask(turns("Quite another beginning"), session="s-1") == ("alpha/m", "session")
    assert await stage.ask(turns("Named"), session="s-2") == ("beta/m", "designated")
    assert await stage.ask(turns("Named"), session="s-1", key=SECOND) == ("beta/m", "designated")


async def test_a_picture_moves_the_session_to_who_can_see(stage: Stage) -> None:
    assert await stage.ask(turns("Picture")) == ("alpha/m", "designated")
    stage.scene.choice = "gamma/m"
    seeing = turns("Picture", 2)
    seeing[-1] = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, PICTURE]}
    assert await stage.ask(seeing) == ("gamma/m", "designated")
    stage.scene.choice = "alpha/m"
    # The client keeps no pictures: the session stays where it went all the same.
    assert await stage.ask(turns("Picture", 3)) == ("gamma/m", "session")
    assert stage.scene.calls(JUDGE) == 2


async def test_a_candidate_that_fails_loses_the_session(stage: Stage) -> None:
    assert await stage.ask(turns("Failing")) == ("alpha/m", "designated")
    stage.scene.play("alpha", answer('{"error": {"message": "down"}}', 503))
    assert await stage.ask(turns("Failing", 2)) == ("beta/m", "failover")
    stage.scene.play("alpha")
    assert await stage.ask(turns("Failing", 3)) == ("beta/m", "session")
    assert stage.scene.calls(JUDGE) == 1


async def test_a_candidate_that_left_the_router_loses_the_session(stage: Stage) -> None:
    stage.gateway.write("moving.yaml", router("moving", strategy="session", candidates=("alpha", "beta", "gamma")))
    await stage.gateway.until(lambda status: any(each["name"] == "moving" for each in status["routers"]))
    assert await stage.ask(turns("Leaving"), model="moving") == ("alpha/m", "designated")
    before = (await stage.gateway.status())["revision"]
    stage.gateway.write("moving.yaml", router("moving", strategy="session", candidates=("beta", "gamma")))
    await stage.gateway.until(lambda status: status["revision"] != before)
    stage.scene.choice = "gamma/m"
    assert await stage.ask(turns("Leaving", 2), model="moving") == ("gamma/m", "designated")
    stage.scene.choice = "beta/m"
    assert await stage.ask(turns("Leaving", 3), model="moving") == ("gamma/m", "session")


async def test_a_crowd_of_first_requests_is_one_decision(stage: Stage) -> None:
    release = asyncio.Event()

    async def hold(peer: Any) -> None:
        await release.wait()
        await answer(completion("beta/m"))(peer)

    stage.scene.play(JUDGE, hold)
    crowd = [asyncio.create_task(stage.ask(turns("Crowd"))) for _ in range(200)]
    await stage.scene.until(lambda: stage.scene.calls(JUDGE) > 0)
    await stage.gateway.until_metric("llm_relay_inflight_requests", 200)
    release.set()
    assert {chosen for chosen, _ in await asyncio.gather(*crowd)} == {"beta/m"}
    assert stage.scene.calls(JUDGE) == 1


@pytest.mark.parametrize(
    ("said", "decision"),
    [
        (answer('{"error": {"message": "down"}}', 503), "fallback_error"),
        (answer(completion("I think that the first one is best.")), "fallback_invalid"),
        (answer(completion("none")), "fallback_none"),
    ],
)
async def test_a_fallback_is_not_kept(stage: Stage, said: Any, decision: str) -> None:
    stage.scene.play(JUDGE, said)
    assert await stage.ask(turns(decision)) == ("alpha/m", decision)
    stage.scene.play(JUDGE)
    stage.scene.choice = "beta/m"
    assert await stage.ask(turns(decision, 2)) == ("beta/m", "designated")
    assert await stage.ask(turns(decision, 3)) == ("beta/m", "session")


async def test_a_session_ends_with_its_time_to_live(stage: Stage) -> None:
    assert await stage.ask(turns("Brief"), model="brief") == ("alpha/m", "designated")
    stage.scene.choice = "beta/m"
    (pin,) = await stage.gateway.stored("pins", "router = 'brief'")
    await asyncio.sleep(max(0.0, pin["expires"] - time.time()))
    assert await stage.ask(turns("Brief", 2), model="brief") == ("beta/m", "designated")


async def test_sessions_survive_a_restart_and_a_crash(tmp_path: Path) -> None:
    async with Scene() as scene, Gateway(tmp_path, scene.files(strategy="session")) as gateway:
        stage = Stage(scene, gateway)
        scene.choice = "beta/m"
        assert await stage.ask(turns("Kept")) == ("beta/m", "designated")
        assert await gateway.stop() == 0
        await gateway.start()
        scene.choice = "alpha/m"
        assert await stage.ask(turns("Kept", 2)) == ("beta/m", "session")
        assert await stage.ask(turns("New")) == ("alpha/m", "designated")
        await gateway.stored("pins", count=2)
        gateway.kill()
        await gateway.stop()
        await gateway.start()
        scene.choice = "gamma/m"
        assert await stage.ask(turns("Kept", 3)) == ("beta/m", "session")
        assert await stage.ask(turns("New", 2)) == ("alpha/m", "session")
