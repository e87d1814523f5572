"""A full disk, a locked file, a corrupt one: the gateway goes on, and nothing is lost that need not be."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.database import MIGRATIONS, move_aside, open_database
from gateway.store import FILE, LOG_EVERY, Store, StoreUnavailable

from .conftest import Clock, OpenStore, RunPython, key, lane, names, stored


async def test_while_another_holds_the_lock_rows_wait(
    open_store: OpenStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    store = open_store(clock=clock)
    rows = lane(store)
    assert await store.flush()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        rows.add((key(1), "m"))
        assert not await store.flush()
        assert store.problem == "database is locked"
        with pytest.raises(StoreUnavailable):
            await store.read(names)
        assert not await store.flush()
        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(errors) == 1, "one line a minute"
        clock.now += LOG_EVERY
        assert not await store.flush()
        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(errors) == 2
        assert store.errors >= 3, "every failure counts"
    assert await store.flush()
    assert not store.problem
    assert await store.read(names) == ["m"]


async def test_the_thread_tries_again_by_itself(tmp_path: Path) -> None:
    healthy = threading.Event()
    runs: list[int] = []

    def chore(connection: sqlite3.Connection) -> bool:
        runs.append(len(runs))
        if len(runs) == 1:
            raise sqlite3.OperationalError("not today")
        healthy.set()
        return False

    folder = tmp_path / "data"
    folder.touch()
    store = Store(folder / FILE, interval=0.001, retry=0.001)
    store.every(3600.0, chore)
    assert not await store.flush()
    folder.unlink()
    assert await asyncio.to_thread(healthy.wait, 10)
    await store.aclose()
    assert runs == [0, 1]


_FULL = """
    import asyncio, resource, sys
    from pathlib import Path
    from gateway.sessions import SqlitePins, Pin
    from gateway.store import Store

    async def main() -> None:
        store = Store(Path(sys.argv[1]), clock=lambda: 0.0)
        pins = SqlitePins(store, capacity=100_000)
        print(await store.flush())
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        for number in range(3000):
            pins.put(number.to_bytes(16, "big"), "r", Pin("m" * 50, 1e12), first=False)
        print(await store.flush(), store.problem is not None)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(await store.flush(), store.problem is not None)
        await store.aclose()

    asyncio.run(main())
"""


def test_a_full_disk_loses_nothing_once_there_is_room_again(run_python: RunPython, path: Path) -> None:
    process = run_python(_FULL, path)
    assert process.communicate(timeout=20)[0] == "True\nFalse True\nTrue False\n"
    assert len(stored(path)) == 3000


async def test_a_full_lane_drops_its_oldest_rows_and_counts_them(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    rows = lane(store, capacity=3)
    for number in range(10):
        rows.add((key(number), str(number)))
    assert rows.dropped == 7
    await store.aclose()
    assert stored(path) == ["7", "8", "9"]


@pytest.mark.parametrize(
    "poison", [1 << 70, "\ud800", object(), None], ids=["too large", "not UTF-8", "not a value", "against the schema"]
)
async def test_a_row_that_can_never_be_stored_is_dropped_alone(
    open_store: OpenStore, path: Path, poison: object
) -> None:
    store = open_store()
    rows = lane(store)
    for number, value in enumerate(("a", poison, "b")):
        rows.add((key(number), value))
    assert await store.flush()
    assert rows.refused == 1
    assert stored(path) == ["a", "b"]


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database, and never was one" * 500)


def _cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def _holes(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * (size - 4096))


@pytest.mark.parametrize("damage", [_garbage, _cut_short, _holes])
async def test_a_corrupt_file_is_moved_aside(
    open_store: OpenStore, path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    first = open_store()
    lane(first).add((key(1), "lost"))
    await first.aclose()
    for number in (1, 2):
        damage(path)
        store = open_store()
        rows = lane(store)
        rows.add((key(number), str(number)))
        # Damage deep inside shows with the first use, the rest when the file is opened.
        assert await store.flush() or await store.flush()
        await store.aclose()
        assert stored(path) == [str(number)]
        assert path.with_name(f"{FILE}.corrupt-{number}").exists()
        assert f"{FILE}.corrupt-{number}" in caplog.text


async def test_workers_agree_on_the_new_file(open_store: OpenStore, path: Path) -> None:
    stores = [open_store() for _ in range(3)]
    lanes = [lane(store) for store in stores]
    lanes[0].add((key(1), "lost"))
    assert all([await store.flush() for store in stores])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _holes(path)
    for number, rows in enumerate(lanes):
        rows.add((key(number), str(number)))
    for store in stores:
        assert await store.flush() or await store.flush()
    assert stored(path) == ["0", "1", "2"]
    assert [file.name for file in path.parent.glob("*.corrupt-?")] == [f"{FILE}.corrupt-1"]


def test_a_new_file_is_not_taken_for_the_corrupt_one(path: Path) -> None:
    connection, inode = open_database(path)
    connection.close()
    move_aside(path, inode + 1)
    assert path.exists()
    move_aside(path, inode)
    assert not path.exists()


async def test_a_file_that_was_deleted_is_begun_anew(open_store: OpenStore, path: Path) -> None:
    store = open_store()
    rows = lane(store)
    rows.add((key(1), "gone"))
    assert await store.flush()
    for file in path.parent.iterdir():
        file.unlink()
    rows.add((key(2), "new"))
    assert await store.flush()
    assert stored(path) == ["new"]


async def test_a_file_of_a_newer_version_is_left_alone(open_store: OpenStore, path: Path) -> None:
    await open_store().aclose()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    store = open_store()
    assert not await store.flush()
    assert "newer version" in (store.problem or "")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
    assert await store.flush()


async def test_a_folder_that_cannot_be_made_is_a_logged_problem(
    open_store: OpenStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    store = open_store(tmp_path / "file" / "data" / FILE)
    rows = lane(store)
    rows.add((key(1), "m"))
    assert not await store.flush()
    with pytest.raises(StoreUnavailable):
        await store.read(names)
    await store.aclose()
    assert "the gateway goes on without it" in caplog.text
    assert "1 rows could not be stored before the end" in caplog.text


_READ_ONLY = """
    import asyncio, logging, os, sys
    from pathlib import Path
    from gateway.sessions import Sessions, SqlitePins
    from gateway.store import Store

    logging.basicConfig(stream=sys.stdout, format="%(name)s %(levelname)s")
    if os.geteuid() == 0:  # For whom no folder is read-only.
        os.setgid(65534)
        os.setuid(65534)

    async def main() -> None:
        store = Store(Path(sys.argv[1]), clock=lambda: 0.0)
        sessions = Sessions(SqlitePins(store, capacity=10), capacity=10)
        sessions.put(b"k" * 16, "r", "m", 60.0)
        print(await store.flush(), await sessions.get(b"k" * 16), await sessions.get(b"?" * 16))

    asyncio.run(main())
"""


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX knows them")
def test_a_read_only_folder_means_memory_alone(run_python: RunPython, tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o555)
    process = run_python(_READ_ONLY, folder / FILE)
    assert process.communicate(timeout=20)[0] == "llm_relay.store ERROR\nFalse m None\n"
