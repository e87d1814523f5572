"""Assessments and refreshes, for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TextIO

from gateway.intelligence.assessment import LONGEST, PARTS, Assessments, Statement, clean, spell
from gateway.intelligence.refresh import Result

#: Characters of a source's line.
_LINE = 2_000


class Progress:
    """One line that changes on a terminal; elsewhere, as in a cron job's log, a line for each candidate."""

    def __init__(self, out: TextIO, total: int) -> None:
        self._out = out
        self._total = total
        self._done = 0
        self._terminal = out.isatty()

    def told(self, result: Result) -> None:
        """One candidate is done."""
        self._done += 1
        line = f"[{self._done}/{self._total}] {result.task.router.name} {result.task.candidate.id}: {result.outcome}"
        if self._terminal:
            self._out.write(f"\r\x1b[K{line[:100]}")
        else:
            self._out.write(f"{line}, {result.note}\n")
        self._out.flush()

    def end(self) -> None:
        """Nothing more comes."""
        if self._terminal and self._done:
            self._out.write("\r\x1b[K")


def table(results: Sequence[Result]) -> str:
    """What came of a refresh, and what it cost."""
    rows = [("router", "candidate", "outcome", "sources", "cost", "note")]
    for result in results:
        sources = str(result.sources) if result.outcome == "written" else ""
        paid = "" if result.cost == 0 else _usd(result.cost)
        rows.append((result.task.router.name, result.task.candidate.id, result.outcome, sources, paid, result.note))
    counted = ", ".join(
        f"{count} {outcome}"
        for outcome in ("written", "kept", "failed", "would ask")
        if (count := sum(result.outcome == outcome for result in results))
    )
    known = math.fsum(result.cost for result in results if result.cost is not None)
    unknown = sum(result.cost is None for result in results)
    more = f" and {unknown} of unknown cost" if unknown else ""
    return f"{_columns(rows)}\n{counted}; the summaries cost {_usd(known)}{more}\n"


def render(assessments: Assessments, *, now: float) -> str:
    """Assessments with their sources and age."""
    if not assessments:
        return "no assessments; llm-relay intelligence refresh makes them\n"
    lines = []
    for each in assessments.values():
        left = each.expires - now
        state = f"expires in {spell(left)}" if left > 0 else "expired, not used any more"
        lines.append(
            f"{each.router}  {each.candidate}  {each.confidence} confidence, {spell(now - each.generated)} old, {state}"
        )
        lines.append(f"  {_cited(each.assessment)}")
        for part in PARTS:
            statements: tuple[Statement, ...] = getattr(each, part)
            if statements:
                lines.append(f"  {part.replace('_', ' ')}:")
                lines += (f"    - {_cited(statement)}" for statement in statements)
        lines.append(f"  sources, summed up by {each.summarizer} at {each.generated_at}:")
        for number, source in enumerate(each.sources, 1):
            dated = f" ({source.date})" if source.date else ""
            # Files are anybody's: what they say is data, on a terminal too.
            lines.append(f"    [{number}] {clean(f'{source.title or source.url}{dated} {source.url}', _LINE)}")
        lines.append("")
    return "\n".join(lines)


def _cited(statement: Statement) -> str:
    return clean(statement.text, LONGEST) + " " + "".join(f"[{index + 1}]" for index in statement.sources)


def _usd(cost: float | None) -> str:
    return "unknown" if cost is None else f"${cost:.4f}"


def _columns(rows: Iterable[tuple[str, ...]]) -> str:
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )
