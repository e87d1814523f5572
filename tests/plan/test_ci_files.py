"""The files that a repository of routers takes over: what they run exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import parser
from gateway.config import yaml
from gateway.intelligence import lockfile
from gateway.plan.markdown import MARKER
from tests.config.folders import write
from tests.intelligence.kit import assessment

from .test_base import GIT, git

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / ".pre-commit-hooks.yaml"
WORKFLOW = ROOT / ".github" / "workflows" / "routers.yml"

COMMANDS = [
    (path.name, shlex.split(command))
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
        ("routers.yml", "test"),
        ("routers.yml", "validate"),
    ]


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=lambda value: value if isinstance(value, str) else value[0])
def test_a_command_is_understood(name: str, command: list[str]) -> None:
    # What a shell puts in place of it are options of `plan`.
    options = parser().parse_args([word for word in command if word != "$@"])
    assert options.command == command[0]
    assert str(options.folder) == "routers.d"


@pytest.mark.parametrize("path", ["smart.yaml", "gateway.yml", "intelligence/smart.yaml", "recordings/smart.yaml"])
def test_hooks_and_workflow_run_for_all_that_matters(path: str) -> None:
    hooks: Any = yaml.read(HOOKS.read_bytes()).value
    assert all(re.search(hook["files"], f"routers.d/{path}") for hook in hooks)
    workflow: Any = yaml.read(WORKFLOW.read_bytes()).value
    assert "routers.d/**" in workflow["on"]["pull_request"]["paths"]


def test_the_workflow_finds_its_own_comment() -> None:
    assert MARKER in WORKFLOW.read_text()


class Runner:
    """Runs the workflow's own scripts as GitHub does, in a repository whose last commit is the pull request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "repository"
        self.summary, self.outputs = folder / "summary", folder / "outputs"
        place = folder / "bin"
        place.mkdir()
        relay = place / "llm-relay"
        relay.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gateway "$@"\n')
        relay.chmod(0o755)
        self._environ = {
            **GIT,
            "PATH": f"{place}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_OUTPUT": str(self.outputs),
        }
        self.write("smart.yaml", ROUTER)
        git(self.folder, "init", "--quiet", "--initial-branch=main")
        self.commit()

    def write(self, name: str, text: str) -> None:
        write(self.folder / "routers.d", {name: text})

    def commit(self) -> None:
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "--message=more")

    def run(self) -> dict[str, subprocess.CompletedProcess[str]]:
        """What came of each step that runs LLM Relay, by command, whatever came of those before it."""
        workflow: Any = yaml.read(WORKFLOW.read_bytes()).value
        scripts = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
        done = {}
        for script in scripts:
            if command := re.search(r"llm-relay (\w+)", script):
                # The shell of a step that names none: https://docs.github.com, "jobs.<job_id>.steps[*].shell".
                done[command[1]] = subprocess.run(
                    ["bash", "-e", "-c", script],
                    cwd=self.folder,
                    env=self._environ,
                    capture_output=True,
                    text=True,
                    check=False,
                )
        return done


ROUTER = """\
name: smart
designator: {model: sandbox/designator}
candidates:
  - {model: sandbox/coder, purpose: Python and other code}
  - {model: sandbox/writer, purpose: Poems and stories}
intelligence: {search: jina, summarizer: sandbox/writer, source: file}
tests:
  - {ask: Write Python, expect: sandbox/coder}
"""


def test_a_pull_request_that_changes_only_assessments(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    lockfile.write(runner.folder / "routers.d", "smart", [assessment("sandbox/coder", days=36500)])
    runner.commit()
    done = runner.run()
    assert list(done) == ["validate", "test", "plan"]
    assert [step.returncode for step in done.values()] == [0, 0, 0], [step.stderr for step in done.values()]
    assert {path.name for path in runner.folder.iterdir()} >= {"report.xml", "plan.md"}
    assert ET.parse(runner.folder / "report.xml").getroot().get("tests") == "1"
    summary = runner.summary.read_text()
    told = "smart (routers.d/smart.yaml, designator sandbox/designator): 1 of 1 test passed"
    assert f"#### Tests\n\n    {told}\n" in summary
    assert "| added | `assessments[sandbox/coder]` |" in summary
    end = runner.outputs.read_text().partition("plan<<")[2].partition("\n")[0]
    assert runner.outputs.read_text() == f"plan<<{end}\n{(runner.folder / 'plan.md').read_text()}{end}\n"


def test_a_pull_request_that_breaks_a_test(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    runner.write("smart.yaml", ROUTER.replace("expect: sandbox/coder", "expect: sandbox/writer"))
    runner.commit()
    done = runner.run()
    assert [step.returncode for step in done.values()] == [0, 1, 0], [step.stderr for step in done.values()]
    assert "::error file=routers.d/smart.yaml,line=8,col=1,title=test::Write Python: expected sandbox/writer, got" in (
        done["test"].stdout
    )
    assert "1 failed: FAILED" in runner.summary.read_text()
