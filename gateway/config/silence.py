"""Comments that silence lints, each with its reason::

    # relay: ignore W410 they differ in tone, not in topic
    - model: openai/gpt-4o
      purpose: Long and friendly answers   # relay: ignore W419 house style

A comment behind a value counts for its own line, comments on lines of their own for the line that follows them, and
comments at the top of a file for all of it. One comment may name several codes. Errors cannot be silenced.

Comments are no part of what a YAML reader tells, so the text is searched for them line by line. What looks like such a
comment inside a text counts too; it can silence advice and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from gateway.config.codes import CODES
from gateway.config.problems import Problem, severity, show

_COMMENT = re.compile(r"(?:^|(?<=\s))#\s*relay:\s*(?P<verb>\S*)\s*(?P<rest>.*)")
_CODES = re.compile(r"(?:[EW]\d{3}\b[\s,]*)+")
#: A reason has at least one word.
_REASON = re.compile(r"\w{2}")

#: Lints about silences.
_UNCLEAR, _IDLE = "W422", "W423"
#: Whether these are found depends on where the check runs, so that a silence of one may have nothing to do here.
_OF_THE_PLACE = frozenset({"W402", "W405", "W406", "W424"})


class Silence(msgspec.Struct, frozen=True):
    """One code, silenced on one line or in a whole file."""

    code: str
    #: Where the comment stands.
    line: int
    column: int
    #: The line that it counts for; None is all of them.
    target: int | None


class Silences(msgspec.Struct, frozen=True):
    """All silences of a file, and what is wrong with its comments."""

    silences: tuple[Silence, ...]
    problems: tuple[Problem, ...]


def read(data: bytes) -> Silences | None:
    """The silences in a file's text, if it has any; problems lack the file's name."""
    if b"relay:" not in data:
        return None
    silences: list[Silence] = []
    problems: list[Problem] = []
    waiting: list[Silence] = []
    top = True
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        text = line.strip()
        alone = text.startswith("#")
        if not alone and text:
            silences += (msgspec.structs.replace(silence, target=number) for silence in waiting)
            waiting = []
            top = top and text == "---"
        found = _COMMENT.search(line)
        if found is None:
            continue
        column = found.start() + 1
        said = list(_silences(found, number, column, None if top or alone else number, problems))
        (waiting if alone and not top else silences).extend(said)
    # Nothing follows these, so they count for nothing; they are kept to be told.
    silences += (msgspec.structs.replace(silence, target=0) for silence in waiting)
    return Silences(tuple(silences), tuple(problems)) if silences or problems else None


def apply(problems: Iterable[Problem], silences: Iterable[Silence], *, complete: bool) -> list[Problem]:
    """The ``problems`` of one file that are not silenced.

    ``complete`` means that every lint has been run: a silence that silences nothing is then a problem itself.
    """
    used: set[Silence] = set()
    heard: list[Problem] = []
    silences = tuple(silences)
    for problem in problems:
        over = [s for s in silences if s.code == problem.code and s.target in (None, problem.line)]
        used.update(over)
        if not over:
            heard.append(problem)
    if complete:
        idle = (silence for silence in silences if silence not in used and silence.code not in _OF_THE_PLACE)
        heard += (_problem(silence, _IDLE, f"{silence.code} is not found here", "remove it") for silence in idle)
    return heard


def _silences(
    comment: re.Match[str], line: int, column: int, target: int | None, problems: list[Problem]
) -> Iterator[Silence]:
    at = Silence("", line, column, target)
    if comment["verb"] != "ignore":
        problems.append(_problem(at, _UNCLEAR, f"{show(comment['verb'])} is not understood", "write 'relay: ignore'"))
        return
    named = _CODES.match(comment["rest"])
    if named is None:
        problems.append(_problem(at, _UNCLEAR, "the comment names no lint", "write 'relay: ignore W401 reason'"))
        return
    for code in dict.fromkeys(re.findall(r"[EW]\d{3}", named[0])):
        if code not in CODES or code in (_UNCLEAR, _IDLE) or severity(code) == "error":
            message = f"{code} cannot be silenced" if code in CODES else f"there is no lint {code}"
            problems.append(_problem(at, _UNCLEAR, message, "name a lint, W4xx"))
        else:
            yield Silence(code, line, column, target)
    if _REASON.search(comment["rest"], named.end()) is None:
        problems.append(_problem(at, _UNCLEAR, "the silence has no reason", "say why behind the code"))


def _problem(at: Silence, code: str, message: str, remedy: str) -> Problem:
    return Problem("", at.line, at.column, "", code, message, remedy, severity(code))
