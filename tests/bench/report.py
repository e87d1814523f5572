"""The figures as data, the targets, and the table that people read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from .machine import Resident
from .probes import Reload

_REFERENCE = {"smart": "plain", "translated": "stream"}
"""The reference case of a case that no plain proxy can serve."""
_RATIOS = (("plain", 16, 14.0), ("smart", 16, 20.0), ("stream", 1, 1.8), ("translated", 1, 5.0))
"""Case, the connections at which it is judged (the nearest that was measured, otherwise), the limit.

Streams are judged one at a time: with more of them the mock gets ahead now and then, several events arrive at once, and
the cost of one jumps by a factor of three, for nginx above all. `paced` shows the cost of events that arrive alone.
"""
_HEADINGS = (
    *("case", "server", "conns", "req/s", "µs/req", "events/s", "µs/event"),
    *("p50 ms", "p99 ms", "+p50", "+p99", "errors"),
)


@dataclass(frozen=True)
class Cell:
    """One case on one server at one number of connections. Times are CPU time of the server's processes."""

    case: str
    server: str
    connections: int
    requests_per_second: float
    cpu_us_per_request: float
    events_per_second: float
    cpu_us_per_event: float
    p50_ms: float
    p99_ms: float
    errors: int

    @property
    def cost(self) -> float:
        """CPU microseconds of what the case is about: an event of a stream, else a request."""
        return self.cpu_us_per_event or self.cpu_us_per_request

    @property
    def unit(self) -> str:
        return "event" if self.cpu_us_per_event else "request"


@dataclass(frozen=True)
class Costs:
    """What the gateway takes beside requests."""

    startup_seconds: float
    idle: Resident
    loaded: Resident
    routers: int
    validate_seconds: float
    reload: Reload


@dataclass(frozen=True)
class Verdict:
    target: str
    measured: float
    limit: float
    unit: str

    @property
    def ok(self) -> bool:
        return self.measured <= self.limit


def middle(rounds: Sequence[Cell]) -> Cell:
    """The median of each figure over rounds of the same cell; errors add up."""
    first = rounds[0]
    names = ("requests_per_second", "cpu_us_per_request", "events_per_second", "cpu_us_per_event", "p50_ms", "p99_ms")
    figures = {name: median(getattr(cell, name) for cell in rounds) for name in names}
    errors = sum(cell.errors for cell in rounds)
    return Cell(case=first.case, server=first.server, connections=first.connections, errors=errors, **figures)


def verdicts(cells: Sequence[Cell], costs: Costs) -> list[Verdict]:
    """Every target; a ratio only where both of its sides were measured."""
    ratios = []
    for case, connections, limit in _RATIOS:
        reference = _REFERENCE.get(case, case)
        ours, theirs = _judged(cells, case, "gateway", connections), _judged(cells, reference, "nginx", connections)
        if ours and theirs:
            what = f"{case} at {ours.connections}: CPU per {ours.unit}, times nginx {reference}"
            ratios.append(Verdict(what, ours.cost / theirs.cost, limit, ""))
    failed = sum(cell.errors for cell in cells if cell.server == "gateway")
    return [
        *ratios,
        Verdict("failed requests", failed, 0, ""),
        Verdict("start-up until /readyz", costs.startup_seconds, 1.5, "s"),
        Verdict("memory when ready, all processes", costs.idle.total_mib, 90, "MiB"),
        Verdict(f"validate {costs.routers:,} router files", costs.validate_seconds, 1.5, "s"),
        Verdict(f"longest request while {costs.routers:,} routers reload", costs.reload.wait_ms, 50, "ms"),
    ]


def as_data(cells: Sequence[Cell], costs: Costs) -> dict[str, Any]:
    parts = {name: getattr(costs, name)._asdict() for name in ("idle", "loaded", "reload")}
    return {
        "cells": [asdict(cell) for cell in cells],
        "costs": {**asdict(costs), **parts},
        "targets": [{**asdict(verdict), "ok": verdict.ok} for verdict in verdicts(cells, costs)],
    }


def as_text(cells: Sequence[Cell], costs: Costs) -> str:
    return "\n\n".join(
        (
            _columns(_cell_rows(cells), left=2),
            _columns(_cost_rows(costs), left=1),
            _columns(_verdict_rows(verdicts(cells, costs)), left=1),
        )
    )


def _judged(cells: Sequence[Cell], case: str, server: str, connections: int) -> Cell | None:
    rows = [cell for cell in cells if (cell.case, cell.server) == (case, server)]
    return min(rows, key=lambda cell: abs(cell.connections - connections), default=None)


def _cell_rows(cells: Sequence[Cell]) -> Iterator[list[str]]:
    yield list(_HEADINGS)
    nginx = {(cell.case, cell.connections): cell for cell in cells if cell.server == "nginx"}
    for cell in cells:
        base = nginx.get((_REFERENCE.get(cell.case, cell.case), cell.connections))
        ours = cell.server == "gateway"
        yield [
            cell.case,
            cell.server,
            str(cell.connections),
            f"{cell.requests_per_second:,.0f}",
            f"{cell.cpu_us_per_request:,.1f}",
            f"{cell.events_per_second:,.0f}" if cell.events_per_second else "",
            f"{cell.cpu_us_per_event:.2f}" if cell.cpu_us_per_event else "",
            f"{cell.p50_ms:,.2f}",
            f"{cell.p99_ms:,.2f}",
            f"{cell.p50_ms - base.p50_ms:+,.2f}" if base and ours else "",
            f"{cell.p99_ms - base.p99_ms:+,.2f}" if base and ours else "",
            str(cell.errors),
        ]


def _cost_rows(costs: Costs) -> Iterator[list[str]]:
    for when, memory in (("ready", costs.idle), ("after the load", costs.loaded)):
        yield [f"memory, {when}", f"{memory.total_mib:.1f} MiB", f"largest process {memory.largest_mib:.1f} MiB"]
    reload = costs.reload
    yield ["reload, write to effect", f"{reload.applied_ms:.0f} ms", f"{costs.routers:,} routers"]
    yield ["longest request without a reload", f"{reload.quiet_ms:.1f} ms", ""]


def _verdict_rows(found: Iterable[Verdict]) -> Iterator[list[str]]:
    yield ["target", "measured", "limit", ""]
    for verdict in found:
        measured, limit = f"{verdict.measured:.2f} {verdict.unit}".strip(), f"{verdict.limit:g} {verdict.unit}".strip()
        yield [verdict.target, measured, limit, "ok" if verdict.ok else "over"]


def _columns(rows: Iterable[Sequence[str]], left: int) -> str:
    """Aligned text: the first `left` columns to the left, the rest to the right."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if index < left else text.rjust(width)
            for index, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )
