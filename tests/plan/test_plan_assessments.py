"""A change of reviewed assessments is a change of what designators do, and a plan shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from gateway.generation import Generation
from gateway.intelligence import lockfile
from gateway.intelligence.assessment import Assessment, Source
from gateway.rehearsal import recordings
from gateway.rehearsal.recordings import Exchange
from gateway.routing.decide import Policy
from tests.intelligence.kit import FULL, SMALL, assessment, documents, snapshot, write

from .test_base import git
from .test_plan_command import plan

#: Far from expiring on any day on which this runs.
LONG = 36500.0


def entry(candidate: str = FULL, text: str = "Strong at vision.", days: float = LONG) -> Assessment:
    return assessment(candidate, text, days=days)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a router and a reviewed file, both committed; the folder of routers in it."""
    folder = write(tmp_path / "repository" / "routers.d", documents("http://127.0.0.1:1", source="file"))
    lockfile.write(folder, "smart", [entry()])
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=more")


def digests(folder: Path, *found: Sequence[Assessment]) -> list[str]:
    """The prompts' digests with each of these assessments."""
    loaded = snapshot(folder)
    texts = ({"smart": {each.candidate: each.text for each in some}} for some in found)
    return [Generation(loaded, each).policies["smart"].digest for each in texts]


def test_only_the_file_changes(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = [entry()], [entry(text="Weak at vision."), entry(SMALL)]
    lockfile.write(repository, "smart", after)
    status, text, _ = plan(capsys, "--base", "HEAD", repository)
    assert status == 0
    old, new = digests(repository, before, after)
    shown = re.sub(r"about \d+ tokens", "T", text)
    assert shown.splitlines()[1:] == [
        "  1 router changed",
        "",
        "~ router smart",
        "    ~ assessments[openai/gpt-4o]",
        f"        - {before[0].digest} until 2126-05-08: Strong at vision. Best for: charts.",
        f"        + {after[0].digest} until 2126-05-08: Weak at vision. Best for: charts.",
        "    + assessments[openai/gpt-4o-mini]  "
        f"{after[1].digest} until 2126-05-08: Strong at vision. Best for: charts.",
        f"    ~ designator prompt                {old}, T → {new}, T",
    ]
    _, found, _ = plan(capsys, "--base", "HEAD", repository, "--format", "json")
    assert json.loads(found)["prompts"]["smart"]["after"]["digest"] == new
    _, comment, _ = plan(capsys, "--base", "HEAD", repository, "--format", "markdown")
    assert f"| changed | `assessments[openai/gpt-4o]` | `{before[0].digest} until 2126-05-08: Strong" in comment


@pytest.mark.parametrize(
    ("after", "kind", "words"),
    [
        ([], "removed", "Strong at vision."),
        ([entry(days=LONG - 1)], "changed", "until 2126-05-07: the designator reads the same"),
        ([entry(text="x" * 400)], "changed", "x" * 150),
    ],
    ids=["removed", "the same text", "a long text"],
)
def test_kinds_of_changes(
    repository: Path, capsys: pytest.CaptureFixture[str], after: list[Assessment], kind: str, words: str
) -> None:
    lockfile.path(repository, "smart").unlink()
    if after:
        lockfile.write(repository, "smart", after)
    _, text, _ = plan(capsys, "--base", "HEAD", repository, "--format", "json")
    found = json.loads(text)
    (change,) = found["plan"]["routers"][0]["changes"]
    assert (change["path"], change["kind"]) == ("assessments[openai/gpt-4o]", kind)
    assert words in change["before"] + change["after"]
    assert len(change["after"]) < 220, "the file itself is beside it in a review"
    assert ("smart" in found["prompts"]) == (kind != "changed" or "x" in words)


def test_no_change_is_an_empty_plan(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lockfile.write(repository, "smart", [entry(), assessment("no/candidate", days=LONG)])
    _, text, _ = plan(capsys, "--base", "HEAD", repository)
    assert "\n  nothing changes for any request\n" in text
    assert "smart: intelligence/smart.yaml speaks of no/candidate, no candidate of it" in text


def test_what_becomes_stale(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = snapshot(repository)
    recordings.save(repository, Policy(loaded.routers["smart"], {FULL: entry().text}), [Exchange("a", "{u}", FULL)])
    commit(repository)
    lockfile.write(repository, "smart", [entry(text="Weak.")])
    _, text, _ = plan(capsys, "--base", "HEAD", repository)
    told = f"run: llm-relay test {repository} --record --router smart"
    assert f"smart: its recording is stale: the assessments of its candidates have changed; {told}\n" in text
    _, comment, _ = plan(capsys, "--base", "HEAD", repository, "--format", "markdown")
    assert f"\n- `smart: its recording is stale: the assessments of its candidates have changed; {told}`\n" in comment

    again = Policy(loaded.routers["smart"], {FULL: "Weak. Best for: charts."})
    recordings.save(repository, again, [Exchange("a", "{u}", FULL)])
    _, text, _ = plan(capsys, "--base", "HEAD", repository)
    assert "is stale" not in text


def test_example_requests_read_them(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = write(tmp_path, {"c.jsonl": '{"router": "smart", "ask": "Hi"}\n'}) / "c.jsonl"
    _, text, _ = plan(capsys, "--base", "HEAD", repository, "--corpus", corpus)
    assert "1 request: 1 stay, 0 move" in text
    lockfile.write(repository, "smart", [entry(text="Weak.")])
    _, text, _ = plan(capsys, "--base", "HEAD", repository, "--corpus", corpus)
    assert "1 cannot be re-decided offline" in text, "the question is another one"


@pytest.mark.parametrize("style", ["text", "json", "markdown"])
def test_a_file_with_a_mistake(repository: Path, capsys: pytest.CaptureFixture[str], style: str) -> None:
    path = lockfile.path(repository, "smart")
    path.write_text(path.read_text().replace("confidence: medium", "confidence: sure"))
    status, text, _ = plan(capsys, "--base", "HEAD", repository, "--format", style)
    assert status == 1
    assert "E404" in text
    commit(repository)
    lockfile.write(repository, "smart", [entry()])
    status, text, _ = plan(capsys, "--base", "HEAD", repository, "--format", style)
    assert status == 0, "the change corrects it"
    assert "base: intelligence/smart.yaml:13:17 in the base cannot be used" in text


@pytest.mark.parametrize("side", ["before", "after"])
def test_what_is_in_chroma_is_not_known(repository: Path, capsys: pytest.CaptureFixture[str], side: str) -> None:
    write(repository, documents("http://127.0.0.1:1", source="chroma"))
    base = "HEAD"
    if side == "before":
        commit(repository)
        write(repository, documents("http://127.0.0.1:1", source="file"))
    _, text, _ = plan(capsys, "--base", base, repository)
    assert text.count("smart: its assessments are in ChromaDB, which is not asked here") == 1
    assert ("    + assessments[openai/gpt-4o]" in text) == (side == "before")


def test_what_a_page_said_is_shown_as_it_is(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\u202e\x1b[31m | ` @everyone <script>"
    found = entry(text=hostile)
    sources = tuple(Source(each.url, hostile, each.date) for each in found.sources)
    lockfile.write(repository, "smart", [msgspec.structs.replace(found, sources=sources)])
    for style in ("text", "markdown"):
        _, text, _ = plan(capsys, "--base", "HEAD", repository, "--format", style)
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "``" in text, "the span is longer than what it holds"
