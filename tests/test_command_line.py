"""What every command does where the system refuses: one line in words, and a status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from tests.config.folders import ROUTER, write
from tests.gatewayprocess import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to work in: with routers, and a file ``plain`` where commands would need a folder."""
    (tmp_path / "plain").write_text("")
    write(tmp_path / "routers.d", {"smart.yaml": ROUTER})
    return tmp_path


def run(folder: Path, *arguments: str, stdout: IO[bytes] | int = subprocess.PIPE) -> tuple[int, str]:
    """The exit status of a command, and what it says of errors."""
    command = (sys.executable, "-m", "gateway", *arguments)
    environ = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environ, stdout=stdout, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["schema", "build", "plain"], "schema: plain: File exists"),
        (["schema", "build", "plain/below"], "schema: plain/below: Not a directory"),
        (["test", "--format", "junit", "--output", "gone/x"], "test: gone/x: No such file or directory"),
        (["explain", "smart", "--messages", "gone"], "explain: gone: No such file or directory"),
        (["plan", "--base", ""], "plan: --base is empty; give a folder, or a branch, tag or commit"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(folder: Path, arguments: list[str], words: str) -> None:
    assert run(folder, *arguments) == (2, f"llm-relay {words}\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["validate"], ["validate", "--explain", "all"]], ids=["short", "long"])
def test_a_full_disk(folder: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        assert run(folder, *arguments, stdout=full) == (2, "llm-relay validate: No space left on device\n")
