"""The main job, on a real server: a question to a router, a decision, an answer, headers that tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.gatewayprocess import ROOT, Gateway

ASK = {"messages": [{"role": "user", "content": "Write a Python function to parse JSON"}]}


@pytest.fixture
def demo() -> dict[str, str]:
    return {path.name: path.read_text() for path in (ROOT / "routers.d").glob("*.yaml")}


async def test_the_demo_answers_the_readme_s_curl(tmp_path: Path, demo: dict[str, str]) -> None:
    async with Gateway(tmp_path, demo) as gateway:
        answer = await gateway.client.post(
            "/api/chat",
            content=json.dumps({"model": "smart", **ASK}),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert lines[-1]["done"] is True
        assert all(line["done"] is False for line in lines[:-1])
        assert answer.headers["x-llm-relay-router"] == "smart"
        assert answer.headers["x-llm-relay-routed-to"] == "sandbox/coder"
        assert answer.headers["x-llm-relay-decision"] == "designated"
        assert answer.headers["x-llm-relay-revision"].startswith((await gateway.status())["revision"])
        assert "designator;dur=" in answer.headers["server-timing"]
        assert answer.headers["x-request-id"]
        assert await gateway.stop() == 0
