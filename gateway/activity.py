"""What the ledger tells to somebody who looks: sums of the last hours and days, and single requests.

Everything here takes milliseconds however long the ledger is: sums come from :mod:`gateway.rollup`'s hours, and lists
look at a bounded number of rows. It blocks, so it belongs in a thread.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from gateway.database import DatabaseNewer, open_readonly
from gateway.ledger import By, Entry, LedgerUnreadable, Sum, decoded
from gateway.rollup import COUNTS, HOUR, SUMS

Measure = Literal["requests", "cost", "tokens"]
#: How an answer ended, as a reader asks for it.
Ending = Literal["answered", "failed", "left"]

#: Rows that a list looks at before it asks whether to look further.
SCAN = 10_000
#: SQLite's steps between two looks at the clock, and the seconds after which a reading is given up.
_STEPS = 100_000
_PATIENCE = 5.0

_COLUMNS = Entry.__struct_fields__
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)
_SUMS = """
    sum(requests), sum(errors), sum(input), sum(output), sum(cache_read), sum(cache_write), sum(reasoning),
    sum(cost) / 1e9, sum(dearest_cost) / 1e9, sum(saving) / 1e9, sum(unknown), sum(unpriced),
    sum(designator_requests), sum(designator_input), sum(designator_output),
    sum(designator_cache_read), sum(designator_cache_write), sum(designator_reasoning),
    sum(designator_cost) / 1e9, sum(designator_unpriced),
    sum(ttft_ms) / sum(first_timed), sum(total_ms) / sum(total_timed)
"""
#: Sums that can be summed up again as above.
_PARTS = ", ".join(f"sum({name}) AS {name}" for name in (*COUNTS, *SUMS))
_WITHIN = "kind = ?1 AND hour >= ?2"
#: The kind of row that a grouping reads (empty: the span's grain), its key, and the column that this is made from.
_KEYS: dict[By, tuple[str, str, str]] = {
    "router": ("", "nullif(router, '')", ", router"),
    "candidate": ("", "nullif(candidate, '')", ", candidate"),
    "client": ("client", "nullif(name, '')", ", name"),
    "tag": ("tag", "nullif(name, '')", ", name"),
    "day": ("", f"strftime('%Y-%m-%d', hour * {HOUR}, 'unixepoch')", ""),
}
_MEASURES: dict[Measure, str] = {
    "requests": "sum(requests)",
    "cost": "ifnull(sum(cost), 0) / 1e9",
    "tokens": "ifnull(sum(input), 0) + ifnull(sum(output), 0)",
}
_ENDINGS: dict[Ending, str] = {
    "answered": "ended = 'complete'",
    "failed": "ended IN ('error', 'upstream_cut')",
    "left": "ended = 'client_left'",
}


#: The sums over no requests.
NOTHING = Sum(None, 0, 0, *(None,) * 8, 0, 0, 0, *(None,) * 6, 0, None, None)


class Filter(msgspec.Struct, frozen=True):
    """Which requests a list shows; None leaves a field open, an empty text means requests without one."""

    router: str | None = None
    candidate: str | None = None
    decision: str | None = None
    client: str | None = None
    ending: Ending | None = None


class Row(msgspec.Struct, frozen=True):
    """One request with its number in the ledger."""

    id: int
    entry: Entry


class Listing(msgspec.Struct, frozen=True):
    """Requests, newest first."""

    rows: tuple[Row, ...]
    #: Where to go on: the number before which older requests come; None where there are none.
    older: int | None
    #: Whether the list ends because enough rows were looked at, not because it is full.
    cut: bool


class Span(msgspec.Struct, frozen=True):
    """A time to look at, up to now; cut into bars of equal width."""

    #: The first hour, counted from 1970; where ``daily``, the first of a day (UTC).
    since: int
    #: Hours of a bar.
    width: int
    #: Sums may be taken over days.
    daily: bool = False

    @property
    def grain(self) -> str:
        """The kind of row that knows which way requests went."""
        return "day" if self.daily else "route"

    @property
    def finest(self) -> str:
        """The same, where bars are to be told apart."""
        return "day" if self.daily and self.width % 24 == 0 else "route"


class Route(msgspec.Struct, frozen=True):
    """How many of a router's requests went to a candidate for one reason; empty texts for direct requests."""

    router: str
    candidate: str
    decision: str
    requests: int


