"""The files that a repository of routers takes over: what they run exists."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.config import yaml
from gateway.plan.markdown import MARKER

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / ".pre-commit-hooks.yaml"
WORKFLOW = ROOT / ".github" / "workflows" / "routers.yml"

COMMANDS = [
    (path.name, command.split())
    for path in (HOOKS, WORKFLOW)
    for command in re.findall(r"^ +(?:- run: |entry: )?llm-relay ([^>|\n]+)", path.read_text(), re.MULTILINE)
]


@pytest.mark.parametrize("path", [HOOKS, WORKFLOW], ids=lambda path: path.name)
def test_a_file_is_yaml(path: Path) -> None:
    written = yaml.read(path.read_bytes())
    assert written.problems == ()
    assert written.value


def test_all_commands_are_there() -> None:
    assert sorted((name, command[0]) for name, command in COMMANDS) == [
        (".pre-commit-hooks.yaml", "test"),
        (".pre-commit-hooks.yaml", "validate"),
        ("routers.yml", "plan"),
        ("routers.yml", "test"),
        ("routers.yml", "validate"),
    ]


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=lambda value: value if isinstance(value, str) else value[0])
def test_a_command_exists_with_its_options(name: str, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command[0], "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    said = {word for before, word in pairwise(command) if word.startswith("--") or before == "--format"}
    assert all(word in text for word in said)


def test_the_workflow_finds_its_own_comment() -> None:
    assert MARKER in WORKFLOW.read_text()
