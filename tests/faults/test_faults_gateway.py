"""Faults through a whole gateway in a process of its own: bytes on the wire, memory, time, and what is written down.

How long things take is logged (``pytest --log-cli-level=INFO`` shows it), not asserted.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.faultserver import Peer, Step, answer, chunk, drip, end, fin, hang, head, pause, repeat, send
from tests.gatewayprocess import Gateway
from tests.relaykit import Recorder, question
from tests.server.scene import JUDGE, Scene, completion, delta

from .outcomes import check_in_band
from .speech import OPENAI

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "a-key-that-nobody-may-see"
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "ollama": "/api/chat"}
TIMEOUT = 0.3
MIB = 1 << 20

log = logging.getLogger("measured")


class Stage(Scene):
    """The scene's providers, each with a key."""

    def gateway(self, *, models: str = "", more: str = "") -> str:
        return super().gateway(models=models, more=more).replace("}\n", ", api_key: env:PROVIDER_KEY}\n")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene() -> AsyncIterator[Scene]:
    async with Stage() as scene:
        yield scene


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    files = scene.files(timeout=f"{TIMEOUT * 1000:.0f}ms")
    async with Gateway(folder, files, environ={"PROVIDER_KEY": KEY}) as gateway:
        yield gateway


@pytest_asyncio.fixture(loop_scope="module")
async def gateway(running: Gateway, scene: Scene) -> Gateway:
    """The gateway, whose designator has just answered well: its breaker counts from nothing."""
    scene.begin()
    await ask(running, "openai")
    scene.begin()
    return running


async def ask(gateway: Gateway, dialect: str, *, model: str = "smart", stream: bool = False) -> Recorder:
    """One chat over HTTP. A body that is not ended in order fails the test."""
    body = question(dialect, model=model, stream=stream)
    got = Recorder()
    async with gateway.client.stream(
        "POST", PATHS[dialect], content=body, headers={"content-type": "application/json"}
    ) as response:
        own = {b"date", b"server", b"content-length", b"transfer-encoding"}
        await got.start(response.status_code, [header for header in response.headers.raw if header[0] not in own])
        async for piece in response.aiter_raw():
            await got.write(piece)
    await got.finish()
    return got


# --- inside of a stream -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize(
    ("code", "rest"),
    [
        pytest.param("upstream_truncated", [fin()], id="F61"),
        pytest.param("upstream_truncated", [end()], id="F62"),
        pytest.param("upstream_error", [chunk(OPENAI.failure), end()], id="F65"),
        pytest.param("upstream_invalid_response", [chunk(OPENAI.garbage), end()], id="F69"),
    ],
)
async def test_a_broken_stream(gateway: Gateway, scene: Scene, dialect: str, code: str, rest: list[Step]) -> None:
    scene.play("alpha", head(), chunk(delta("Hi")), *rest)
    got = await ask(gateway, dialect, stream=True)
    assert b"Hi" in check_in_band(dialect, got, code)
    assert got.decision == "designated"
    assert (scene.calls("alpha"), scene.calls("beta")) == (1, 0)


# --- what is written down ---------------------------------------------------------------------------------------------


async def test_f14_the_key_is_seen_nowhere(gateway: Gateway, scene: Scene) -> None:
    echoes = [("X-Goog-Api-Key", KEY), ("Authorization", f"Bearer {KEY}"), ("Set-Cookie", f"s={KEY}")]
    refused = json.dumps({"error": {"message": f"Incorrect key: {KEY}", "type": KEY, "code": KEY}})
    plays = {200: "{}", 401: refused, 400: refused, 500: f"<html>{KEY}</html>", 429: refused}
    seen: list[Any] = []
    for status, body in plays.items():
        scene.play("alpha", answer(body, status, echoes))
        for dialect in PATHS:
            for stream in (True, False):
                for model in ("smart", "alpha/m"):
                    got = await ask(gateway, dialect, model=model, stream=stream)
                    seen += [got.head, got.body]
    scene.play("alpha", head(), chunk(delta("Hi")), chunk(refused.join(("data: ", "\n\n"))), end())
    got = await ask(gateway, "openai", stream=True)
    seen += [got.head, got.body]
    assert any(f"Bearer {KEY}" in request.headers.get("authorization", "") for request in scene.requests)
    for path in ("/metrics", "/status", "/readyz", "/v1/models"):
        seen.append((await gateway.client.get(path)).text)
    await gateway.logged(lambda line: line.get("request_id") == got.headers["x-request-id"])
    seen.append(gateway.output)
    seen += [path.read_bytes() for path in gateway.data.iterdir()]
    assert not [each for each in seen if KEY in repr(each)]


# --- memory -----------------------------------------------------------------------------------------------------------


