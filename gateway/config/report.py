"""Problems for people, for programs, and for pull requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from gateway.config.problems import Problem, Severity

Format = Literal["text", "json", "github"]

_PREFIXES: dict[Severity, str] = {"error": "", "warning": "warning: ", "info": "info: "}
_COMMANDS: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "notice"}


def render(problems: Iterable[Problem], format: Format | str) -> str:
    """All ``problems``, in order. Empty for none, except as JSON. Raises KeyError on an unknown format.

    ``text`` is one line a problem, ``json`` one array, ``github`` the workflow commands that GitHub shows beside the
    lines of a pull request.
    """
    return _FORMATS[format](sorted(problems, key=lambda problem: problem.order))


def _text(problems: list[Problem]) -> str:
    return "".join(f"{_PREFIXES[problem.severity]}{problem} [{problem.code}]\n" for problem in problems)


def _json(problems: list[Problem]) -> str:
    return msgspec.json.format(msgspec.json.encode(problems), indent=2).decode() + "\n"


def _github(problems: list[Problem]) -> str:
    """Source: docs.github.com, "Workflow commands for GitHub Actions"."""
    lines = []
    for problem in problems:
        properties = {"file": problem.file, "line": problem.line, "col": problem.column, "title": problem.code}
        shown = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
        text = f"{problem.path}: {problem.message}" if problem.path else problem.message
        text = f"{text}; {problem.remedy}" if problem.remedy else text
        lines.append(f"::{_COMMANDS[problem.severity]} {shown}::{_data(text)}\n")
    return "".join(lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


_FORMATS: dict[str, Callable[[list[Problem]], str]] = {"text": _text, "json": _json, "github": _github}
