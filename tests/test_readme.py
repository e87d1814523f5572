"""The README is what users hold on to: what it shows is run, and what can be set is in it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from gateway.cli import main
from gateway.config.load import load
from gateway.metrics import Metrics
from tests.gatewayprocess import ROOT, Gateway

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def keys(schema: Any) -> Iterator[str]:
    """The names of all fields of a schema, however deep."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from keys(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from keys(value)


DOCUMENTS = [text for text in blocks("yaml") if text.startswith("# yaml-language-server")]


@pytest.mark.parametrize("text", DOCUMENTS, ids=lambda text: text.splitlines()[1])
def test_the_yaml_is_valid(tmp_path: Path, text: str) -> None:
    (tmp_path / "shown.yaml").write_text(text)
    if "kind: gateway" in text:
        (tmp_path / "smart.yaml").write_text((ROOT / "routers.d" / "smart.yaml").read_text())
    loaded = load(tmp_path, {"OPENAI_API_KEY": "sk-test"})
    assert loaded.problems == ()
    assert loaded.snapshot is not None


def test_the_router_shown_is_the_router_shipped(tmp_path: Path) -> None:
    (tmp_path / "smart.yaml").write_text(DOCUMENTS[0])
    shown, shipped = load(tmp_path, {}).snapshot, load(ROOT / "routers.d", {}).snapshot
    assert shown is not None
    assert shipped is not None
    assert shown.routers["smart"].candidates == shipped.routers["smart"].candidates
    assert shown.routers["smart"].designator == shipped.routers["smart"].designator


@pytest.mark.parametrize("name", ["router", "gateway"])
def test_every_field_is_documented(name: str) -> None:
    schema = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text())
    prose = re.sub(r"^```.*?^```", "", README, flags=re.DOTALL | re.MULTILINE)
    documented = {word for code in re.findall(r"`([^`]+)`", prose) for word in re.findall(r"[A-Za-z_]+", code)}
    # The parts of a test's conversation are those of OpenAI's messages.
    assert set(keys(schema)) - documented <= {"role", "content"}


def test_every_command_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE)
    assert commands
    for command in commands:
        assert f"`llm-relay {command}" in README


async def test_the_curl_shown_gives_the_answer_shown(tmp_path: Path) -> None:
    demo = {path.name: path.read_text() for path in (ROOT / "routers.d").glob("*.yaml")}
    command, *shown = next(
        block for block in blocks("console") if "curl -i" in block and "HTTP/1.1" in block
    ).splitlines()
    body = shlex.split(command)[-1]
    async with Gateway(tmp_path, demo) as gateway:
        answer = await gateway.client.post("/api/chat", content=body)
    volatile = {"x-llm-relay-revision", "x-request-id", "server-timing"}
    for line in shown[1:]:
        name, colon, value = line.partition(": ")
        if line.startswith("{"):
            expected, got = json.loads(line), answer.json()
            # Durations below a millisecond are not told.
            assert {key for key in expected if not key.endswith("_duration")} <= got.keys() <= expected.keys()
            assert got["message"] == expected["message"]
        elif colon:
            assert name in answer.headers
            assert name in volatile or answer.headers[name] == value


def test_every_alert_has_its_paragraph_in_the_runbook() -> None:
    rules = (ROOT / "dashboards" / "rules" / "llm-relay.rules.yaml").read_text()
    alerts = re.findall(r"alert: (\w+)", rules)
    assert re.findall(r"^### (LLMRelay\w+)$", README, re.MULTILINE) == alerts
    for alert in alerts:
        assert f"README.md#{alert.lower()}" in rules


def test_every_metric_is_documented() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    names = {f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in registry.collect()}
    ours = {name.removeprefix("llm_relay_") for name in names if name.startswith("llm_relay_")}
    _, _, section = README.partition("## Metrics and costs")
    documented = {
        word
        for line in section.partition("\n## ")[0].splitlines()
        if line.startswith("| `")
        for word in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert documented == ours