class Memory:
    """The peak of a worker's resident memory, from now on, in bytes above what it holds now."""

    def __init__(self, gateway: Gateway) -> None:
        (worker,) = gateway.workers()
        self._folder = Path(f"/proc/{worker}")
        (self._folder / "clear_refs").write_text("5")
        self._before = self._read("VmRSS")

    def growth(self) -> int:
        return self._read("VmHWM") - self._before

    def _read(self, name: str) -> int:
        lines = (self._folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


GIANT = [chunk(b"data: {" + b"x" * (1 << 16)), repeat(1023, chunk(b"x" * (1 << 16))), end()]


@pytest.mark.parametrize(
    ("fault", "limit"),
    [
        pytest.param([answer(zlib.compress(bytes(200 * MIB)), headers=[("Content-Encoding", "gzip")])], 20, id="F60"),
        pytest.param([head(), *GIANT], 8, id="F71"),
        pytest.param([head(), chunk(delta("Hi")), *GIANT], 8, id="F71 in band"),
    ],
)
async def test_memory(gateway: Gateway, scene: Scene, fault: list[Step], limit: int) -> None:
    scene.play("alpha", *fault)
    # What is needed once for such a request is no growth.
    await ask(gateway, "anthropic", stream=True)
    memory = Memory(gateway)
    for dialect in PATHS:
        for stream in (True, False):
            await ask(gateway, dialect, stream=stream)
    log.info("growth %.1f MiB", memory.growth() / MIB)
    assert memory.growth() < limit * MIB


def fire() -> Step:
    """Tiny events as fast as they are taken, for ever."""
    events = chunk(delta("x") * 200)

    async def step(peer: Peer) -> None:
        while True:
            await events(peer)
            await asyncio.sleep(0)

    return step


async def test_f74_a_firehose_waits_for_a_slow_client(gateway: Gateway, scene: Scene) -> None:
    scene.play("alpha", head(), fire())
    others: list[float] = []

    async def work() -> None:
        for _ in range(100):
            began = time.perf_counter()
            assert (await gateway.client.get("/livez")).status_code == 200
            others.append(time.perf_counter() - began)

    await work()
    quiet, others = sorted(others), []
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=1024)
    try:
        body = question("openai", model="alpha/m", stream=True)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        await reader.readexactly(1024)
        # All buffers on the way are full once the provider gets no more away.
        sent = -1
        async with asyncio.timeout(10):
            while scene.sent != sent:
                sent = scene.sent
                await asyncio.sleep(0.1)
        memory = Memory(gateway)
        working = asyncio.create_task(work())
        for _ in range(10):
            await reader.readexactly(1024)
            await asyncio.sleep(0.02)
        await working
        log.info("growth %.1f MiB", memory.growth() / MIB)
        log.info("p99 of others: alone %.1f ms, beside it %.1f ms", quiet[98] * 1000, sorted(others)[98] * 1000)
        assert memory.growth() < 8 * MIB
        assert scene.sent - sent < 8 * MIB
    finally:
        opened = scene.open
        writer.transport.abort()
        await scene.until(lambda: scene.open < opened)


# --- time -------------------------------------------------------------------------------------------------------------


async def timed(gateway: Gateway, decision: str) -> float:
    began = time.perf_counter()
    got = await ask(gateway, "openai")
    took = time.perf_counter() - began
    assert (got.status, got.decision, got.routed_to) == (200, decision, "alpha/m")
    return took


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([hang()], id="silent"),
        pytest.param([head("application/json"), drip("1\r\n \r\n" * 999, 0.02)], id="F85"),
        pytest.param([head("application/json"), repeat(999, chunk(" "), pause(0.02))], id="in chunks"),
        pytest.param([send("HTTP/1.1 200 OK\r\n"), drip("X: y\r\n" * 999, 0.02)], id="head"),
    ],
)
async def test_f85_the_fallback_answers_when_the_deadline_is_over(
    gateway: Gateway, scene: Scene, steps: list[Step]
) -> None:
    usual = min([await timed(gateway, "designated") for _ in range(5)])
    scene.play(JUDGE, *steps)
    late = [await timed(gateway, "fallback_timeout") for _ in range(4)]
    assert min(late) >= TIMEOUT
    over = ", ".join(f"{(each - TIMEOUT) * 1000:.1f}" for each in late)
    log.info("over the deadline: %s ms (a request takes %.1f ms)", over, usual * 1000)


async def test_f82_a_flood_of_words_is_no_choice(gateway: Gateway, scene: Scene) -> None:
    scene.play(JUDGE, answer(completion("beta/m " * 1_500_000)))
    await timed(gateway, "fallback_invalid")


# The last one, since it leaves the breaker open.
async def test_f87_an_open_breaker_costs_nothing(gateway: Gateway, scene: Scene) -> None:
    usual = sorted([await timed(gateway, "designated") for _ in range(20)])
    scene.play(JUDGE, answer("{}", 500))
    for _ in range(5):
        await timed(gateway, "fallback_error")
    asked = scene.calls(JUDGE)
    fast = sorted([await timed(gateway, "fallback_open") for _ in range(20)])
    assert scene.calls(JUDGE) == asked
    log.info("median: asking %.1f ms, not asking %.1f ms", usual[10] * 1000, fast[10] * 1000)
