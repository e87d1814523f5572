"""One rule for what designators read: the gateway's, and that of commands that stand in for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.generation import Generation
from gateway.intelligence import lockfile
from gateway.intelligence.assessment import Assessment, by_key
from gateway.intelligence.lockfile import LockfileError
from gateway.intelligence.reading import Note, beside, grouped, texts
from tests.intelligence.kit import FULL, NOW, SMALL, assessment, documents, snapshot, write

DAY = 86400.0
READ = "Strong at vision. Best for: charts."


def folder(path: Path, *found: Assessment, source: str = "file") -> Path:
    """A router and what its file says; without any no file is there."""
    place = write(path / "routers.d", documents("http://127.0.0.1:1", source=source))
    if found:
        lockfile.write(place, "smart", found)
    return place


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOW, {"smart": {FULL: READ}}),
        (NOW + DAY - 1, {"smart": {FULL: READ}}),
        (NOW + DAY, {}),
        (None, {"smart": {FULL: READ}}),
    ],
)
def test_what_may_be_read(tmp_path: Path, now: float | None, expected: dict[str, dict[str, str]]) -> None:
    known = by_key([assessment(days=1), assessment("openai/o3"), assessment(router="other")])
    assert texts(snapshot(folder(tmp_path)), known, now) == expected


def test_what_no_router_asks_for(tmp_path: Path) -> None:
    place = folder(tmp_path)
    document = (place / "smart.yaml").read_text()
    write(place, {"smart.yaml": re.sub("intelligence: .*\n", "", document)})
    lockfile.write(place, "smart", [assessment()])
    assert texts(snapshot(place), by_key([assessment()]), NOW) == {}
    found = beside(place, snapshot(place), NOW)
    assert (found.assessments, found.texts, found.notes) == ({}, {}, ())


@pytest.mark.parametrize(
    ("source", "found", "severity", "words"),
    [
        ("file", [assessment(), assessment(SMALL)], "", ""),
        ("file", [], "info", "its designator reads no assessments: intelligence/smart.yaml has none"),
        ("file", [assessment(), assessment("a/b")], "info", "intelligence/smart.yaml speaks of a/b, no candidate"),
        ("file", [assessment(days=1), assessment(SMALL)], "warning", "assessment of openai/gpt-4o has expired (2026-"),
        (
            "file",
            [assessment(days=1), assessment(SMALL, days=1)],
            "warning",
            "openai/gpt-4o, openai/gpt-4o-mini has",
        ),
        ("chroma", [assessment()], "info", "in ChromaDB, which is not asked here"),
    ],
)
def test_what_is_noted(tmp_path: Path, source: str, found: list[Assessment], severity: str, words: str) -> None:
    place = folder(tmp_path, *found, source=source)
    notes = beside(place, snapshot(place), NOW + 2 * DAY).of("smart")
    assert [note.severity for note in notes] == ([severity] if severity else [])
    assert all(words in note.text for note in notes)


def test_a_file_counts_on_every_day_and_the_gateways_prompt_is_told(tmp_path: Path) -> None:
    place = folder(tmp_path, assessment(days=1), assessment(SMALL))
    loaded = snapshot(place)
    early, late = (beside(place, loaded, now) for now in (NOW, NOW + 2 * DAY))
    assert early.texts == late.texts == {"smart": {FULL: READ, SMALL: READ}}
    assert early.notes == ()
    served = Generation(loaded, texts(loaded, late.assessments, NOW + 2 * DAY)).policies["smart"].digest
    shown = Generation(loaded, late.texts).policies["smart"].digest
    assert f"its prompt is {served}, not {shown}." in late.notes[0].text


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    place = write(tmp_path / "routers.d", documents("http://127.0.0.1:1", source="file", names=("one", "two")))
    for name in ("one", "two"):
        lockfile.write(place, name, [assessment(router=name)]).write_text("router: [")
    with pytest.raises(LockfileError) as caught:
        beside(place, snapshot(place), NOW)
    assert [Path(problem.file).name for problem in caught.value.problems] == ["one.yaml", "two.yaml"]


def test_notes_in_lines() -> None:
    notes = [Note(f"r{number}", "info", "same") for number in range(7)]
    assert grouped([*notes, notes[0], Note("r1", "warning", "other")]) == [
        "r0, r1, r2, r3, r4 and 2 more: same",
        "r1: other",
    ]
