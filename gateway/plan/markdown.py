"""A plan as a comment on a pull request: GitHub's Markdown, details folded away.

Much of a plan is text from the change under review, and example requests are anybody's. All of it is shown in code
spans, where Markdown, HTML, links and mentions mean nothing; a code span ends at its own run of backticks only, and
that is always made longer than any inside it (CommonMark 6.1).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence

from gateway.config.diff import Change, Item
from gateway.config.problems import Problem
from gateway.plan.moves import Moves
from gateway.plan.report import (
    KINDS,
    SIGNS,
    Report,
    changes,
    costs,
    counted,
    coverage,
    delta,
    headline,
    is_key,
    items,
    names,
    of_moves,
    of_sessions,
    of_way,
    remarks,
    replayed,
)
from gateway.plan.traffic import Past

#: By this a workflow finds its earlier comment, to replace it.
MARKER = "<!-- llm-relay plan -->"
#: UTF-8 bytes: GitHub takes 65,536 characters in a comment, and Linux 128 KiB in one variable of the environment.
_MOST = 60_000
#: Characters of one cell, and of a note.
_CELL, _NOTE = 200, 1_000


def render(report: Report) -> str:
    """The whole plan, or as much of it as fits into one comment."""
    before, after = names(report)
    sections = [f"{MARKER}\n### LLM Relay plan: {code(before)} → {code(after)}\n\n**{headline(report)}**\n"]
    if report.notes:
        sections.append("".join(f"- {code(note, _NOTE)}\n" for note in report.notes))
    if report.moves is not None:
        sections.append("\n".join(_moves(report, report.moves)) + "\n")
    if report.past is not None:
        sections.append("\n".join(_past(report, report.past)) + "\n")
    if report.plan.sessions:
        lines = (f"- {code(each.router)}: {what}" for each in report.plan.sessions for what in of_sessions(each, code))
        sections.append("\n".join(("#### Sessions\n", *lines)) + "\n")
    sections += (_item(report, kind, item) for kind in KINDS for item in items(report.plan, kind))
    if report.plan.gateway:
        sections.append(_folded("~ gateway", _changes(report.plan.gateway)))
    return _fitting(sections)


def refused(problems: Sequence[Problem]) -> str:
    """Why there is no plan."""
    lines = [f"- {code(f'{p.file}:{p.line}:{p.column}')} {p.code} {code(f'{p.path} {p.message}')}" for p in problems]
    title = f"{MARKER}\n### LLM Relay plan: none\n\n**The configuration is not valid.**\n"
    return _fitting((title, *(f"{line}\n" for line in lines)))


def code(text: str, most: int = _CELL) -> str:
    """``text``, up to ``most`` characters, as a code span that may stand anywhere, tables too, whatever is in it."""
    text = " ".join(text.split())
    if not text:
        return ""
    text = text if len(text) <= most else text[: most - 1] + "…"
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    # A backtick at either end would lengthen the fence; one space at each end is not part of a span.
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    # Tables split cells before anything else is read, and turn this back into the bare character.
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def _fitting(sections: Sequence[str]) -> str:
    room = _MOST
    for index, section in enumerate(sections):
        room -= len(section.encode("utf-8", "replace"))
        if room < 0:
            left = f"\n… and {counted(len(sections) - index, 'more section')}: run `llm-relay plan` for all of it.\n"
            return "\n".join(sections[:index]) + left
    return "\n".join(sections)


def _item(report: Report, kind: str, item: Item) -> str:
    title = f"{SIGNS[item.kind]} {kind[:-1]} <code>{html.escape(item.name)}</code> {item.kind}"
    return _folded(title, _changes(changes(report, kind, item)))


def _folded(title: str, lines: Iterable[str]) -> str:
    return "\n".join((f"<details><summary>{title}</summary>\n", *lines, "\n</details>\n"))


def _changes(found: Iterable[Change]) -> Iterator[str]:
    rows = []
    for change in found:
        before, after = ("not shown", "not shown") if is_key(change) else (code(change.before), code(change.after))
        if change.kind == "added":
            before = ""
        if change.kind == "removed":
            after = ""
        rows.append((f"{change.kind}", code(change.path), before, after))
    return _table(("", "field", "before", "after"), rows)


def _moves(report: Report, moves: Moves) -> Iterator[str]:
    yield f"#### Who moves\n\n{of_moves(report, moves)}.\n"
    if report.coverage:
        yield from (f"- {covered}" for covered in coverage(report, code))
        yield ""
    if moves.flows:
        rows = [
            (code(f.router), code(f.before), code(f.after), f"{f.requests:,}", "<br>".join(map(code, f.examples)))
            for f in moves.flows
        ]
        yield from _table(("router", "from", "to", "requests", "for example"), rows)
        yield ""
    yield from (f"- {cost}" for cost in costs(moves))
    yield from (f"- {remark}" for remark in remarks(report, moves, code))
    if moves.matrix:
        yield f"\n{_folded('by candidate: rows are before, columns after', _matrices(moves))}"


def _matrices(moves: Moves) -> Iterator[str]:
    for router, rows in sorted(moves.matrix.items()):
        columns = sorted({after for row in rows.values() for after in row})
        cells = [
            (code(before), *(f"{row.get(after, 0) or ''}" for after in columns)) for before, row in sorted(rows.items())
        ]
        yield f"{code(router)}\n"
        yield from _table(("", *map(code, columns)), cells)
        yield ""


def _past(report: Report, past: Sequence[Past]) -> Iterator[str]:
    yield f"#### Past traffic\n\n{replayed(report)}\n"
    if not past:
        yield "The ledger has no requests of the routers that change."
        return
    rows = []
    for router in past:
        for way in router.ways:
            share = f"{way.share:.1%}"
            rows.append((code(router.router), code(way.candidate), f"{way.requests:,}", share, of_way(way)))
        for asking in router.asking:
            cost = delta(asking.cost_before, asking.cost_after)
            rows.append(
                (code(router.router), f"designator {code(asking.designator)}", f"{asking.requests:,}", "", cost)
            )
    yield from _table(("router", "went to", "requests", "share", "cost"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
