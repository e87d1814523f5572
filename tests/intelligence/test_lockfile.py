"""Assessments as files: exact, reviewable, and refused where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.intelligence import lockfile
from gateway.intelligence.assessment import by_key
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
    ("old", "new", "words"),
    [
        ("router: ", "router ", "not YAML"),
        ('router: "smart"', 'router: "other"', "belongs to the router 'other'"),
        ("confidence: medium", "confidence: sure", "confidence"),
        ("confidence: medium", "confidence: medium\n    mood: good", "mood"),
        ("sources: [1]", "sources: [2]", "points to a source that is not there"),
        ("sources: [1]", "sources: []", "no text or no source"),
        ("2026-07-01T00:00:00Z", "soon", "a time is not written as"),
        ("2026-07-01T00:00:00Z", "2025-07-01T00:00:00Z", "expires before"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = lockfile.write(tmp_path, "smart", [assessment(FULL)])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(lockfile.LockfileError, match=r"smart\.yaml") as caught:
        lockfile.read(tmp_path, "smart")
    assert words in str(caught.value)
