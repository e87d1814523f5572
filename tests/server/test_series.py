"""No client makes a time series, whatever it sends: names, tags, paths, methods, hosts."""

from __future__ import annotations

import asyncio
import json
import random
import string
from pathlib import Path

from tests.faultserver import PATIENCE
from tests.gatewayprocess import Gateway
from tests.server import rawhttp
from tests.server.accounting import Page
from tests.server.till import Till

SMART = """\
name: smart
description: A router
designator: {model: judge/m}
tags: [platform]
candidates:
  - {model: open/m, purpose: All}
  - {model: llama/m, purpose: Talk}
"""

STRANGERS = 10_000
AT_A_TIME = 250


def strange(dice: random.Random) -> bytes:
    """A request with a name, tags, a path, a method or a host that nobody has heard of."""
    word = "".join(dice.choices(string.ascii_lowercase + string.digits, k=12))
    tags, session = f"X-LLM-Relay-Tags: {word},x{word}", f"X-LLM-Relay-Session: {word}"
    messages = [{"role": "user", "content": "hi"}]
    match dice.randrange(20):
        case 0:
            # One that does get an answer.
            body = json.dumps({"model": f"llama/{word}", "messages": messages, "stream": False}).encode()
            return rawhttp.request("/api/chat", body, tags, session)
        case 1:
            body = json.dumps({"model": f"smart@{word}", "messages": messages, "stream": False}).encode()
            return rawhttp.request("/api/chat", body, tags, session)
        case number if number < 6:
            return rawhttp.request(f"/{word}/{word}", method="GET")
        case 6:
            return rawhttp.request("/api/chat", method=word.upper())
        case 7:
            return rawhttp.request("/api/tags", method="GET", host=f"{word}.example")
        case _:
            name = word if dice.random() < 0.5 else f"{word}/{word}"
            body = json.dumps({"model": name, "messages": messages}).encode()
            return rawhttp.request("/v1/chat/completions", body, tags, session)


async def test_ten_thousand_strange_requests_make_no_series(tmp_path: Path) -> None:
    dice = random.Random(11)
    async with Till() as till, Gateway(tmp_path, {"gateway.yaml": till.gateway(), "smart.yaml": SMART}) as gateway:

        async def send(count: int) -> list[int]:
            answers, ended = await rawhttp.talk(gateway.port, b"".join(strange(dice) for _ in range(count)))
            assert not ended
            return [answer.status for answer in answers]

        await send(AT_A_TIME)
        before = await series(gateway)
        statuses: list[int] = []
        for _ in range(STRANGERS // AT_A_TIME // 4):
            for some in await asyncio.gather(*(send(AT_A_TIME) for _ in range(4))):
                statuses += some
        assert len(statuses) == STRANGERS
        assert set(statuses) == {200, 404, 405, 421}
        assert await series(gateway) == before


async def series(gateway: Gateway) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    async with asyncio.timeout(PATIENCE):
        return set(Page((await gateway.client.get("/metrics")).text).samples)
