"""What pages read: the same sums as the ledger itself has, from the hours, and lists that end."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from gateway.activity import SCAN, Filter, Span, looking
from gateway.database import MIGRATIONS, open_database
from gateway.ledger import By, Entry, Ledger, LedgerUnreadable, account
from gateway.store import Store
from tests.state.conftest import Clock, OpenStore

#: The beginning of a day.
DAY = 1_800_057_600
EVER = Span(0, 24, daily=True)


def entries(count: int, *, seed: int = 1) -> list[Entry]:
    """Requests of three days in which everything occurs, known and unknown."""
    chance = random.Random(seed)

    def maybe(value: float | None) -> float | None:
        return value if chance.random() < 0.7 else None

    found = []
    for number in range(count):
        price = maybe(chance.randrange(1, 10_000_000) / 1e9)
        outcome = chance.choice([None, "designated", "timeout", "error", "open"])
        found.append(
            Entry(
                time=DAY + chance.random() * 3 * 86400,
                request_id=f"{number:024x}",
                dialect="openai",
                client=chance.choice([None, "", "team"]),
                tags=tuple(chance.sample(["red", "green", "blue"], chance.randrange(4))),
                router=chance.choice([None, "smart", "plain"]),
                candidate=chance.choice([None, "p/a", "p/b"]),
                decision=chance.choice([None, "designated", "fallback_error"]),
                designator=None if outcome is None else "p/d",
                designator_outcome=outcome,  # type: ignore[arg-type]
                designator_input=None if outcome is None else 7,
                designator_cost=None if outcome is None else maybe(chance.randrange(1000) / 1e9),
                input=chance.choice([None, 3, 100]),
                output=chance.choice([None, 5]),
                cache_read=chance.choice([None, 1]),
                cost=price,
                dearest_cost=None if price is None else maybe(price * 2),
                ttft_ms=chance.choice([None, 8.0]),
                total_ms=chance.choice([None, 16.0]),
                ended=chance.choice(["complete", "client_left", "upstream_cut", "error"]),
            )
        )
    return found


def fill(store: Store, found: list[Entry], clock: Clock, keep: float = 1e9) -> Ledger:
    ledger = Ledger(store, keep=keep, clock=clock)
    for entry in found:
        ledger.add(entry)
    return ledger


@pytest.mark.parametrize("by", get_args(By))
async def test_the_hours_say_what_the_ledger_says(open_store: OpenStore, path: Path, clock: Clock, by: By) -> None:
    store = open_store()
    for seed in range(5):
        fill(store, entries(60, seed=seed), clock)
        await store.flush()
    groups, whole = account(path, by=by)
    with looking(path) as activity:
        for span in (EVER, Span(0, 1)):
            assert activity.sums(by, span) == groups
            assert activity.total(span) == whole
            assert activity.account(by, span) == (groups, whole)
        since = Span(DAY // 3600 + 24, 6, daily=True)
        assert activity.sums(by, since) == account(path, by=by, since=DAY + 86400)[0]
        bars = activity.series(by, "requests", since)
        assert sum(value for _, _, value in bars) == sum(one.requests for one in activity.sums(by, since))


async def test_a_ledger_of_before_is_summed_when_it_is_opened(path: Path, open_store: OpenStore) -> None:
    store = open_store()
    fill(store, entries(100), Clock())
    await store.aclose()

    with closing(sqlite3.connect(path)) as connection:
        before = connection.execute("SELECT * FROM ledger_hours").fetchall()
        version = next(n for n, step in enumerate(MIGRATIONS) if "ledger_hours" in step)
        connection.executescript(
            "DROP TABLE ledger_hours; DROP INDEX ledger_request; ALTER TABLE ledger DROP COLUMN trace_id;"
            "DROP TABLE samples;"
            f"PRAGMA user_version={version};"
        )
    connection, _ = open_database(path)
    with closing(connection):
        assert connection.execute("SELECT * FROM ledger_hours").fetchall() == before


async def test_what_is_forgotten_is_forgotten_everywhere(open_store: OpenStore, path: Path, clock: Clock) -> None:
    store = open_store()
    clock.now = DAY + 2 * 86400
    ledger = fill(store, entries(200), clock, keep=86400)
    await store.flush()
    await store.read(ledger.prune)
    await store.flush()
    with looking(path) as activity:
        kept = account(path, by="router")[1].requests
        assert activity.total(Span(0, 1)).requests == activity.total(EVER).requests == kept < 200


async def test_lists_look_at_so_many_rows_and_go_on(open_store: OpenStore, path: Path, clock: Clock) -> None:
    store = open_store()
    one = msgspec.structs.replace(entries(1)[0], router="rare")
    fill(store, [one, *(msgspec.structs.replace(one, router="often") for _ in range(SCAN))], clock)
    await store.flush()
    with looking(path) as activity:
        first = activity.entries(Filter(router="rare"), limit=10)
        assert (first.rows, first.cut) == ((), True)
        then = activity.entries(Filter(router="rare"), limit=10, before=first.older)
        assert ([row.entry.router for row in then.rows], then.older, then.cut) == (["rare"], None, False)
        page = activity.entries(Filter(router="often"), limit=10)
        assert (len(page.rows), page.older, page.cut) == (10, page.rows[-1].id, False)
        assert activity.entry(then.rows[0].id) == then.rows[0]
        assert activity.number(one.request_id) is not None
        assert activity.durations(5) is not None


def test_no_file_is_no_ledger(path: Path) -> None:
    with pytest.raises(LedgerUnreadable), looking(path):
        pass


def test_sums_do_not_read_the_ledger(path: Path) -> None:
    """Pages stay quick however long the ledger is: sums come from the hours alone, by their key."""
    open_database(path)[0].close()
    plans: list[str] = []
    with looking(path) as activity:
        connection = activity._connection
        connection.set_trace_callback(plans.append)
        for by in get_args(By):
            activity.sums(by, EVER)
            activity.series(by, "cost", EVER)
        activity.total(EVER)
        activity.routes(EVER)
        activity.bars(EVER, "smart")
        connection.set_trace_callback(None)
        for statement in plans:
            details = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
            assert any("SEARCH ledger_hours USING PRIMARY KEY (kind=? AND hour>?)" in detail for detail in details)
            assert not any("SCAN ledger" in detail for detail in details)
