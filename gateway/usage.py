"""The ledger's sums as a table for people, or as JSON or CSV for machines."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from gateway.ledger import Sum
from gateway.wire.text import visible

#: Digits of the smallest amount of a column that are shown, and the most behind the point: billionths are exact.
_DIGITS = 3
_MOST_DECIMALS = 9


class _Column(NamedTuple):
    field: str
    head: str
    money: bool = False


_COLUMNS = (
    _Column("requests", "requests"),
    _Column("errors", "errors"),
    _Column("input", "tokens in"),
    _Column("cache_read", "cached"),
    _Column("output", "tokens out"),
    _Column("cost", "cost $", money=True),
    _Column("saving", "saved $", money=True),
    _Column("designator_requests", "decisions"),
    _Column("designator_input", "designator in"),
    _Column("designator_output", "designator out"),
    _Column("designator_cost", "designator $", money=True),
    _Column("ttft_ms", "first ms"),
    _Column("total_ms", "total ms"),
)


class Report(msgspec.Struct):
    """What is rendered. ``total`` counts every request once, however many tags it has."""

    by: str
    #: Seconds since 1970.
    since: float
    groups: Sequence[Sum]
    total: Sum


def render(report: Report, *, style: str) -> str:
    """``style`` is ``text``, ``json`` or ``csv``. What nobody knows is ``-`` for people, null or empty for machines.

    CSV has no totals, which a spreadsheet would add to the rest.
    """
    if style == "json":
        return msgspec.json.format(msgspec.json.encode(report)).decode() + "\n"
    if style == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow((report.by, *Sum.__struct_fields__[1:]))
        writer.writerows(map(_fields, report.groups))
        return out.getvalue()
    if not report.groups:
        return "nothing was asked in that time\n"
    return _table(report) + "".join(f"{note}\n" for note in _notes(report))


def _fields(one: Sum) -> list[str | int | float | None]:
    """A line of CSV; costs without an exponent, which not every spreadsheet reads."""
    values = msgspec.structs.asdict(one)
    for name in ("cost", "dearest_cost", "saving", "designator_cost"):
        if values[name] is not None:
            values[name] = _money(values[name], _MOST_DECIMALS).replace(",", "")
    return list(values.values())


def _table(report: Report) -> str:
    lines = (*report.groups, report.total)
    # Clients choose some names, and a terminal does what it is told.
    names = [report.by, *(visible(one.key or "-") for one in report.groups), "total"]
    columns = [[column.head, *_cells([getattr(one, column.field) for one in lines], column)] for column in _COLUMNS]
    width = max(map(len, names))
    widths = [max(map(len, column)) for column in columns]
    rows = []
    for name, *cells in zip(names, *columns, strict=True):
        padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        rows.append("  ".join((name.ljust(width), *padded)).rstrip())
    return "\n".join(rows) + "\n"


def _cells(values: list[float | None], column: _Column) -> list[str]:
    decimals = _decimals(values) if column.money else 0
    return ["-" if value is None else _money(value, decimals) for value in values]


def _decimals(values: Iterable[float | None]) -> int:
    """As many as the smallest amount needs."""
    smallest = min((abs(value) for value in values if value), default=1.0)
    return min(max(2, _DIGITS - 1 - math.floor(math.log10(smallest))), _MOST_DECIMALS)


def _money(value: float, decimals: int) -> str:
    return f"{value:,.{decimals}f}"


def _notes(report: Report) -> Iterable[str]:
    total = report.total
    if report.by == "tag" and sum(one.requests for one in report.groups) > total.requests:
        yield "a request with several tags counts under each of them, and once in the total"
    if total.unpriced:
        yield f"{_requests(total.unpriced)} cost an unknown amount: the tokens or the model's price are not known"
    if total.designator_unpriced:
        yield f"deciding {_requests(total.designator_unpriced)} cost an unknown amount"


def _requests(count: int) -> str:
    return f"{count:,} request" if count == 1 else f"{count:,} requests"
