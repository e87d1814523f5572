"""Where designators' answers come from: recordings of both sides, and the designators themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.cases.scene import Judge, Printed, Shell, write
from tests.faultserver import answer

TESTS = "- {ask: Write Python, expect: sandbox/coder}\n- {ask: A poem, expect: sandbox/writer}"
CORPUS = "- {router: smart, ask: Write Python}\n- {router: smart, ask: A poem}\n- {router: smart, ask: A story}\n"


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@pytest.fixture
async def judge() -> AsyncIterator[Judge]:
    """Knows Python, and takes everything else for a poem."""
    async with Judge() as server:
        server.choose = lambda brief: "sandbox/coder" if "Python" in brief["ask"] else "sandbox/writer"
        yield server


class Change:
    """Two folders with the router ``smart`` and a corpus of three requests, two of which are its tests."""

    def __init__(self, shell: Shell, judge: Judge, path: Path) -> None:
        self._shell = shell
        self.corpus = write(path, {"corpus.yaml": CORPUS}) / "corpus.yaml"
        (path / "before").mkdir()
        (path / "after").mkdir()
        self.before = judge.folder(path / "before", TESTS)
        self.after = judge.folder(path / "after", TESTS)

    def edit(self, old: str, new: str) -> None:
        """Change something after."""
        path = self.after / "smart.yaml"
        path.write_text(path.read_text().replace(old, new))

    async def record(self, folder: Path) -> None:
        assert (await self._shell("test", folder, "--record")).status == 0

    async def plan(self, *options: str) -> Printed:
        arguments = ("--base", self.before, self.after, "--corpus", self.corpus)
        return await self._shell("plan", *arguments, *options)

    async def moves(self, *options: str) -> Any:
        printed = await self.plan(*options, "--format", "json")
        assert printed.status == 0, printed.err
        return printed.json["moves"]


@pytest.fixture
def change(shell: Shell, judge: Judge, tmp_path: Path) -> Change:
    found = Change(shell, judge, tmp_path)
    found.edit("Poems and stories", "Poems")
    return found


def figures(moves: Any) -> tuple[int, int, int]:
    """How many move, stay, and are unknown."""
    return moves["moved"], moves["stayed"], moves["unknown"]


async def test_without_recordings_nothing_is_known(change: Change, judge: Judge) -> None:
    printed = await change.plan()
    assert "who moves, of 3 requests: 0 stay, 0 move, 3 cannot be re-decided offline\n" in printed.out
    assert (
        "  3 requests cannot be re-decided offline: the designator's answer is not among those recorded" in printed.out
    )
    assert judge.requests == []


async def test_recordings_of_both_sides(change: Change, judge: Judge) -> None:
    await change.record(change.before)
    assert figures(await change.moves()) == (0, 0, 3), "the old ones say nothing of the new prompt"
    await change.record(change.after)
    asked = len(judge.requests)
    assert figures(await change.moves()) == (0, 2, 1)
    assert len(judge.requests) == asked


async def test_one_recording_serves_both_where_the_question_is_the_same(change: Change) -> None:
    await change.record(change.before)
    change.edit("purpose: Poems}", "purpose: Poems and stories}")
    change.edit("timeout: 5s", "timeout: 4s")
    moves = await change.moves()
    assert figures(moves) == (0, 3, 0)
    assert moves["same_question"] == 1


async def test_a_recording_that_is_broken(change: Change) -> None:
    write(change.after / "recordings", {"smart.yaml": "router: [\n"})
    printed = await change.plan()
    assert (printed.status, printed.out) == (2, "")
    assert "recordings/smart.yaml:2:1: not YAML" in printed.err


async def test_live(change: Change, judge: Judge) -> None:
    await change.record(change.before)
    before = len(judge.requests)
    judge.choose = lambda brief: "sandbox/writer" if "poem" in brief["ask"] else "sandbox/coder"
    printed = await change.plan("--live")
    assert "who moves, of 3 requests: 3 stay, 0 move\n" in printed.out
    assert "  4 questions put to designators just now.\n" in printed.out
    assert len(judge.requests) == before + 4, "what is recorded is not asked, and nothing twice"
    assert printed.status == 0


async def test_a_designator_that_does_not_answer_proves_nothing(change: Change, judge: Judge) -> None:
    judge.script = [answer("{}", status=503)]
    printed = await change.plan("--live")
    assert "who moves, of 3 requests: 0 stay, 0 move, 3 cannot be re-decided\n" in printed.out
    assert "  6 questions put to designators just now, 6 without an answer (the provider answered" in printed.out


async def test_an_answer_that_names_nobody_is_an_answer(change: Change, judge: Judge) -> None:
    judge.choose = lambda brief: "I would rather not"
    moves = await change.moves("--live")
    assert moves["matrix"] == {"smart": {"sandbox/writer": {"sandbox/writer": 3}}}


async def test_a_key_that_is_missing(shell: Shell, judge: Judge, tmp_path: Path) -> None:
    place = judge.folder(tmp_path, TESTS, key="env:LLM_RELAY_TEST_NO_SUCH_KEY")
    corpus = write(tmp_path, {"corpus.yaml": CORPUS}) / "corpus.yaml"
    printed = await shell("plan", "--base", place, place, "--corpus", corpus, "--live")
    assert (printed.status, printed.out) == (2, "")
    assert "to ask the designator of smart: env:LLM_RELAY_TEST_NO_SUCH_KEY is not set" in printed.err
    assert judge.requests == []


async def test_live_needs_something_to_ask(shell: Shell, tmp_path: Path) -> None:
    printed = await shell("plan", "--base", tmp_path, tmp_path, "--live")
    assert printed.status == 2
    assert "--live has nothing to ask without --corpus" in printed.err
