"""A plan as text, Markdown or JSON; and in their place what is wrong with the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from gateway.config import report as problems_report
from gateway.config.problems import Problem
from gateway.plan import markdown, text
from gateway.plan.report import Report


def show(report: Report, style: str) -> str:
    """``style`` is ``text``, ``markdown`` or ``json``. Raises KeyError on another one."""
    return _STYLES[style](report)


def refused(problems: Iterable[Problem], style: str) -> str:
    """Why there is no plan: the errors among ``problems``, in a style as of :func:`show`."""
    errors = [problem for problem in problems if problem.severity == "error"]
    match style:
        case "markdown":
            return markdown.refused(errors)
        case "json":
            return _json({"problems": errors})
        case _:
            return problems_report.render(errors, "text")


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


_STYLES: dict[str, Callable[[Report], str]] = {"text": text.render, "markdown": markdown.render, "json": _json}
