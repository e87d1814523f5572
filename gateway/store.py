"""One SQLite file for what must outlive a request: the pins of sessions and the usage ledger.

All worker processes of a machine share the file (WAL mode, https://sqlite.org/wal.html); in each of them one thread
owns the connection and does all the SQL, so that nothing here ever blocks the event loop.

- **Writes** are queued in a :class:`Lane` and committed together every 100 ms, at most 500 rows of a lane at a time.
  ``synchronous=NORMAL``: a killed process loses what it had not committed, a power cut may lose the last commits,
  neither can corrupt the file. :meth:`Store.close` commits all that is queued.
- **Reads** are awaited. The thread answers all that wait in one go. A read that cannot be had within 250 ms raises
  :class:`StoreUnavailable`, and so does every read while writes fail: a store that refuses our own pins must not
  contradict the memory that holds them.
- **Trouble** (a full disk, a locked or unreadable file, a folder that cannot be written) never stops the gateway:
  lanes hold their rows, drop the oldest when they are full, and count them; the thread tries again every second;
  the log has one line a minute. A row that SQLite can never take is dropped alone.
- **A corrupt file** is moved aside as ``relay.db.corrupt-<n>`` and a new one is begun, by the first process that
  notices; the others see that the file at the path is no longer theirs and reopen it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from gateway.database import DatabaseNewer, is_corrupt, move_aside, open_database

logger = logging.getLogger("llm_relay.store")

T = TypeVar("T")
#: Work for the store's thread.
Job = Callable[[sqlite3.Connection], T]

#: The file's name in the data folder.
FILE = "relay.db"
#: Rows of one lane in one transaction: the write lock is held for a few milliseconds, never for a whole backlog.
BATCH = 500
#: Seconds between two log lines about the same misery.
LOG_EVERY = 60.0

#: SQLite, or its Python binding, will never take such a row: trying again would stop the lane for good.
_POISON = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeError,
)


class StoreUnavailable(Exception):
    """The store cannot answer now; whoever asked goes on with what it has in memory."""


class Lane(Generic[T]):
    """Rows of one kind on their way to the file, in order. Made by :meth:`Store.lane`.

    :meth:`add` belongs to the event loop's thread, the other methods to the store's.
    """

    def __init__(self, apply: Callable[[sqlite3.Connection, Sequence[T]], None], capacity: int) -> None:
        self._apply = apply
        self._capacity = capacity
        self._queue: deque[T] = deque(maxlen=capacity)
        self._batch: list[T] = []
        #: Rows lost because the lane was full.
        self.dropped = 0
        #: Rows lost because SQLite can never take them.
        self.refused = 0

    def __len__(self) -> int:
        return len(self._queue) + len(self._batch)

    def add(self, row: T) -> None:
        """Queues a row; a full lane forgets its oldest one."""
        rows = self._queue
        if len(rows) == self._capacity:
            self.dropped += 1
        rows.append(row)

    def take(self) -> bool:
        """Fills the batch that is to be written next; False if there is nothing to write."""
        batch, rows = self._batch, self._queue
        while rows and len(batch) < BATCH:
            batch.append(rows.popleft())
        return bool(batch)

    def write(self, connection: sqlite3.Connection) -> None:
        """Writes the batch."""
        if self._batch:
            self._apply(connection, self._batch)

    def sift(self, connection: sqlite3.Connection) -> None:
        """Writes the batch row by row, without those that SQLite can never take."""
        for row in self._batch:
            try:
                self._apply(connection, (row,))
            except _POISON:
                self.refused += 1

    def done(self) -> None:
        """The batch is committed."""
        self._batch.clear()


class _Ask(NamedTuple):
    """Something awaited from the thread: a job's result, or with ``job`` None that all is written."""

    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    job: Job[Any] | None


class Chore:
    """Housekeeping that is due now and then; made by :meth:`Store.every`. Only the store's thread changes ``due``."""

    def __init__(self, job: Job[bool], every: float) -> None:
        self.job = job
        self.every = every
        self.due = float("-inf")


