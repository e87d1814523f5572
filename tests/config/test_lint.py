"""Lints: every code has a page whose examples are true, and comments silence what they name."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.config.codes import CODES
from gateway.config.load import Loaded, load
from gateway.config.pages import examples, listing, page
from gateway.config.problems import Problem
from gateway.lint import lint

from .folders import found, write

KEYS = {
    f"{name}_KEY": name.lower()
    for name in ("OPENAI_API", "ANTHROPIC_API", "GEMINI_API", "GROQ_API", "OPENROUTER_API", "SEARCH_TEAM", "SUPPORT_TEAM")
}
#: What an example leaves out. It has no finding of its own.
USUAL = {
    "name": "name: smart\n",
    "designator": "designator: {model: openai/gpt-5-nano}\n",
    "candidates": "candidates:\n"
    "  - {model: openai/gpt-4o, purpose: Good all-rounder}\n"
    "  - {model: anthropic/claude-sonnet-4-5, purpose: Coding and analysis}\n",
}


def router(text: str = "") -> str:
    """A router of which ``text`` is a part."""
    if text.startswith(("- ", "kind: gateway")):
        return text
    return text + "".join(usual for field, usual in USUAL.items() if not re.search(rf"^{field}:", text, re.MULTILINE))


def advised(folder: Path, *, require_keys: bool = True) -> Loaded:
    return lint(load(folder, KEYS, require_keys=require_keys))


def show(folder: Path, text: str) -> Loaded:
    """What is said of an example, in ``folder``/routers.d."""
    place = folder / "routers.d"
    if text.startswith("$ "):
        commands = "\n".join(line.removeprefix("$ ") for line in text.splitlines())
        subprocess.run(["sh", "-ec", commands], cwd=folder, check=True)
        return advised(place)
    names = re.split(r"^# (routers\.d/\S+)\n", text, flags=re.MULTILINE)
    files = {Path(name).name: router(part) for name, part in zip(names[1::2], names[2::2], strict=True)}
    if not files:
        files = {"gateway.yaml": text, "smart.yaml": router()} if "kind: gateway" in text else {"a.yaml": router(text)}
    if all("kind: gateway" in part for part in files.values()):
        files["smart.yaml"] = router()
    return advised(write(place, files))


#: Codes whose examples show what a test of another file does.
ELSEWHERE = {
    "E320": "tests/server/test_exposure.py",
    "W405": "tests/config/test_secrets.py",
    "W406": "tests/config/test_secrets.py",
    "W416": "tests/config/test_lint.py",
}
SHOWN = sorted(CODES.keys() - ELSEWHERE.keys())


def codes(problems: Sequence[Problem]) -> set[str]:
    return {problem.code for problem in problems}


def test_what_examples_leave_out_has_no_finding(tmp_path: Path) -> None:
    assert advised(write(tmp_path, {"a.yaml": router()})).problems == ()


def test_every_code_has_an_example() -> None:
    assert examples().keys() == CODES.keys()


@pytest.mark.parametrize("code", SHOWN)
def test_an_example_is_wrong_and_then_right(tmp_path: Path, code: str) -> None:
    example = examples()[code]
    (tmp_path / "wrong").mkdir()
    write(tmp_path / "wrong" / "routers.d", {"smart.yaml": router()} if example.wrong.startswith("$ ") else {})
    assert code in codes(show(tmp_path / "wrong", example.wrong).problems)
    right = show(tmp_path / ("wrong" if example.right.startswith("$ ") else "right"), example.right)
    assert code not in codes(right.problems)
    assert right.snapshot is not None, [str(problem) for problem in right.problems]


@pytest.mark.parametrize("code", CODES)
def test_a_page_says_all(code: str) -> None:
    text = str(page(code))
    title, _, remedy = CODES[code]
    assert text.startswith(f"{code} (")
    assert title in text.splitlines()[0]
    assert " ".join(remedy.split()) in " ".join(text.split())
    assert all(len(line) <= 100 for line in text.splitlines())
    assert f"{code}  {title}\n" in listing()
