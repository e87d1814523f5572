"""``llm-relay validate`` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli import main

from .folders import router, write

SINGLE = router(candidates="[{model: sandbox/coder, purpose: Code}]")
#: Tells something, and finds nothing.
UNPRICED = router(candidates="[{model: ollama/a, purpose: Code}, {model: sandbox/quick, purpose: Small talk}]")


def validate(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = main(["validate", *map(str, arguments)])
    return status, capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "usual", "strict", "verdict"),
    [
        (router(), 0, 0, ": ok\n"),
        (UNPRICED, 0, 0, ": ok\n"),
        (SINGLE, 0, 1, ": ok, with 1 warning\n"),
        (SINGLE + "session: {ttl: 1h}\n", 0, 1, ": ok, with 2 warnings\n"),
        (router(designator=""), 1, 1, ""),
    ],
)
def test_exit_statuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, usual: int, strict: int, verdict: str
) -> None:
    folder = write(tmp_path, {"a.yaml": text})
    status, out = validate(capsys, folder)
    assert status == usual
    assert out.endswith(verdict)
    status, out = validate(capsys, folder, "--strict")
    assert status == strict


def test_every_severity_in_every_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(tmp_path, {"a.yaml": UNPRICED, "b.yaml": SINGLE.replace("smart", "b")})
    _, text = validate(capsys, folder)
    assert "info: " in text
    assert "[W417]\n" in text
    assert "warning: " in text
    _, text = validate(capsys, folder, "--format", "github")
    assert "::notice file=" in text
    assert "::warning file=" in text
    _, text = validate(capsys, folder, "--format", "json")
    assert {problem["severity"] for problem in json.loads(text)} == {"info", "warning"}


def test_without_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gateway = "kind: gateway\nclients: [{name: a, key: env:LLM_RELAY_TEST_NOT_SET}]\n"
    folder = write(tmp_path, {"a.yaml": router(), "gateway.yaml": gateway})
    assert validate(capsys, folder)[0] == 1
    status, text = validate(capsys, folder, "--no-keys")
    assert status == 0
    assert "[W406]" in text


def test_a_page_on_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = validate(capsys, "--explain", "e204")
    assert status == 0
    assert text.startswith("E204 (error): an unknown field\n\n")
    assert "Wrong:\n\n    fallbck: openai/gpt-4o\n\nRight:\n\n    fallback: openai/gpt-4o\n\nWhat to do: " in text


def test_all_codes(capsys: pytest.CaptureFixture[str]) -> None:
    status, text = validate(capsys, "--explain", "all")
    assert status == 0
    assert "\nE204  an unknown field\n" in text
    _, text = validate(capsys, "--explain", "all", "--format", "json")
    pages = {page["code"]: page for page in json.loads(text)}
    assert pages["E204"]["severity"] == "error"
    assert all(page["remedy"] and page["wrong"] and page["right"] for page in pages.values())


def test_no_such_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--explain", "E20"]) == 2
    assert "there is no code 'E20'; did you mean \"E320\"?" in capsys.readouterr().err
