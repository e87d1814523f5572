"""The ledger's sums as a table for people, or as JSON or CSV for machines."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import msgspec

from gateway.ledger import Sum

_HEADS = {
    "requests": "requests",
    "errors": "errors",
    "input": "tokens in",
    "output": "tokens out",
    "designator_requests": "decisions",
    "designator_input": "designator in",
    "designator_output": "designator out",
    "ttft_ms": "first ms",
    "total_ms": "total ms",
}


def render(sums: Sequence[Sum], *, by: str, style: str) -> str:
    """``style`` is ``text``, ``json`` or ``csv``. What nobody knows is ``-`` for people, null or empty for machines."""
    if style == "json":
        return msgspec.json.format(msgspec.json.encode(sums)).decode() + "\n"
    if style == "csv":
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow((by, *Sum.__struct_fields__[1:]))
        writer.writerows(msgspec.structs.astuple(one) for one in sums)
        return out.getvalue()
    if not sums:
        return "nothing was asked in that time\n"
    rows = [(by, *_HEADS.values())]
    rows += [(one.key or "-", *(_cell(getattr(one, field)) for field in _HEADS)) for one in sums]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
