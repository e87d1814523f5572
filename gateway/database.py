"""The SQLite file itself: its schema, how it is opened, and what happens to one that cannot be read."""

from __future__ import annotations

import itertools
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway import rollup

logger = logging.getLogger("llm_relay.store")

#: Seconds to wait for another process's transaction.
BUSY = 0.5
#: Seconds to wait until another process has opened, migrated or replaced the file.
_BUSY_OPENING = 10.0

#: Step n brings the file from version n to version n + 1 (``PRAGMA user_version``). Steps that were released stay.
MIGRATIONS = (
    """
    CREATE TABLE pins (
        key BLOB PRIMARY KEY,
        router TEXT NOT NULL,
        candidate TEXT NOT NULL,
        expires REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX pins_expires ON pins (expires);

    CREATE TABLE ledger (
        id INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        request_id TEXT NOT NULL,
        dialect TEXT NOT NULL,
        client TEXT,
        tags TEXT NOT NULL,
        router TEXT,
        revision TEXT,
        "commit" TEXT,
        decision TEXT,
        candidate TEXT,
        provider_model TEXT,
        failover_from TEXT,
        designator TEXT,
        designator_outcome TEXT,
        designator_ms REAL,
        designator_input INTEGER,
        designator_output INTEGER,
        designator_cost REAL,
        input INTEGER,
        output INTEGER,
        cache_read INTEGER,
        cache_write INTEGER,
        reasoning INTEGER,
        cost REAL,
        ttft_ms REAL,
        total_ms REAL,
        relay_ms REAL,
        status INTEGER NOT NULL,
        code TEXT,
        stream INTEGER NOT NULL,
        ended TEXT NOT NULL
    );
    CREATE INDEX ledger_time ON ledger (time);
    """,
    """
    ALTER TABLE ledger ADD COLUMN designator_cache_read INTEGER;
    ALTER TABLE ledger ADD COLUMN designator_cache_write INTEGER;
    ALTER TABLE ledger ADD COLUMN designator_reasoning INTEGER;
    ALTER TABLE ledger ADD COLUMN dearest_cost REAL;
    """,
    f"""
    CREATE INDEX ledger_request ON ledger (request_id);
    {rollup.SCHEMA}
    {rollup.BEGIN}
    """,
    "ALTER TABLE ledger ADD COLUMN trace_id TEXT;",
    """
    CREATE TABLE samples (
        id INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        request_id TEXT NOT NULL,
        router TEXT NOT NULL,
        revision TEXT NOT NULL,
        prompt TEXT NOT NULL,
        designator TEXT NOT NULL,
        question TEXT NOT NULL,
        decision TEXT NOT NULL,
        candidate TEXT NOT NULL,
        needs TEXT NOT NULL,
        brief TEXT NOT NULL
    );
    CREATE INDEX samples_router ON samples (router, time);
    """,
)


class DatabaseNewer(Exception):
    """The file was written by a later version of the gateway: it is left alone."""

    def __init__(self, version: int) -> None:
        super().__init__(f"written by a newer version (schema {version}, this one knows {len(MIGRATIONS)})")


def open_database(path: Path) -> tuple[sqlite3.Connection, int]:
    """A connection to the file at ``path``, made, migrated or (if it is corrupt) replaced first; and its inode.

    Raises OSError and sqlite3.Error where that cannot be done now, DatabaseNewer where it must not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        try:
            connection = _connect(path)
        except sqlite3.DatabaseError as error:
            if not is_corrupt(error):
                raise
            _rename(path)
            connection = _connect(path)
        return connection, path.stat().st_ino


def open_readonly(path: Path) -> sqlite3.Connection:
    """A connection that can only read, for another process than the gateway's. Raises as open_database."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY, isolation_level=None)
    try:
        version = _version(connection)
    except sqlite3.Error:
        connection.close()
        raise
    if version > len(MIGRATIONS):
        connection.close()
        raise DatabaseNewer(version)
    return connection


def move_aside(path: Path, inode: int) -> None:
    """Renames the corrupt file at ``path``, unless another process has already put a new one in its place."""
    with _alone(path):
        if path.stat().st_ino == inode:
            _rename(path)


def is_corrupt(error: Exception) -> bool:
    """Whether SQLite says that the file is no database, or a damaged one (primary codes, https://sqlite.org/rescode.html)."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA journal_size_limit=16777216")
        version = _version(connection)
        if version > len(MIGRATIONS):
            raise DatabaseNewer(version)
        for number, step in enumerate(MIGRATIONS[version:], version + 1):
            connection.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version={number}; COMMIT;")
        # Reads the schema, which a file cut short no longer has.
        connection.execute("SELECT count(*) FROM pins, ledger WHERE 0").fetchone()
    except (sqlite3.Error, DatabaseNewer):
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time, by a lock on ``<path>.lock``.

    SQLite's own lock, because it works alike everywhere and is freed when its owner dies.
    """
    lock = sqlite3.connect(f"{path}.lock", timeout=_BUSY_OPENING, isolation_level=None)
    try:
        lock.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        lock.close()


def _rename(path: Path) -> None:
    aside = next(name for n in itertools.count(1) if not (name := Path(f"{path}.corrupt-{n}")).exists())
    os.replace(path, aside)
    # A write-ahead log belongs to its database: left behind, it would be played into the new one.
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{aside}{suffix}")
    logger.error("%s is corrupt: moved aside as %s, a new one is begun", path, aside.name)