class Activity:
    """One moment of the ledger."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def account(self, by: By, span: Span) -> tuple[list[Sum], Sum]:
        """:meth:`sums` and :meth:`total`, at little more than the price of the first."""
        if by == "tag":
            # A request has several, and counts once.
            return self.sums(by, span), self.total(span)
        kind, _, _ = _KEYS[by]
        statement = f"{_summed(by)} UNION ALL SELECT TRUE, NULL, {_SUMS} FROM part ORDER BY 1, 2"
        *groups, (_, _, count, *rest) = self._all(statement, kind or span.grain, span.since)
        return [Sum(*group[1:]) for group in groups], Sum(None, count, *rest) if count else NOTHING

    def total(self, span: Span) -> Sum:
        """The sums over all requests, each counted once; its key is None."""
        ((count, *rest),) = self._all(f"SELECT {_SUMS} FROM ledger_hours WHERE {_WITHIN}", span.grain, span.since)
        return Sum(None, count, *rest) if count else NOTHING

    def sums(self, by: By, span: Span) -> list[Sum]:
        """As :func:`gateway.ledger.summary`, of whole hours."""
        kind, _, _ = _KEYS[by]
        rows = self._all(f"{_summed(by)} ORDER BY 2", kind or span.grain, span.since)
        return [Sum(*row[1:]) for row in rows]

    def series(self, by: By, measure: Measure, span: Span) -> list[tuple[int, str | None, float]]:
        """Bar, key, value; only where there is something."""
        kind, key, column = _KEYS[by]
        beside = f"hour{column}"
        part = f"SELECT {beside}, {_MEASURES[measure]} AS value FROM ledger_hours WHERE {_WITHIN} GROUP BY {beside}"
        statement = f"SELECT (hour - ?2) / ?3, {key}, sum(value) FROM ({part}) GROUP BY 1, 2 ORDER BY 1, 2"
        return self._all(statement, kind or span.finest, span.since, span.width)

    def bars(self, span: Span, router: str | None = None) -> list[tuple[int, int, int]]:
        """Bar, requests, and errors among them; of all requests or of one router's."""
        statement = f"""
            SELECT (hour - ?2) / ?3, sum(requests), sum(errors) FROM ledger_hours
            WHERE {_WITHIN} AND (?4 IS NULL OR router = ?4) GROUP BY 1 ORDER BY 1
        """
        return self._all(statement, span.finest, span.since, span.width, router)

    def routes(self, span: Span) -> list[Route]:
        """Which way the requests went, and why; the most frequent first."""
        statement = f"""
            SELECT router, candidate, decision, sum(requests) FROM ledger_hours WHERE {_WITHIN}
            GROUP BY 1, 2, 3 ORDER BY 4 DESC
        """
        return [Route(*row) for row in self._all(statement, span.grain, span.since)]

    def durations(self, latest: int) -> tuple[list[float], list[float]]:
        """Milliseconds until the first content and until the end, of the latest requests; each in order."""
        rows = self._all("SELECT ttft_ms, total_ms FROM ledger ORDER BY time DESC LIMIT ?", latest)
        first = sorted(ttft for ttft, _ in rows if ttft is not None)
        return first, sorted(total for _, total in rows if total is not None)

    def entries(self, wanted: Filter, *, limit: int, before: int | None = None) -> Listing:
        """The latest requests, of those before number ``before``, that a filter lets through."""
        conditions, values = _conditions(wanted)
        # In the order of writing: that of the end of requests, which is what a live list should show first anyway.
        source = f"SELECT * FROM ledger WHERE id < ? ORDER BY id DESC LIMIT {SCAN}"
        start = 1 << 62 if before is None else before
        rows = self._all(f"SELECT id, {_NAMES} FROM ({source}) WHERE {conditions} LIMIT ?", start, *values, limit + 1)
        found = tuple(Row(row[0], decoded(row[1:])) for row in rows[:limit])
        if len(rows) > limit:
            return Listing(found, found[-1].id, False)
        ((last, looked),) = self._all(f"SELECT min(id), count(*) FROM ({source.replace('*', 'id')})", start)
        return Listing(found, last if looked == SCAN else None, looked == SCAN)

    def entry(self, id: int) -> Row | None:
        """One request by its number."""
        rows = self._all(f"SELECT id, {_NAMES} FROM ledger WHERE id = ?", id)
        return Row(rows[0][0], decoded(rows[0][1:])) if rows else None

    def number(self, request_id: str) -> int | None:
        """The number of the request with that ``X-Request-Id``."""
        rows = self._all("SELECT id FROM ledger WHERE request_id = ? LIMIT 1", request_id)
        return rows[0][0] if rows else None

    def _all(self, statement: str, *values: object) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()


@contextmanager
def looking(path: Path) -> Iterator[Activity]:
    """The ledger in the store's file at ``path`` as it is at this moment. Raises LedgerUnreadable."""
    if not path.is_file():
        raise LedgerUnreadable(f"{path.name} is not there yet: nothing was asked so far")
    deadline = time.monotonic() + _PATIENCE
    try:
        with closing(open_readonly(path)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
            # One transaction: all that a page shows is of one moment.
            connection.execute("BEGIN")
            yield Activity(connection)
    except (sqlite3.Error, DatabaseNewer) as error:
        raise LedgerUnreadable(f"{path.name}: {error}") from error


def _summed(by: By) -> str:
    """FALSE, key and sums of ``part``, in which each hour is summed up first: that needs no sorting of wide rows."""
    kind, key, column = _KEYS[by]
    # Of these kinds an hour has one row for each name: nothing to sum up.
    beside = column.removeprefix(", ") if kind else f"hour{column}"
    part = f"SELECT {beside}, {_PARTS} FROM ledger_hours WHERE {_WITHIN} GROUP BY {beside}"
    return f"WITH part AS MATERIALIZED ({part}) SELECT FALSE, {key}, {_SUMS} FROM part GROUP BY 2"


def _conditions(wanted: Filter) -> tuple[str, list[str]]:
    conditions, values = ["TRUE"], []
    for name in ("router", "candidate", "decision", "client"):
        value: str | None = getattr(wanted, name)
        if value is not None:
            conditions.append(f"ifnull({name}, '') = ?")
            values.append(value)
    if wanted.ending is not None:
        conditions.append(_ENDINGS[wanted.ending])
    return " AND ".join(conditions), values
