"""A gateway with something to look at: sandbox routers, hostile texts, requests of every kind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.gatewayprocess import Gateway

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
LINK = "javascript:document.title='owned'//"
#: One word as long as a text may be.
LONG = "W" * 950

SMART = f"""\
name: smart
description: {json.dumps(HOSTILE)}
purpose: {json.dumps(LINK + LONG)}
tags: [platform]
designator: {{model: sandbox/designator, timeout: 5s}}
candidates:
  - {{model: sandbox/coder, purpose: {json.dumps("Code, functions and scripts " + HOSTILE)}}}
  - {{model: sandbox/generalist, purpose: Texts and e-mails}}
tests:
  - {{ask: {json.dumps("Write a script " + HOSTILE)}, expect: sandbox/coder}}
"""
PLAIN = """\
name: plain
designator: {model: sandbox/designator, timeout: 5s}
candidates:
  - {model: sandbox/quick, purpose: Everything}
"""
#: What clients may send as tags, and what they may not.
TAGS = "red, <b>bold</b>, javascript:alert, =SUM"
REQUESTS = 6


async def fill(gateway: Gateway) -> None:
    """Requests to routers, to a model, and one that fails."""
    for model, ask in (
        ("smart", "Write a function"),
        ("smart", "Write an e-mail"),
        ("plain", "Hello"),
        ("sandbox/quick", "Hello"),
        (f"sandbox/{HOSTILE}", "Hello"),
    ):
        body = {"model": model, "messages": [{"role": "user", "content": ask}], "stream": False}
        answer = await gateway.client.post("/v1/chat/completions", json=body, headers={"X-LLM-Relay-Tags": TAGS})
        assert answer.status_code == 200, answer.text
    body = {"model": f"nobody/{HOSTILE}", "messages": [{"role": "user", "content": "Hello"}]}
    assert (await gateway.client.post("/v1/chat/completions", json=body)).status_code == 404
    await gateway.stored("ledger", count=REQUESTS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with Gateway(tmp_path_factory.mktemp("gateway"), {"smart.yaml": SMART, "plain.yaml": PLAIN}) as it:
        await fill(it)
        yield it
