"""The ledger by the hour: what pages about days and weeks add up, so that none of them reads a million rows.

A row of ``ledger_hours`` sums the requests of one hour (whole hours since 1970) that share a ``kind``'s columns:

- ``route``: router, candidate and decision; every request is in exactly one of these rows;
- ``day``: the same for a whole day (UTC), under its first hour;
- ``client``: ``name`` is the client's;
- ``tag``: ``name`` is the tag; a request is in as many of these rows as it has tags, without tags under the empty one.

What a kind does not use is empty, and so is what a request has none of. Sums are None where none of the requests knew
its part. Costs are whole billionths of a dollar. The sums are those of :mod:`gateway.ledger`, which explains them.
"""

from __future__ import annotations

import sqlite3

#: Seconds.
HOUR = 3600
DAY = 24 * HOUR

#: Columns that every request knows, and those where a sum may be unknown.
COUNTS = (
    "requests",
    "errors",
    "unknown",
    "unpriced",
    "designator_requests",
    "designator_unpriced",
    "first_timed",
    "total_timed",
)
SUMS = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "reasoning",
    "cost",
    "dearest_cost",
    "saving",
    "designator_input",
    "designator_output",
    "designator_cache_read",
    "designator_cache_write",
    "designator_reasoning",
    "designator_cost",
    "ttft_ms",
    "total_ms",
)

_ASKED = "designator IS NOT NULL AND designator_outcome IS NOT 'open'"
_VALUES = {
    "requests": "count(*)",
    "errors": "count(*) FILTER (WHERE ended IN ('error', 'upstream_cut'))",
    "unknown": "count(*) FILTER (WHERE ended = 'complete' AND (input IS NULL OR output IS NULL))",
    "unpriced": "count(*) FILTER ("
    "WHERE cost IS NULL AND candidate IS NOT NULL AND (ended <> 'error' OR ttft_ms IS NOT NULL))",
    "designator_requests": f"count(*) FILTER (WHERE {_ASKED})",
    "designator_unpriced": f"count(*) FILTER ("
    f"WHERE {_ASKED} AND designator_cost IS NULL AND designator_outcome IS NOT 'error')",
    "first_timed": "count(ttft_ms)",
    "total_timed": "count(total_ms)",
    "cost": "CAST(sum(round(cost * 1e9)) AS INTEGER)",
    "dearest_cost": "CAST(sum(round(dearest_cost * 1e9)) AS INTEGER)",
    "saving": "CAST(sum("
    "round(dearest_cost * 1e9) - round(cost * 1e9) - coalesce(round(designator_cost * 1e9), 0)) AS INTEGER)",
    "designator_cost": "CAST(sum(round(designator_cost * 1e9)) AS INTEGER)",
}
_HOUR = f"CAST(time / {HOUR} AS INTEGER)"
#: By kind: the hour, the other columns of the key, and where the gathered rows come from.
_ROUTE = "router, candidate, decision, ''"
_KINDS = {
    "route": ("hour", _ROUTE, "fresh"),
    "day": ("hour / 24 * 24", _ROUTE, "fresh"),
    "client": ("hour", "'', '', '', client", "fresh"),
    "tag": ("hour", "'', '', '', ifnull(tag.value, '')", "fresh LEFT JOIN json_each(fresh.tags) AS tag"),
}
_COLUMNS = (*COUNTS, *SUMS)

#: The table, and what is in the ledger already.
SCHEMA = f"""
    CREATE TABLE ledger_hours (
        kind TEXT NOT NULL,
        hour INTEGER NOT NULL,
        router TEXT NOT NULL,
        candidate TEXT NOT NULL,
        decision TEXT NOT NULL,
        name TEXT NOT NULL,
        {", ".join(f"{name} INTEGER NOT NULL" for name in COUNTS)},
        {", ".join(f"{name} {'REAL' if name.endswith('_ms') else 'INTEGER'}" for name in SUMS)},
        PRIMARY KEY (kind, hour, router, candidate, decision, name)
    ) WITHOUT ROWID;
"""


#: New rows are read once and summed by all that any kind goes by: mostly a few sums are left for the kinds to fold.
_TEMPORARY = f"""
    CREATE TEMP TABLE IF NOT EXISTS fresh (hour, router, candidate, decision, client, tags, {", ".join(_COLUMNS)})
"""
_CLEAR = "DELETE FROM fresh"
_GATHER = f"""
    INSERT INTO fresh
    SELECT {_HOUR}, ifnull(router, ''), ifnull(candidate, ''), ifnull(decision, ''), ifnull(client, ''), tags,
        {", ".join(_VALUES.get(column, f"sum({column})") for column in _COLUMNS)}
    FROM ledger WHERE id > {{after}} GROUP BY 1, 2, 3, 4, 5, 6
"""


def _fold(kind: str) -> str:
    hour, key, source = _KINDS[kind]
    added = [f"{column} = {column} + excluded.{column}" for column in COUNTS]
    # An unknown part adds nothing to a known one, and does not make it unknown.
    added += [f"{name} = coalesce({name} + excluded.{name}, {name}, excluded.{name})" for name in SUMS]
    return f"""
        INSERT INTO ledger_hours (kind, hour, router, candidate, decision, name, {", ".join(_COLUMNS)})
        SELECT '{kind}', {hour}, {key}, {", ".join(f"sum(fresh.{column})" for column in _COLUMNS)}
        FROM {source} WHERE true GROUP BY 2, 3, 4, 5, 6
        ON CONFLICT DO UPDATE SET {", ".join(added)}
    """


_FOLDS = tuple(_fold(kind) for kind in _KINDS)
#: Brings the hours up to a ledger that was written before there were any.
BEGIN = ";".join((_TEMPORARY, _GATHER.format(after=0), *_FOLDS, _CLEAR)) + ";"
_FORGET = "DELETE FROM ledger_hours WHERE kind = ? AND hour < ?"


def last(connection: sqlite3.Connection) -> int:
    """The id of the ledger's latest row: what comes next is to be folded."""
    found: int = connection.execute("SELECT ifnull(max(id), 0) FROM ledger").fetchone()[0]
    return found


def fold(connection: sqlite3.Connection, after: int) -> None:
    """Add the ledger's rows after the one with that id, in the transaction that wrote them."""
    connection.execute(_TEMPORARY)
    connection.execute(_GATHER.format(after=int(after)))
    for statement in _FOLDS:
        connection.execute(statement)
    connection.execute(_CLEAR)


def forget(connection: sqlite3.Connection, before: float) -> None:
    """Delete what had ended at that time."""
    for kind in _KINDS:
        span = DAY if kind == "day" else HOUR
        connection.execute(_FORGET, (kind, int(before // span * span // HOUR)))
