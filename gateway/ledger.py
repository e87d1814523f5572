"""The ledger: one row per request, never a prompt, and the sums over it that ``llm-relay usage`` shows.

The gateway writes through :class:`Ledger`; :func:`rows`, :func:`summary`, :func:`account` and :func:`traffic` read the
file from any other process (or thread) over a connection of their own that cannot write.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from gateway import rollup
from gateway.database import DatabaseNewer, open_readonly
from gateway.store import Lane, Store

#: How a request's answer ended: whole, left by the client, cut by the provider after it had begun, or not at all.
Ended = Literal["complete", "client_left", "upstream_cut", "error"]
#: What came of asking the designator; ``open`` means that its breaker was open and it was not asked.
Outcome = Literal["designated", "timeout", "error", "invalid", "none", "open"]
By = Literal["router", "candidate", "tag", "client", "day"]

#: Rows that wait for the disk, about 500 bytes each; then the oldest are dropped (and counted by the lane).
_WAITING = 100_000
#: Characters kept of a text that a provider wrote.
_FOREIGN_TEXT = 200
_PRUNE_EVERY = 60.0
_PRUNE_ROWS = 5000


class Entry(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """One request. None means *unknown* or *none*, never zero; models are ids (``provider/model``)."""

    #: Arrival, in seconds since 1970.
    time: float
    request_id: str
    dialect: str
    #: The client's name in the configuration; empty or None where the gateway is open.
    client: str | None = None
    #: Tags of the router, the client and the request.
    tags: tuple[str, ...] = ()
    #: None for a model that was asked for directly, and for a request that failed before its router was known.
    router: str | None = None
    revision: str | None = None
    commit: str | None = None
    decision: str | None = None
    #: Who answered, or was the last to be tried.
    candidate: str | None = None
    #: What the provider calls the model that answered.
    provider_model: str | None = None
    #: The candidate that failed first, where another one answered.
    failover_from: str | None = None
    #: Who was asked to choose, if this request did ask.
    designator: str | None = None
    designator_outcome: Outcome | None = None
    designator_ms: float | None = None
    #: Tokens as in :class:`gateway.chat.Usage`: cached ones are part of the input, reasoning is part of the output.
    designator_input: int | None = None
    designator_output: int | None = None
    designator_cache_read: int | None = None
    designator_cache_write: int | None = None
    designator_reasoning: int | None = None
    #: USD, as every cost here; see :mod:`gateway.costs`.
    designator_cost: float | None = None
    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    cost: float | None = None
    #: What the same tokens would have cost on the router's dearest candidate; known only where ``cost`` is.
    dearest_cost: float | None = None
    ttft_ms: float | None = None
    total_ms: float | None = None
    #: The gateway's own share of ``total_ms``.
    relay_ms: float | None = None
    #: The HTTP status that the client got; 499 where it left before the end, 0 where none was sent.
    status: int = 0
    #: The error's code, where there was one.
    code: str | None = None
    stream: bool = False
    ended: Ended = "complete"
    #: The W3C trace that it belongs to: 32 hex digits.
    trace_id: str | None = None


class Sum(msgspec.Struct, frozen=True):
    """What the requests of one group add up to. A sum is None where none of them knew its part."""

    #: The router's, candidate's, tag's or client's name, or the day (UTC, ``2026-01-31``); None for requests without.
    key: str | None
    requests: int
    #: Those that ended otherwise than complete for another reason than the client's leaving.
    errors: int
    input: int | None
    output: int | None
    cache_read: int | None
    cache_write: int | None
    reasoning: int | None
    #: USD. Sums are exact, in billionths.
    cost: float | None
    #: What the requests of routers whose candidates are all priced would have cost on the dearest of them.
    dearest_cost: float | None
    #: How much less those requests did cost, their designators included.
    saving: float | None
    #: Requests that were answered without saying how many tokens that took: the sums are short by these.
    unknown: int
    #: Requests that were answered, in whole or in part, at an unknown cost.
    unpriced: int
    #: Requests for which a designator was asked, and what that took: never part of the sums above.
    designator_requests: int
    designator_input: int | None
    designator_output: int | None
    designator_cache_read: int | None
    designator_cache_write: int | None
    designator_reasoning: int | None
    designator_cost: float | None
    #: Requests for which a designator was asked at an unknown cost; a provider that failed asks nothing for that.
    designator_unpriced: int
    #: Means, in milliseconds.
    ttft_ms: float | None
    total_ms: float | None


class Traffic(msgspec.Struct, frozen=True):
    """Requests of one router that went the same way. A sum is None where none of them knew its part."""

    router: str
    candidate: str
    decision: str | None
    #: Who was asked to choose; None where nobody was.
    designator: str | None
    requests: int
    input: int | None
    output: int | None
    cache_read: int | None
    cache_write: int | None
    designator_input: int | None
    designator_output: int | None


class LedgerUnreadable(Exception):
    """There is no ledger at that path, or none that can be read now; says why."""


_COLUMNS = Entry.__struct_fields__
_TAGS = _COLUMNS.index("tags")
_PROVIDER_MODEL = _COLUMNS.index("provider_model")
_CODE = _COLUMNS.index("code")
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)

_INSERT = f"INSERT INTO ledger ({_NAMES}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_PRUNE = "DELETE FROM ledger WHERE id IN (SELECT id FROM ledger WHERE time < ? LIMIT ?)"
_ROWS = f"SELECT {_NAMES} FROM ledger WHERE time >= ? ORDER BY time DESC, id DESC LIMIT ?"
# Costs are whole billionths of a dollar, and floats count whole numbers exactly: the sums do not depend on any order.
_SUMMARY = """
    SELECT {key} AS key, count(*), count(*) FILTER (WHERE ended IN ('error', 'upstream_cut')),
        sum(input), sum(output), sum(cache_read), sum(cache_write), sum(reasoning),
        sum(round(cost * 1e9)) / 1e9, sum(round(dearest_cost * 1e9)) / 1e9,
        sum(round(dearest_cost * 1e9) - round(cost * 1e9) - coalesce(round(designator_cost * 1e9), 0)) / 1e9,
        count(*) FILTER (WHERE ended = 'complete' AND (input IS NULL OR output IS NULL)),
        count(*) FILTER (
            WHERE cost IS NULL AND candidate IS NOT NULL AND (ended <> 'error' OR ttft_ms IS NOT NULL)
        ),
        count(*) FILTER (WHERE {asked}),
        sum(designator_input), sum(designator_output),
        sum(designator_cache_read), sum(designator_cache_write), sum(designator_reasoning),
        sum(round(designator_cost * 1e9)) / 1e9,
        count(*) FILTER (WHERE {asked} AND designator_cost IS NULL AND designator_outcome IS NOT 'error'),
        avg(ttft_ms), avg(total_ms)
    FROM {source} WHERE time >= ? {group}
