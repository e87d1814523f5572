"""The file and its thread: what is queued is written, soon and in order, by several processes at once."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store import BATCH, Store, StoreUnavailable

from .conftest import OpenStore, RunPython, key, lane, names, stored


async def test_close_writes_what_is_queued_and_a_restart_finds_it(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    rows = lane(store)
    for number in range(3 * BATCH + 7):
        rows.add((key(number), "m"))
    await store.aclose()
    assert len(rows) == 0
    assert len(await open_store().read(names)) == 3 * BATCH + 7


async def test_rows_keep_their_order(open_store: OpenStore) -> None:
    store = open_store()
    rows = lane(store)
    for name in ("first", "second", "last"):
        rows.add((key(1), name))
    assert await store.flush()
    assert await store.read(names) == ["last"]


async def test_many_reads_are_answered_each_with_its_own(open_store: OpenStore) -> None:
    store = open_store()

    async def double(number: int) -> int:
        result: int = await store.read(lambda connection: connection.execute("SELECT 2 * ?", (number,)).fetchone()[0])
        return result

    assert await asyncio.gather(*map(double, range(200))) == [2 * number for number in range(200)]


async def test_a_read_that_nobody_waits_for_hurts_nobody(open_store: OpenStore) -> None:
    store = open_store()
    left = asyncio.ensure_future(store.read(names))
    await asyncio.sleep(0)
    left.cancel()
    assert await store.read(names) == []


async def test_a_stuck_disk_delays_one_read_and_no_more(path: Path) -> None:
    release = threading.Event()

    def stuck(connection: sqlite3.Connection) -> None:
        release.wait(10)

    store = Store(path, deadline=0.02)
    assert await store.flush()
    with pytest.raises(StoreUnavailable):
        await store.read(stuck)
    # The thread is known to be stuck: this one fails without being queued.
    with pytest.raises(StoreUnavailable):
        await store.read(names)
    release.set()
    assert await store.flush()
    await store.aclose()


async def test_nothing_is_kept_without_a_path() -> None:
    store = Store(None)
    rows = lane(store)
    rows.add((key(1), "m"))
    assert len(rows) == 0
    assert await store.flush()
    with pytest.raises(StoreUnavailable):
        await store.read(names)
    await store.aclose()


async def test_a_closed_store_answers_no_more(open_store: OpenStore) -> None:
    store = open_store()
    await store.aclose()
    with pytest.raises(StoreUnavailable):
        await store.read(names)


async def test_chores_go_on_while_there_is_more_to_do(path: Path) -> None:
    runs: list[int] = []
    enough = threading.Event()

    def chore(connection: sqlite3.Connection) -> bool:
        runs.append(len(runs))
        if len(runs) == 3:
            enough.set()
        return len(runs) < 3

    store = Store(path, interval=0.001)
    store.every(3600.0, chore)
    assert await asyncio.to_thread(enough.wait, 5)
    await store.aclose()
    assert runs == [0, 1, 2]


# --- several processes ----------------------------------------------------------------------------------------------

_WRITER = """
    import asyncio, sys
    from pathlib import Path
    from gateway.sessions import SqlitePins, Pin
    from gateway.store import Store

    async def main() -> None:
        store = Store(Path(sys.argv[1]))
        pins = SqlitePins(store, capacity=100_000)
        first = int(sys.argv[2])
        for number in range(first, first + 2000):
            pins.put(number.to_bytes(16, "big"), "r", Pin(sys.argv[2], 1e12), first=False)
            if number % 100 == 0:
                await asyncio.sleep(0.001)
        await store.aclose()
        print(store.errors)

    asyncio.run(main())
"""


def test_two_processes_write_into_one_file(run_python: RunPython, path: Path) -> None:
    writers = [run_python(_WRITER, path, 0), run_python(_WRITER, path, 1000)]
    assert [writer.communicate(timeout=20)[0] for writer in writers] == ["0\n", "0\n"]
    found = stored(path)
    assert len(found) == 3000
    assert set(found[:1000]) == {"0"}
    assert set(found[2000:]) == {"1000"}


_KILLED = """
    import sys
    from pathlib import Path
    from gateway.sessions import SqlitePins, Pin
    from gateway.store import Store

    def tell(connection) -> bool:
        if connection.execute("SELECT count(*) FROM pins").fetchone() == (1200,):
            print("committed", flush=True)
        return False

    store = Store(Path(sys.argv[1]))
    store.every(0.0, tell)
    pins = SqlitePins(store, capacity=100_000)
    for number in range(1200):
        pins.put(number.to_bytes(16, "big"), "r", Pin("m", 1e12), first=False)
    sys.stdin.read()
"""


def test_rows_are_committed_unasked_and_then_safe_from_a_kill(run_python: RunPython, path: Path) -> None:
    process = run_python(_KILLED, path)
    assert process.stdout is not None
    assert process.stdout.readline() == "committed\n"
    process.kill()
    process.wait()
    with closing(sqlite3.connect(path)) as connection:
        assert len(names(connection)) == 1200
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
