"""Clients that leave, or that take nothing: the provider is left too, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.faultserver import PATIENCE, Peer, Step, chunk, head, send
from tests.gatewayprocess import Gateway
from tests.server.scene import JUDGE, Scene, ask, completion, delta, told, turns

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Clients that leave in the test of many, and how many of them at a time.
LEAVERS = 2000
AT_A_TIME = 50
#: Endpoints that take one text.
PROMPTED = {"/v1/completions", "/api/generate"}
#: What the worker may grow by while a client takes nothing of a firehose, in bytes.
GROWTH = 32 << 20


class Stage(NamedTuple):
    scene: Scene
    gateway: Gateway
    clients: list[Client]

    @property
    def worker(self) -> int:
        (worker,) = self.gateway.workers()
        return worker

    async def client(self, text: str, *, stream: bool, path: str = "/v1/chat/completions") -> Client:
        """A client on a socket of its own that has asked."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        asked = {"prompt": text} if path in PROMPTED else {"messages": turns(text)}
        body = json.dumps({"model": "smart", "stream": stream, "max_tokens": 9, **asked}).encode()
        writer.write(
            b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (path.encode(), len(body), body)
        )
        self.clients.append(Client(reader, writer))
        return self.clients[-1]


class Client(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def leave(self) -> None:
        """Close, in order."""
        self.writer.close()

    def reset(self) -> None:
        """Close with a reset."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def half_close(self) -> None:
        """Send no more, and go on reading."""
        self.writer.write_eof()


class Left:
    """A step that waits until the gateway has closed the connection to the provider."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, peer: Peer) -> None:
        self.reached.set()
        await peer.gone()
        self.left.set()


async def firehose(peer: Peer) -> None:
    """Events as fast as they are taken, for ever."""
    await head()(peer)
    piece = chunk("".join(delta("water ") for _ in range(50)))
    while True:
        await piece(peer)
        await asyncio.sleep(0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with Scene() as scene, Gateway(tmp_path_factory.mktemp("disconnects"), scene.files()) as gateway:
        yield Stage(scene, gateway, [])


@pytest_asyncio.fixture(loop_scope="module")
async def stage(running: Stage) -> AsyncIterator[Stage]:
    running.scene.begin()
    yield running
    for client in running.clients:
        client.writer.transport.abort()
    running.clients.clear()
    # Aborted sockets are closed in the next round of the loop.
    await asyncio.sleep(0)


BODY = completion("x" * 1000)
HALF = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY[:500]}"
#: Who is at work when the client leaves, what was sent by then, and whether the client asked for a stream.
MOMENTS: dict[str, tuple[str, list[Step], bool]] = {
    "while the designator thinks": (JUDGE, [], True),
    "while the designator speaks": (JUDGE, [send(HALF)], True),
    "before the answer's head": ("alpha", [], True),
    "before the first token": ("alpha", [head()], True),
    "in the middle of a stream": ("alpha", [head(), chunk(delta("one"))], True),
    "before a whole answer": ("alpha", [], False),
    "in the middle of a whole answer": ("alpha", [send(HALF)], False),
}


@pytest.mark.parametrize("way", [Client.leave, Client.reset, Client.half_close])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_the_provider_is_left_when_the_client_leaves(stage: Stage, moment: str, way: object) -> None:
    provider, steps, stream = MOMENTS[moment]
    rows = len(await stage.gateway.stored("ledger", count=0))
    left = Left()
    stage.scene.play(provider, *steps, left)
    client = await stage.client(moment, stream=stream)
    async with asyncio.timeout(PATIENCE):
        await left.reached.wait()
        assert callable(way)
        way(client)
        await left.left.wait()
    row = (await stage.gateway.stored("ledger", count=rows + 1))[-1]
    assert (row["status"], row["ended"], row["code"]) == (499, "client_left", "client_left")


@pytest.mark.parametrize("path", ["/api/chat", "/v1/messages", "/v1/completions", "/api/generate"])
async def test_it_is_the_same_in_every_dialect(stage: Stage, path: str) -> None:
    left = Left()
    stage.scene.play("alpha", head(), chunk(delta("one")), left)
    client = await stage.client("Dialects", stream=True, path=path)
    async with asyncio.timeout(PATIENCE):
        await left.reached.wait()
        client.leave()
        await left.left.wait()


async def test_thousands_may_leave(stage: Stage) -> None:
    await stage.gateway.until_metric("llm_relay_inflight_requests", 0)
    sockets = _sockets(stage.worker)
    rows = len(await stage.gateway.stored("ledger", count=0))
    stage.scene.play("alpha", head(), chunk(delta("one")), Left())
    chance = random.Random(20)

    async def leave_some(count: int) -> None:
        for _ in range(count):
            client = await stage.client("Many", stream=True)
            # Anywhere between the request and the middle of the stream.
            await asyncio.sleep(chance.random() * 0.03)
            client.reset()

    await asyncio.gather(*(leave_some(LEAVERS // AT_A_TIME) for _ in range(AT_A_TIME)))
    await stage.gateway.until_metric("llm_relay_inflight_requests", 0)
    stage.scene.play("alpha")
    for _ in range(100):
        told(await ask(stage.gateway.client, "After"))
    assert _sockets(stage.worker) <= sockets + AT_A_TIME
    seen = (await stage.gateway.stored("ledger", count=rows + 101))[rows:]
    # Some left before their request was read.
    assert len(seen) > LEAVERS // 2
    assert {row["ended"] for row in seen} == {"client_left", "complete"}


async def test_a_firehose_stops_when_its_client_is_gone(stage: Stage) -> None:
    open_before = stage.scene.open
    stage.scene.play("alpha", firehose)
    clients = [await stage.client("Firehose", stream=True) for _ in range(5)]
    for client in clients:
        await client.reader.readuntil(b"water")
        client.reset()
    assert (await stage.gateway.client.get("/livez")).status_code == 200
    await stage.gateway.until_metric("llm_relay_inflight_requests", 0)
    await stage.scene.until(lambda: stage.scene.open <= open_before + 1)


async def test_a_firehose_waits_for_a_client_that_takes_nothing(stage: Stage) -> None:
    stage.scene.play("alpha", firehose)
    stage.scene.sent = 0
    before = _memory(stage.worker)
    client = await stage.client("Slow", stream=True)
    await client.reader.readuntil(b"water")
    sent = -1
    async with asyncio.timeout(PATIENCE):
        while sent != stage.scene.sent:
            sent = stage.scene.sent
            # Others are served as ever; when this takes nothing more, all buffers on the way are full.
            for _ in range(20):
                assert (await stage.gateway.client.get("/livez")).status_code == 200
                await asyncio.sleep(0.005)
    assert _memory(stage.worker) - before < GROWTH
    async with asyncio.timeout(PATIENCE):
        # More than was on the way: it flows again.
        await client.reader.readexactly(sent + (1 << 20))
    client.reset()
    await stage.gateway.until_metric("llm_relay_inflight_requests", 0)


def _sockets(pid: int) -> int:
    """How many sockets a process holds."""
    names = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            names.append(os.readlink(descriptor))
        except FileNotFoundError:
            continue
    return sum(name.startswith("socket:") for name in names)


def _memory(pid: int) -> int:
    """A process's resident memory in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