"""
_ASKED = "designator IS NOT NULL AND designator_outcome IS NOT 'open'"
_TRAFFIC = """
    SELECT router, candidate, decision, CASE WHEN designator_outcome IS NOT 'open' THEN designator END, count(*),
        sum(input), sum(output), sum(cache_read), sum(cache_write), sum(designator_input), sum(designator_output)
    FROM ledger WHERE time >= ? AND router IS NOT NULL AND candidate IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
_KEYS: dict[By, tuple[str, str]] = {
    "router": ("router", "ledger"),
    "candidate": ("candidate", "ledger"),
    "client": ("nullif(client, '')", "ledger"),
    "day": ("strftime('%Y-%m-%d', time, 'unixepoch')", "ledger"),
    "tag": ("tag.value", "ledger LEFT JOIN json_each(ledger.tags) AS tag"),
}


class Ledger:
    """The writing side. Rows older than ``keep`` seconds are deleted; ``clock`` gives seconds since 1970."""

    def __init__(self, store: Store, *, keep: float, clock: Callable[[], float] = time.time) -> None:
        #: May change at any time; the store's thread looks at it.
        self.keep = keep
        self._clock = clock
        self._lane: Lane[Entry] = store.lane(_write, _WAITING)
        store.every(_PRUNE_EVERY, self.prune)

    @property
    def dropped(self) -> int:
        """Entries lost since the start, because the disk was stuck for too long."""
        return self._lane.dropped

    def add(self, entry: Entry) -> None:
        """Queues an entry, which must not change from now on."""
        self._lane.add(entry)

    def prune(self, connection: sqlite3.Connection) -> bool:
        """Deletes some of what is too old; True if there may be more. In the store's thread."""
        cutoff = self._clock() - self.keep
        deleted = connection.execute(_PRUNE, (cutoff, _PRUNE_ROWS)).rowcount
        rollup.forget(connection, cutoff)
        return deleted == _PRUNE_ROWS


