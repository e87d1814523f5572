"""What the tests of the state have in common: clocks that stand still, and other processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from gateway.store import FILE, Lane, Store

ROOT = Path(__file__).parents[2]

OpenStore = Callable[..., Store]
RunPython = Callable[..., "subprocess.Popen[str]"]


class Clock:
    """Time that passes only when told to."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


_PUT = "INSERT OR REPLACE INTO pins (key, router, candidate, expires) VALUES (?, 'r', ?, 0)"


def lane(store: Store, capacity: int = 10_000) -> Lane[tuple[bytes, object]]:
    """A queue of pins, the simplest rows there are."""

    def write(connection: sqlite3.Connection, rows: Sequence[tuple[bytes, object]]) -> None:
        connection.executemany(_PUT, rows)

    return store.lane(write, capacity)


def names(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT candidate FROM pins ORDER BY key")]


def stored(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return names(connection)


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / FILE


@pytest.fixture
async def open_store(path: Path) -> AsyncIterator[OpenStore]:
    """Opens stores on one file, whose clock stands still: they write when ``flush`` is awaited and when closed."""
    async with AsyncExitStack() as stack:

        def open_(at: Path = path, *, clock: Clock | None = None) -> Store:
            store = Store(at, deadline=10.0, clock=clock or Clock())
            stack.push_async_callback(store.aclose)
            return store

        yield open_


@pytest.fixture
def run_python() -> Iterator[RunPython]:
    """Starts Python code in another process."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        with process:
            process.kill()
