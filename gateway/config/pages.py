"""A page on every code, for ``validate --explain``: what it means, what it looks like, what to do."""

from __future__ import annotations

import textwrap
from functools import cache
from importlib import resources

import msgspec

from gateway.config import yaml
from gateway.config.codes import CODES
from gateway.config.problems import severity

_WIDTH = 88


class Example(msgspec.Struct, frozen=True):
    """A part of a configuration that has the problem, and the same part without it."""

    wrong: str
    right: str


class Page(msgspec.Struct, frozen=True):
    """All that is to be said of a code."""

    code: str
    severity: str
    title: str
    explanation: str
    remedy: str
    wrong: str
    right: str

    def __str__(self) -> str:
        parts = [
            f"{self.code} ({self.severity}): {self.title}",
            textwrap.fill(self.explanation, _WIDTH),
            f"Wrong:\n\n{textwrap.indent(self.wrong.rstrip(), '    ')}",
            f"Right:\n\n{textwrap.indent(self.right.rstrip(), '    ')}",
            textwrap.fill(f"What to do: {self.remedy}", _WIDTH),
        ]
        return "\n\n".join(parts) + "\n"


@cache
def examples() -> dict[str, Example]:
    """An example for each code."""
    data = resources.files("gateway.config").joinpath("examples.yaml").read_bytes()
    return msgspec.convert(yaml.read(data).value, dict[str, Example])


def page(code: str) -> Page:
    """The page on ``code``. Raises KeyError where there is no such code."""
    known, example = CODES[code], examples()[code]
    return Page(
        code=code,
        severity=severity(code),
        title=known.title,
        explanation=known.explanation,
        remedy=known.remedy,
        wrong=example.wrong,
        right=example.right,
    )


def listing() -> str:
    """All codes, a line each."""
    return "".join(f"{code}  {known.title}\n" for code, known in CODES.items())
