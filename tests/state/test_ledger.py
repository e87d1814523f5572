"""The ledger: what goes in comes out, and the sums are right."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from gateway.database import MIGRATIONS
from gateway.ledger import By, Entry, Ledger, LedgerUnreadable, account, rows, summary
from gateway.store import BATCH

from .conftest import Clock, OpenStore

#: 2026-03-01 00:00 UTC.
DAY = 1_772_323_200.0
KEEP = 90 * 86_400.0


def entry(**values: Any) -> Entry:
    return Entry(**{"time": DAY, "request_id": "r1", "dialect": "openai", "status": 200, **values})


FULL = entry(
    client="team",
    tags=("search", 'odd "tag"'),
    router="smart",
    revision="0123456789ab",
    commit="c0ffee",
    decision="failover",
    candidate="p/m",
    provider_model="m-2026-01",
    failover_from="p/n",
    designator="p/d",
    designator_outcome="designated",
    designator_ms=120.5,
    designator_input=300,
    designator_output=4,
    designator_cache_read=256,
    designator_cache_write=0,
    designator_reasoning=1,
    designator_cost=0.0001,
    input=1000,
    output=200,
    cache_read=900,
    cache_write=0,
    reasoning=50,
    cost=0.02,
    dearest_cost=0.05,
    ttft_ms=300.25,
    total_ms=2000.5,
    relay_ms=0.4,
    code="upstream_truncated",
    stream=True,
    ended="upstream_cut",
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
)


@pytest.mark.parametrize("written", [FULL, entry()], ids=["everything", "almost nothing"])
async def test_an_entry_comes_back_as_it_went_in(open_store: OpenStore, path: Path, written: Entry) -> None:
    store = open_store()
    Ledger(store, keep=KEEP).add(written)
    assert await store.flush()
    assert rows(path) == [written]


async def test_the_latest_come_first(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    ledger = Ledger(store, keep=KEEP)
    for number in range(5):
        ledger.add(entry(request_id=str(number), time=DAY + number))
    assert await store.flush()
    assert [row.request_id for row in rows(path, since=DAY + 1, limit=3)] == ["4", "3", "2"]


async def test_foreign_texts_are_cut(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    Ledger(store, keep=KEEP).add(entry(provider_model="m" * 10_000, code="c" * 10_000))
    assert await store.flush()
    (row,) = rows(path)
    assert (row.provider_model, row.code) == ("m" * 200, "c" * 200)


async def test_a_number_beyond_all_measure_costs_one_row(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    ledger = Ledger(store, keep=KEEP)
    for row in (entry(request_id="a"), entry(request_id="b", input=10**30), entry(request_id="c")):
        ledger.add(row)
    assert await store.flush()
    assert {row.request_id for row in rows(path)} == {"a", "c"}


async def test_old_rows_are_pruned(open_store: OpenStore, path: Path, clock: Clock) -> None:
    store = open_store()
    ledger = Ledger(store, keep=KEEP, clock=clock)
    for age in (0, 89, 91, 400):
        ledger.add(entry(request_id=str(age), time=clock.now - age * 86400))
    assert await store.flush()
    assert not await store.read(ledger.prune)
    assert [row.request_id for row in rows(path)] == ["0", "89"]
    # As after a reload.
    ledger.keep = 86_400.0
    assert not await store.read(ledger.prune)
    assert [row.request_id for row in rows(path)] == ["0"]


async def test_a_stuck_disk_costs_the_oldest_rows(tmp_path: Path, open_store: OpenStore) -> None:
    (tmp_path / "file").touch()
    store = open_store(tmp_path / "file" / "relay.db")
    ledger = Ledger(store, keep=KEEP)
    one = entry()
    for _ in range(100_000 + BATCH + 3):
        ledger.add(one)
    assert 3 <= ledger.dropped <= BATCH + 3


# --- sums -----------------------------------------------------------------------------------------------------------

REQUESTS = (
    entry(router="a", candidate="p/m", client="x", tags=("t", "u"), input=10, output=1, cache_read=4, ttft_ms=100.0),
    entry(
        router="a",
        candidate="p/n",
        client="x",
        tags=("t", "t"),
        input=20,
        output=2,
        designator="p/d",
        designator_outcome="designated",
        designator_input=7,
        designator_output=3,
        ttft_ms=300.0,
    ),
    # Answered, but nobody said what it took.
    entry(router="a", candidate="p/m", client="x", tags=("t",), time=DAY + 86_399),
    entry(router="b", candidate="p/m", client="", designator="p/d", designator_outcome="open", time=DAY + 86_400),
    entry(router="b", client="y", status=503, ended="error", code="no_candidate", time=DAY + 86_400),
    entry(router="b", candidate="p/m", client="y", status=499, ended="client_left", output=5, time=DAY + 86_400),
)


@pytest.fixture
async def ledger_path(open_store: OpenStore, path: Path) -> Path:
    store = open_store()
    ledger = Ledger(store, keep=KEEP)
    for request in REQUESTS:
        ledger.add(request)
    assert await store.flush()
    return path


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        # key: requests, errors, input, output, unknown, designator requests
        ("router", {"a": (3, 0, 30, 3, 1, 1), "b": (3, 1, None, 5, 1, 0)}),
        (
            "candidate",
            {None: (1, 1, None, None, 0, 0), "p/m": (4, 0, 10, 6, 2, 0), "p/n": (1, 0, 20, 2, 0, 1)},
        ),
        ("client", {None: (1, 0, None, None, 1, 0), "x": (3, 0, 30, 3, 1, 1), "y": (2, 1, None, 5, 0, 0)}),
        ("tag", {None: (3, 1, None, 5, 1, 0), "t": (3, 0, 30, 3, 1, 1), "u": (1, 0, 10, 1, 0, 0)}),
        ("day", {"2026-03-01": (3, 0, 30, 3, 1, 1), "2026-03-02": (3, 1, None, 5, 1, 0)}),
    ],
)
def test_sums(ledger_path: Path, by: By, expected: dict[str | None, tuple[int | None, ...]]) -> None:
    found = {
        line.key: (line.requests, line.errors, line.input, line.output, line.unknown, line.designator_requests)
        for line in summary(ledger_path, by=by)
    }
    assert found == expected


def test_designator_usage_stands_apart_and_unknown_stays_unknown(ledger_path: Path) -> None:
    (line,) = (line for line in summary(ledger_path, by="router") if line.key == "a")
    assert (line.designator_input, line.designator_output) == (7, 3)
    assert (line.cost, line.designator_cost, line.cache_write, line.reasoning) == (None, None, None, None)
    assert (line.dearest_cost, line.saving) == (None, None)
    assert (line.cache_read, line.ttft_ms, line.total_ms) == (4, 200.0, None)


def test_sums_since_a_time(ledger_path: Path) -> None:
    assert [(line.key, line.requests) for line in summary(ledger_path, by="router", since=DAY + 86_400)] == [("b", 3)]


@pytest.mark.parametrize("by", get_args(By))
def test_the_total_counts_every_request_once(ledger_path: Path, by: By) -> None:
    groups, total = account(ledger_path, by=by)
    assert groups == summary(ledger_path, by=by)
    assert (total.key, total.requests, total.errors, total.input, total.output) == (None, 6, 1, 30, 8)


async def test_the_total_of_nothing(open_store: OpenStore, path: Path) -> None:
    await open_store().aclose()
    groups, total = account(path, by="router")
    assert groups == []
    assert set(msgspec.structs.astuple(total)) == {0, None}


async def test_costs_add_up_exactly(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    ledger = Ledger(store, keep=KEEP)
    dice = random.Random(4)
    costs = [dice.randrange(10**9) for _ in range(1000)]
    for nanos in costs:
        ledger.add(
            entry(
                router="a",
                candidate="p/m",
                cost=nanos / 1e9,
                dearest_cost=2 * nanos / 1e9,
                designator="p/d",
                designator_outcome="designated",
                designator_cost=1e-9,
            )
        )
    assert await store.flush()
    (line,) = summary(path, by="router")
    assert line.cost == sum(costs) / 1e9
    assert line.dearest_cost == 2 * sum(costs) / 1e9
    assert line.designator_cost == 1e-6
    assert line.saving == (sum(costs) - 1000) / 1e9


@pytest.mark.parametrize(
    ("values", "unpriced", "designator_unpriced"),
    [
        ({"cost": 0.0}, 0, 0),
        ({}, 1, 0),
        ({"ended": "client_left", "status": 499}, 1, 0),
        ({"ended": "upstream_cut", "status": 502, "ttft_ms": 5.0}, 1, 0),
        ({"ended": "error", "status": 503, "ttft_ms": 5.0}, 1, 0),
        ({"ended": "error", "status": 502}, 0, 0),
        ({"candidate": None, "ended": "error", "status": 404}, 0, 0),
        ({"candidate": None, "ended": "client_left", "status": 499}, 0, 0),
        ({"cost": 0.1, "designator": "p/d", "designator_outcome": "designated"}, 0, 1),
        ({"cost": 0.1, "designator": "p/d", "designator_outcome": "designated", "designator_cost": 0.0}, 0, 0),
        ({"cost": 0.1, "designator": "p/d", "designator_outcome": "timeout"}, 0, 1),
        ({"cost": 0.1, "designator": "p/d"}, 0, 1),
        ({"cost": 0.1, "designator": "p/d", "designator_outcome": "error"}, 0, 0),
        ({"cost": 0.1, "designator": "p/d", "designator_outcome": "open"}, 0, 0),
    ],
)
async def test_what_cost_an_unknown_amount(
    open_store: OpenStore, path: Path, values: dict[str, Any], unpriced: int, designator_unpriced: int
) -> None:
    store = open_store()
    Ledger(store, keep=KEEP).add(entry(**{"candidate": "p/m", **values}))
    assert await store.flush()
    _, total = account(path, by="day")
    assert (total.unpriced, total.designator_unpriced) == (unpriced, designator_unpriced)


# --- the file -------------------------------------------------------------------------------------------------------


async def test_the_table_has_the_entrys_fields(open_store: OpenStore, path: Path) -> None:
    await open_store().aclose()
    with closing(sqlite3.connect(path)) as connection:
        columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(ledger)")}
    assert columns == {"id", *Entry.__struct_fields__}


async def test_a_file_of_an_earlier_version_is_brought_up_to_date(open_store: OpenStore, path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{MIGRATIONS[0]} PRAGMA user_version=1;")
        connection.execute(
            "INSERT INTO ledger (time, request_id, dialect, tags, status, stream, ended)"
            " VALUES (?, 'old', 'openai', '[]', 200, 0, 'complete')",
            (DAY,),
        )
        connection.commit()
    store = open_store()
    Ledger(store, keep=KEEP).add(FULL)
    assert await store.flush()
    assert rows(path) == [FULL, entry(request_id="old")]


async def test_reading_while_the_gateway_writes_and_after_it_has_gone(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    ledger = Ledger(store, keep=KEEP)
    for number in range(2):
        ledger.add(entry(request_id=str(number)))
        assert await store.flush()
        assert len(rows(path)) == number + 1
    await store.aclose()
    assert len(rows(path)) == 2


def _nothing(path: Path) -> None:
    """No file at all."""


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def _empty(path: Path) -> None:
    path.touch()


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")


@pytest.mark.parametrize("make", [_nothing, _garbage, _empty, _newer])
def test_what_cannot_be_read_says_why(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "relay.db"
    make(path)
    with pytest.raises(LedgerUnreadable, match=r"relay\.db: "):
        summary(path, by="router")