class Store:
    """The file and its thread; the thread starts at once, hence in the process that is going to use it.

    ``path`` is the file, or None for a store that keeps nothing (its reads raise StoreUnavailable). In seconds,
    ``interval`` is the time between two commits, ``retry`` between two tries while the file refuses, and ``deadline``
    what a read may take before the request goes on without the store. ``clock`` is monotonic.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        interval: float = 0.1,
        retry: float = 1.0,
        deadline: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        #: What is wrong now; None while all is well.
        self.problem: str | None = None if path is not None else "nothing is kept: there is no data folder"
        #: Failures since the start.
        self.errors = 0
        self._interval = interval
        self._retry = retry
        self._deadline = deadline
        self._clock = clock
        self._quiet_until = float("-inf")
        self._lanes: list[Lane[Any]] = []
        self._chores: list[Chore] = []
        self._asks: queue.SimpleQueue[_Ask | None] = queue.SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._busy_since: float | None = None
        self._closed = path is None
        self._thread = threading.Thread(target=self._run, name="llm-relay-store", daemon=True)
        if path is not None:
            self._thread.start()

    # --- the event loop's side --------------------------------------------------------------------------------------

    def lane(self, apply: Callable[[sqlite3.Connection, Sequence[T]], None], capacity: int) -> Lane[T]:
        """A new queue of rows, of which the youngest ``capacity`` are held; ``apply`` writes some in the thread."""
        lane = Lane(apply, capacity if self.path is not None else 0)
        self._lanes.append(lane)
        return lane

    def every(self, seconds: float, job: Job[bool]) -> Chore:
        """Runs ``job`` in a transaction of its own soon and then every so often; again soon while it says True."""
        chore = Chore(job, seconds)
        self._chores.append(chore)
        return chore

    async def read(self, job: Job[T]) -> T:
        """What ``job`` finds. Raises StoreUnavailable."""
        busy = self._busy_since
        if self._closed or self.problem is not None or (busy is not None and self._clock() - busy > self._deadline):
            raise StoreUnavailable(self.problem or "the store is busy")
        try:
            async with asyncio.timeout(self._deadline):
                result: T = await self._ask(job)
        except TimeoutError:
            raise StoreUnavailable("the store is busy") from None
        return result

    async def flush(self) -> bool:
        """Waits until all that was queued before is committed; False if the file refuses it."""
        if self._closed:
            return not any(self._lanes)
        written: bool = await self._ask(None)
        return written

    def close(self, timeout: float = 5.0) -> None:
        """Commits what is queued and ends the thread; gives up after ``timeout`` seconds. Blocks: see aclose."""
        if self.path is None:
            return
        if not self._closed:
            self._closed = True
            self._asks.put(None)
        self._thread.join(timeout)
        lost = sum(map(len, self._lanes))
        if lost:
            logger.error("%d rows could not be stored before the end: %s", lost, self.problem or "the store is busy")

    async def aclose(self) -> None:
        """:meth:`close` for an event loop."""
        await asyncio.to_thread(self.close)

    def _ask(self, job: Job[Any] | None) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._asks.put(_Ask(loop, answer, job))
        return answer

    # --- the thread's side ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        due = self._clock() + self._interval
        going_on = True
        try:
            while going_on:
                asks, going_on = self._gather(due - self._clock())
                self._busy_since = self._clock()
                self._answer(asks)
                if not going_on:
                    self._flush()
                elif self._clock() >= due:
                    well = self._flush(polite=True) and self._housekeeping()
                    pause = self._retry if not well else 0.0 if any(self._lanes) else self._interval
                    due = self._clock() + pause
                self._busy_since = None
        finally:
            self._closed = True
            self._disconnect()

    def _gather(self, timeout: float) -> tuple[list[_Ask], bool]:
        """All that is asked, after at most ``timeout`` seconds (and never at once: a fake clock must not spin)."""
        asks: list[_Ask] = []
        try:
            ask = self._asks.get(timeout=max(0.001, timeout))
            while ask is not None:
                asks.append(ask)
                ask = self._asks.get_nowait()
        except queue.Empty:
            return asks, True
        return asks, False

    def _answer(self, asks: list[_Ask]) -> None:
        answers: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for loop, answer, job in asks:
            if not answer.cancelled():
                answers.setdefault(loop, []).append((answer, self._flush() if job is None else self._find(job)))
        for loop, found in answers.items():
            try:
                loop.call_soon_threadsafe(_settle, found)
            except RuntimeError:  # The loop is closed: nobody waits any more.
                continue

    def _find(self, job: Job[T]) -> T | StoreUnavailable:
        connection = self._connected()
        if connection is None or self.problem is not None:
            return StoreUnavailable(self.problem)
        try:
            return job(connection)
        except sqlite3.Error as error:
            self._failed(error, broken=False)
            return StoreUnavailable(str(error))

    def _flush(self, *, polite: bool = False) -> bool:
        """Commits what is queued, or (``polite``) as much of it as nobody asks anything; False on a failure."""
        connection = self._connected()
        if connection is None:
            return False
        try:
            # Not any(): every lane must take its batch.
            while sum([lane.take() for lane in self._lanes]):
                self._commit(connection)
                if polite and not self._asks.empty():
                    break
        except sqlite3.Error as error:
            self._failed(error)
            return False
        if self.problem is not None:
            self.problem = None
            dropped = sum(lane.dropped for lane in self._lanes)
            logger.warning("the store works again; %d rows were dropped since the start", dropped)
        return True

    def _commit(self, connection: sqlite3.Connection) -> None:
        try:
            with _writing(connection):
                for lane in self._lanes:
                    lane.write(connection)
        except _POISON as error:
            self._complain("a row that cannot be stored is dropped: %s", error)
            with _writing(connection):
                for lane in self._lanes:
                    lane.sift(connection)
        for lane in self._lanes:
            lane.done()

    def _housekeeping(self) -> bool:
        for chore in self._chores:
            connection = self._connected()
            if connection is None:
                return False
            if self._clock() < chore.due:
                continue
            try:
                with _writing(connection):
                    more = chore.job(connection)
            except sqlite3.Error as error:
                self._failed(error)
                return False
            chore.due = self._clock() + (0.0 if more else chore.every)
        return True

    def _connected(self) -> sqlite3.Connection | None:
        """The connection to the file that is at the path now; None if there can be none."""
        assert self.path is not None
        if self._connection is not None and self._inode == _inode(self.path):
            return self._connection
        # Writing on into a file that was moved or deleted would be writing into nothing.
        self._disconnect()
        try:
            self._connection, self._inode = open_database(self.path)
        except (OSError, sqlite3.Error, DatabaseNewer) as error:
            self._failed(error)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _failed(self, error: Exception, *, broken: bool = True) -> None:
        """Takes note of a failure; ``broken``: reads are refused until a write has gone well again."""
        self._complain("the store fails, the gateway goes on without it: %s", error)
        if broken:
            self.problem = str(error)
        if is_corrupt(error) and self._connection is not None and self.path is not None:
            self._disconnect()
            try:
                move_aside(self.path, self._inode)
            except (OSError, sqlite3.Error) as stuck:
                self.problem = str(stuck)

    def _complain(self, text: str, error: Exception) -> None:
        self.errors += 1
        now = self._clock()
        if now >= self._quiet_until:
            self._quiet_until = now + LOG_EVERY
            logger.error(text + " (%s)", error, self.path)


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction. A deferred one that turns into a writing one would fail instead of waiting for its turn."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def _settle(answers: list[tuple[asyncio.Future[Any], Any]]) -> None:
    """Runs in the event loop."""
    for answer, found in answers:
        if answer.done():
            continue
        if isinstance(found, StoreUnavailable):
            answer.set_exception(found)
        else:
            answer.set_result(found)


def _inode(path: Path) -> int:
    """0 if there is no such file."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0
