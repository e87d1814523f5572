"""A plan for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gateway.config.diff import Change
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

#: Columns of a field's name before the values begin anyway.
_WIDEST = 44
#: Characters of two values that fit on one line.
_LONG = 64


def render(report: Report) -> str:
    """The whole plan, in lines."""
    before, after = names(report)
    lines = [f"plan: {before} → {after}", f"  {headline(report)}"]
    for kind in KINDS:
        for item in items(report.plan, kind):
            lines += ["", f"{SIGNS[item.kind]} {kind[:-1]} {item.name}", *_changes(changes(report, kind, item))]
    if report.plan.gateway:
        lines += ["", "~ gateway", *_changes(report.plan.gateway)]
    if report.plan.sessions:
        lines += ["", "sessions"]
        lines += (f"  {each.router}: {what}" for each in report.plan.sessions for what in of_sessions(each))
    if report.notes:
        lines += ["", "notes", *(f"  {note}" for note in report.notes)]
    if report.moves is not None:
        lines += ["", *_moves(report, report.moves)]
    if report.past is not None:
        lines += ["", *_past(report, report.past)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _changes(found: Sequence[Change]) -> Iterator[str]:
    width = min(max((len(change.path) for change in found), default=0), _WIDEST)
    for change in found:
        first, *rest = _value(change)
        yield f"    {SIGNS[change.kind]} {change.path.ljust(width)}  {first}"
        yield from (f"        {line}" for line in rest)


def _value(change: Change) -> list[str]:
    """A change of values in one line, or long ones below each other."""
    if is_key(change):
        return [change.kind]
    before, after = _line(change.before) or "(empty)", _line(change.after) or "(empty)"
    match change.kind:
        case "added":
            return [after]
        case "removed":
            return [before]
        case "changed" if len(before) + len(after) > _LONG:
            return ["", f"- {before}", f"+ {after}"]
        case "changed":
            return [f"{before} → {after}"]
        case "reordered":
            return [f"in another order: {after}"]


def _moves(report: Report, moves: Moves) -> Iterator[str]:
    yield f"who moves, of {of_moves(report, moves)}"
    yield from (f"  {covered}" for covered in coverage(report))
    for flow in moves.flows:
        yield f"  {flow.router}: {flow.before} → {flow.after}  {counted(flow.requests, 'request')}"
        yield from (f"      {example}" for example in flow.examples)
    for router, rows in moves.matrix.items():
        if any(before != after for before, row in rows.items() for after in row):
            yield from ("", f"  {router}: rows are before, columns after", *_matrix(rows))
    yield from (f"  {cost}" for cost in costs(moves))
    yield from (f"  {remark}" for remark in remarks(report, moves))


def _matrix(rows: dict[str, dict[str, int]]) -> Iterator[str]:
    columns = sorted({after for row in rows.values() for after in row})
    table = [["", *columns]]
    table += [[before, *(f"{row.get(after, 0) or '·'}" for after in columns)] for before, row in sorted(rows.items())]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        yield f"    {first.strip().ljust(widths[0])}  {'  '.join(rest)}"


def _past(report: Report, past: Iterable[Past]) -> Iterator[str]:
    yield "past traffic"
    yield f"  {replayed(report)}"
    past = tuple(past)
    if not past:
        yield "  The ledger has no requests of the routers that change."
    for router in past:
        yield f"  {router.router}: {counted(router.requests, 'request')}"
        for way in router.ways:
            decisions = ", ".join(f"{count:,} {decision}" for decision, count in sorted(way.decisions.items()))
            yield f"    {way.share:6.1%}  {way.candidate}  {counted(way.requests, 'request')} ({decisions})"
            yield f"            {of_way(way)}"
        for asking in router.asking:
            cost = delta(asking.cost_before, asking.cost_after)
            yield f"    designator {asking.designator}  {counted(asking.requests, 'decision')}  {cost}"


def _line(text: str) -> str:
    return " ".join(text.split())
