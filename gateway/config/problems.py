"""Problems as data: what is wrong, where, and what to do about it. All of them at once.

A problem prints as one line that terminals and editors can jump to::

    routers.d/smart.yaml:14:9 candidates[2].model: "gpt-4o" is not declared; did you mean "openai/gpt-4o"?

Values that may be secret never get into a message: everything quoted from a file goes through :func:`show`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from gateway.config.codes import INFORMATION

Severity = Literal["error", "warning", "info"]

#: The way from a document's root to a value: field names and list indexes.
Steps = tuple[str | int, ...]

#: Lines and columns count from 1, columns in characters.
Position = tuple[int, int]

#: Problems shown for one file; what exceeds it is counted only.
MAX_PROBLEMS = 100

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
_SECRET_KEY = re.compile(r"(?i)key|token|secret|passw|credential|auth|bearer")
#: What well-known keys look like, any long run of mixed letters and digits, and the credentials of a URL.
_SECRET_VALUE = re.compile(
    r"(?:\b(?:sk|rk|pk|gsk|csk|xai|pplx|tgp|hf|r8|jina|glpat|gh[pousr]|github_pat)[-_][-_A-Za-z0-9.]{12,}"
    r"|\b(?:AKIA|AIza|eyJ)[-_A-Za-z0-9.]{8,}"
    r"|(?i:bearer)\s+\S+"
    r"|(?<=//)[^/\s@]+(?=@)"
    r"|(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{24,})"
)
_SHOWN = 60


class Problem(msgspec.Struct, frozen=True):
    """One finding. ``file`` is as the user named the folder, ``path`` the way to the value inside the document."""

    file: str
    line: int
    column: int
    path: str
    code: str
    message: str
    #: What to do about it; may be empty where the message says it all.
    remedy: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        head = f"{where} {self.path}:" if self.path else f"{where}:"
        return f"{head} {self.message}; {self.remedy}" if self.remedy else f"{head} {self.message}"

    @property
    def order(self) -> tuple[str, int, int, str, str]:
        """The order in which problems are listed: as a reader meets them."""
        return self.file, self.line, self.column, self.code, self.message


class Marks(msgspec.Struct, frozen=True):
    """Where a document's values, and the keys before them, begin."""

    values: dict[Steps, Position] = {}
    keys: dict[Steps, Position] = {}

    def value(self, steps: Steps) -> Position:
        """The place of the value at ``steps``, or of the nearest value around it."""
        while steps not in self.values and steps:
            steps = steps[:-1]
        return self.values.get(steps, (1, 1))

    def key(self, steps: Steps) -> Position:
        """The place of the key that ends ``steps``."""
        return self.keys.get(steps) or self.value(steps)


class Place(msgspec.Struct, frozen=True):
    """A value in a file: what a problem points to."""

    file: str
    marks: Marks
    steps: Steps = ()

    def __truediv__(self, step: str | int) -> Place:
        return Place(self.file, self.marks, (*self.steps, step))

    @property
    def line(self) -> int:
        """The line on which the value begins."""
        return self.marks.value(self.steps)[0]

    def problem(self, code: str, message: str, remedy: str = "", *, at_key: bool = False) -> Problem:
        """A problem with this value, or with the key before it."""
        line, column = self.marks.key(self.steps) if at_key else self.marks.value(self.steps)
        return Problem(self.file, line, column, spell(self.steps), code, message, remedy, severity(code))


class Report:
    """Collects problems."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []

    def add(self, place: Place, code: str, message: str, remedy: str = "", *, at_key: bool = False) -> None:
        """Take down one problem with the value at ``place``."""
        self._problems.append(place.problem(code, message, remedy, at_key=at_key))

    def extend(self, problems: Iterable[Problem]) -> None:
        """Take over problems found elsewhere."""
        self._problems.extend(problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything so far, each problem once, in a reader's order."""
        return tuple(sorted(set(self._problems), key=lambda problem: problem.order))

    @property
    def failed(self) -> bool:
        """Whether anything refuses the generation."""
        return any(problem.severity == "error" for problem in self._problems)


def severity(code: str) -> Severity:
    """Codes begin with their severity, E or W; a few of the latter are mere information."""
    if code.startswith("E"):
        return "error"
    return "info" if code in INFORMATION else "warning"


def spell(steps: Steps) -> str:
    """``steps`` as one reads it: ``candidates[2].model``, ``models["my-vllm/qwen3"].price``."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step) and not _SECRET_VALUE.search(step):
            text += f".{step}" if text else step
        else:
            text += f"[{show(step)}]"
    return text


def secret_like(steps: Steps) -> bool:
    """Whether a value is kept at ``steps`` that must not be shown."""
    return any(isinstance(step, str) and _SECRET_KEY.search(step) for step in steps)


def show(value: object) -> str:
    """``value`` for a message: in one line, cut short, and without anything that looks like a key."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            text = _SECRET_VALUE.sub("…", value[: 4 * _SHOWN])
            text = text if len(text) <= _SHOWN and len(value) <= 4 * _SHOWN else text[: _SHOWN - 1] + "…"
            return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text) + '"'
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return str(value)[:_SHOWN]


def suggest(word: str, options: Iterable[str]) -> str | None:
    """The option that ``word`` was probably meant to be."""
    folded = {option.casefold(): option for option in options}
    close = difflib.get_close_matches(word[:100].casefold(), list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def did_you_mean(word: str, options: Iterable[str], otherwise: str = "") -> str:
    """A remedy: the likely option, or ``otherwise``."""
    option = suggest(word, options)
    return f"did you mean {show(option)}?" if option is not None else otherwise