def rows(path: Path, *, since: float = 0.0, limit: int = 100) -> list[Entry]:
    """The latest entries of the store's file at ``path``, newest first. Raises LedgerUnreadable."""
    found = _select(path, _ROWS, (since, limit))
    return [decoded(row) for row in found]


def summary(path: Path, *, by: By, since: float = 0.0) -> list[Sum]:
    """Sums by key, in the key's order. Raises LedgerUnreadable.

    A request with several tags counts under each of them. Designator usage stands beside what it led to: by
    candidate, it is what choosing that candidate took.
    """
    return [Sum(*row) for row in _select(path, _summary(by), (since,))]


def account(path: Path, *, by: By, since: float = 0.0) -> tuple[list[Sum], Sum]:
    """What :func:`summary` says, and the sums over all requests (its key is None), of one moment."""
    groups, (total,) = _select_all(path, (_summary(by), _summary(None)), (since,))
    return [Sum(*row) for row in groups], Sum(*total)


def _summary(by: By | None) -> str:
    key, source = ("NULL", "ledger") if by is None else _KEYS[by]
    group = "" if by is None else "GROUP BY 1 ORDER BY 1"
    return _SUMMARY.format(key=key, source=source, group=group, asked=_ASKED)


def traffic(path: Path, *, since: float = 0.0) -> list[Traffic]:
    """Which way the requests of all routers went, in the order of names. Raises LedgerUnreadable."""
    return [Traffic(*row) for row in _select(path, _TRAFFIC, (since,))]


def _select(path: Path, statement: str, values: tuple[float, ...]) -> list[tuple[Any, ...]]:
    return _select_all(path, (statement,), values)[0]


def _select_all(path: Path, statements: Sequence[str], values: tuple[float, ...]) -> list[list[tuple[Any, ...]]]:
    with reading(path) as connection:
        # One transaction: all statements see the same rows.
        connection.execute("BEGIN")
        return [connection.execute(statement, values).fetchall() for statement in statements]


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to the store's file at ``path`` that cannot write. Raises LedgerUnreadable, for its failures too."""
    if not path.is_file():
        raise LedgerUnreadable(f"{path}: no such file")
    try:
        with closing(open_readonly(path)) as connection:
            yield connection
    except (sqlite3.Error, DatabaseNewer) as error:
        raise LedgerUnreadable(f"{path}: {error}") from error


def _write(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    after = rollup.last(connection)
    connection.executemany(_INSERT, map(_row, entries))
    rollup.fold(connection, after)


def _row(entry: Entry) -> list[Any]:
    row = list(msgspec.structs.astuple(entry))
    row[_TAGS] = msgspec.json.encode(tuple(dict.fromkeys(entry.tags))).decode()
    for index in (_PROVIDER_MODEL, _CODE):
        if row[index]:
            row[index] = row[index][:_FOREIGN_TEXT]
    return row


def decoded(row: tuple[Any, ...]) -> Entry:
    """An entry from a row of the ledger that has the columns in the order of its fields."""
    values = dict(zip(_COLUMNS, row, strict=True))
    values["tags"] = msgspec.json.decode(values["tags"], type=tuple[str, ...])
    values["stream"] = bool(values["stream"])
    return Entry(**values)
