"""Assessments as files: exact, reviewable, and refused where they are wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.intelligence import lockfile
from gateway.intelligence.assessment import by_key
from tests.gatewayprocess import ROOT
from tests.intelligence.kit import ENVIRON, FULL, SMALL, assessment, documents, write


def test_a_file_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = by_key([assessment(), assessment(SMALL, "Cheap: and # quick, 'really' \\ \"so\"")])
    path = lockfile.write(tmp_path, "smart", reversed(kept.values()))
    before = path.read_bytes()
    assert lockfile.read(tmp_path, "smart") == kept
    lockfile.write(tmp_path, "smart", lockfile.read(tmp_path, "smart").values())
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["smart.yaml"]


def test_the_folder_is_not_read_as_routers(tmp_path: Path) -> None:
    write(tmp_path, documents("http://127.0.0.1:1"))
    revision = load(tmp_path, ENVIRON).revision
    lockfile.write(tmp_path, "smart", [assessment()])
    assert load(tmp_path, ENVIRON).revision == revision


def test_no_file_is_no_assessment(tmp_path: Path) -> None:
    assert lockfile.read(tmp_path, "smart") == {}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("router: ", "router ", "5:12: not YAML"),
        ('router: "smart"', 'router: "other"', '4:9 router: it belongs to the router "other"'),
        ("confidence: medium", "confidence: sure", "13:17 assessments[0].confidence: Invalid enum value 'sure'"),
        (
            "confidence: medium",
            "confidence: medium\n    mood: good",
            "6:5 assessments[0]: Object contains unknown field",
        ),
        ('date: "2026-05-01"', "date: 2026", "17:15 assessments[0].sources[0].date: Expected `str`, got `int`"),
        ("sources: [1]", "sources: [2]", "6:5 assessments[0]: a statement points to a source that is not there"),
        ("sources: [1]", "sources: []", "6:5 assessments[0]: a statement has no text or no source"),
        ("2026-07-01T00:00:00Z", "soon", "6:5 assessments[0]: a time is not written as"),
        ("2026-07-01T00:00:00Z", "2025-07-01T00:00:00Z", "6:5 assessments[0]: it expires before"),
        ("assessments:", "assessments: []\nassessments:", 'assessments: the key "assessments" stands twice'),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, old: str, new: str, expected: str) -> None:
    path = lockfile.write(tmp_path, "smart", [assessment(FULL)])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(lockfile.LockfileError) as caught:
        lockfile.read(tmp_path, "smart")
    assert str(caught.value).startswith(f"{path}:")
    assert expected in str(caught.value)
    assert {problem.severity for problem in caught.value.problems} == {"error"}


def test_a_candidate_that_stands_twice(tmp_path: Path) -> None:
    path = lockfile.write(tmp_path, "smart", [assessment(FULL)])
    head, _, entry = path.read_text().partition("  - candidate")
    path.write_text(f"{head}  - candidate{entry}  - candidate{entry}")
    with pytest.raises(lockfile.LockfileError, match="stands twice"):
        lockfile.read(tmp_path, "smart")


@pytest.mark.parametrize("kind", ["folder", "link", "huge", "fifo"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    path = lockfile.path(tmp_path, "smart")
    path.parent.mkdir()
    match kind:
        case "folder":
            path.mkdir()
        case "link":
            path.symlink_to(tmp_path / "nowhere")
        case "huge":
            path.write_bytes(b"#" * (5 << 20))
        case "fifo":
            os.mkfifo(path)
    with pytest.raises(lockfile.LockfileError, match=r"smart\.yaml:1:1") as caught:
        lockfile.read(tmp_path, "smart")
    assert [problem.code for problem in caught.value.problems] == ["E404"]


@pytest.mark.parametrize(("source", "text", "status"), [("file", "router: [", 1), ("file", "", 1), ("chroma", "[", 0)])
def test_validate_finds_it(tmp_path: Path, source: str, text: str, status: int) -> None:
    write(tmp_path, documents("http://127.0.0.1:1", source=source))
    arguments = (sys.executable, "-m", "gateway", "validate", str(tmp_path), "--no-keys")
    good = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stdout
    path = lockfile.path(tmp_path, "smart")
    path.parent.mkdir()
    path.write_text(text)
    found = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, f"{path}:" in found.stdout) == (status, status == 1)
