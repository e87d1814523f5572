"""Recorded answers: a file that people review, that is the same every time, and that knows when it is out of date."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import yaml
from gateway.rehearsal import recordings
from gateway.rehearsal.recordings import Exchange, NotRecorded, RecordingsUnreadable
from gateway.routing.decide import Ask, Policy
from tests.routing.build import CODER, candidate, chat, model, router

POLICY = Policy(router())
EXCHANGES = [
    Exchange("Write a parser", "{user 1}", '{"candidate": "openai/gpt-4o"}'),
    Exchange("Say hello,\nplease: " + "x" * 100, "{user 2}", "openai/gpt-4o\n"),
]

FILE = """\
# What the designator of smart answered to the requests of the router's tests.
# Written by: llm-relay test --record --router smart. Review a change here as you review code.
router: "smart"
designator: "gemini/gemini-2.0-flash"
prompt: "%s"
answers:
  - ask: "Write a parser"
    answer: '{"candidate": "openai/gpt-4o"}'
    key: "%s"
  - ask: "Say hello, please: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…"
    answer: "openai/gpt-4o\\n"
    key: "%s"
"""


def test_a_file_for_people_the_same_every_time(tmp_path: Path) -> None:
    assert recordings.save(tmp_path, POLICY, EXCHANGES)
    path = tmp_path / "recordings" / "smart.yaml"
    text = path.read_text(encoding="utf-8")
    keys = [line.split('"')[1] for line in text.splitlines() if "key:" in line]
    assert text == FILE % (POLICY.digest, *keys)
    assert not recordings.save(tmp_path, POLICY, [*EXCHANGES, *EXCHANGES]), "the same question twice is one"
    assert path.read_text(encoding="utf-8") == text
    assert [each.name for each in path.parent.iterdir()] == ["smart.yaml"]


def test_what_was_written_is_found(tmp_path: Path) -> None:
    recordings.save(tmp_path, POLICY, EXCHANGES)
    found = recordings.load(tmp_path, POLICY)
    assert [found.find(each.user) for each in EXCHANGES] == [each.answer for each in EXCHANGES]


def test_an_answer_belongs_to_its_question(tmp_path: Path) -> None:
    ask = POLICY.decide(chat("Write a parser"), None)
    assert isinstance(ask, Ask)
    recordings.save(tmp_path, POLICY, [Exchange("Write a parser", ask.prompt.messages[-1].text, CODER)])
    found = recordings.load(tmp_path, POLICY)
    assert found.answer(POLICY, ask) == CODER
    other = Policy(router(purpose="Something else"))
    assert found.answer(other, ask) is None


def test_nothing_to_keep_leaves_no_file(tmp_path: Path) -> None:
    assert not recordings.save(tmp_path, POLICY, [])
    recordings.save(tmp_path, POLICY, EXCHANGES)
    assert recordings.save(tmp_path, POLICY, [])
    assert not recordings.path_of(tmp_path, "smart").exists()


@pytest.mark.parametrize(
    ("later", "user", "why"),
    [
        (Policy(router()), "{user 3}", "recorded for this request: it is new or has changed"),
        (Policy(router(purpose="Another one")), "{user 1}", "is stale: the candidates, or what is said of them"),
        (Policy(router(candidate(CODER, "Code"), candidate("a/b", "Else"))), "{user 1}", "is stale: the candidates"),
        (
            Policy(router(designator=model("openai/gpt-5-nano"))),
            "{user 1}",
            "is stale: it is of another designator, gemini/gemini-2.0-flash",
        ),
    ],
    ids=["another request", "another purpose", "other candidates", "another designator"],
)
def test_why_an_answer_is_missing(tmp_path: Path, later: Policy, user: str, why: str) -> None:
    recordings.save(tmp_path, POLICY, EXCHANGES)
    with pytest.raises(NotRecorded, match=why):
        recordings.load(tmp_path, later).find(user)


def test_where_nothing_was_recorded(tmp_path: Path) -> None:
    with pytest.raises(NotRecorded, match="no answers of the designator are recorded"):
        recordings.load(tmp_path, POLICY).find("{user 1}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("router: [", r"smart.yaml:2:1: not YAML"),
        ("router: smart\nanswers: []\n", "missing required field `designator`"),
        ("router: smart\ndesignator: a\nprompt: b\nanswers: [{ask: x}]\n", "answers"),
        ("router: smart\ndesignator: a\nprompt: b\nanswers: []\nmore: 1\n", "unknown field `more`"),
        ("<<<<<<< HEAD\n", "not a recording|not YAML"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, why: str) -> None:
    path = recordings.path_of(tmp_path, "smart")
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordingsUnreadable, match=why):
        recordings.load(tmp_path, POLICY)


def test_a_folder_in_the_files_place(tmp_path: Path) -> None:
    recordings.path_of(tmp_path, "smart").mkdir(parents=True)
    with pytest.raises(RecordingsUnreadable, match="a folder, not a regular file"):
        recordings.load(tmp_path, POLICY)


@given(st.text())
def test_any_text_survives_the_file(text: str) -> None:
    written = yaml.read(f"text: {recordings.quoted(text)}\n".encode())
    assert written.problems == ()
    assert written.value == {"text": text}


@given(st.text(max_size=300))
def test_first_words_are_one_line(text: str) -> None:
    line = recordings.first_words(text)
    assert len(line) <= 72
    assert len(line.splitlines()) <= 1
    assert msgspec.json.encode(line)


@pytest.mark.parametrize(
    ("before", "later", "why"),
    [
        ({CODER: "Good"}, Policy(router(), {CODER: "Bad"}), "the assessments of its candidates have changed"),
        ({CODER: "Good"}, Policy(router()), "the assessments of its candidates have changed"),
        ({}, Policy(router(), {CODER: "Good"}), "the assessments of its candidates have changed"),
        (
            {CODER: "Good"},
            Policy(router(purpose="Another"), {CODER: "Good"}),
            "the candidates, or what is said of them",
        ),
    ],
    ids=["others", "none any more", "the first", "another purpose"],
)
def test_an_answer_belongs_to_what_was_said_of_candidates(
    tmp_path: Path, before: dict[str, str], later: Policy, why: str
) -> None:
    recordings.save(tmp_path, Policy(router(), before), EXCHANGES)
    found = recordings.load(tmp_path, later)
    assert (found.stale, found.missing.startswith(f"its recording is stale: {why}")) == (True, True)
    assert not recordings.load(tmp_path, Policy(router(), before)).stale
    written = recordings.path_of(tmp_path, "smart").read_text(encoding="utf-8")
    assert (f'unassessed: "{POLICY.digest}"' in written) == bool(before)
