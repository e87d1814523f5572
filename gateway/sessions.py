"""Which candidate a session stays with: pins in memory, backed by a store that all workers share.

A pin is the answer to "who served this conversation (or asked for this tool)?". Memory is asked first; the store is
asked where memory knows nothing, and again where it has not been asked for a second, because another worker may have
moved the session. What a worker does itself counts at once; what another one does is seen a second later at most.

Nothing is ever worse than without a store: where it cannot answer, memory alone decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import sqlite3
import sys
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from gateway.store import Lane, Store, StoreUnavailable

T = TypeVar("T")

#: Seconds for which an entry that was checked against the store is used as it is.
RECHECK = 1.0
#: The part of a TTL that may pass before a sliding expiry is written again.
_SLACK = 0.1
#: Seconds between two prunings of the table, and the most rows that one transaction deletes.
_PRUNE_EVERY = 30.0
_PRUNE_ROWS = 5000
#: The most seconds that an answer waits for its pin to be stored.
_SETTLE = 0.25
#: Changes of pins that wait for the disk; then the oldest are forgotten.
_WAITING = 100_000

_GET = "SELECT candidate, expires FROM pins WHERE key = ?"
_PUT = """
    INSERT INTO pins (key, router, candidate, expires) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (key) DO UPDATE SET (router, candidate, expires) = (?2, ?3, ?4)
"""
_PUT_FIRST = f"{_PUT} WHERE pins.expires <= ?5"
_EXTEND = "UPDATE pins SET expires = ?1 WHERE key = ?2 AND candidate = ?3 AND expires < ?1"
_DROP = "DELETE FROM pins WHERE key = ?1"
_PRUNE_EXPIRED = "DELETE FROM pins WHERE key IN (SELECT key FROM pins WHERE expires <= ? LIMIT ?)"
_PRUNE_NEXT = "DELETE FROM pins WHERE key IN (SELECT key FROM pins ORDER BY expires LIMIT ?)"


class Pin(msgspec.Struct, frozen=True, gc=False):
    """A model id and when the pin ends, in seconds since 1970."""

    candidate: str
    expires: float


class PinStore(Protocol):
    """What :class:`Sessions` needs of a place that several workers share. Writes never wait; all keys are 16 bytes."""

    capacity: int

    async def get(self, key: bytes) -> Pin | None:
        """The pin, also if it has expired; None if there is none. Raises StoreUnavailable."""

    def put(self, key: bytes, router: str, pin: Pin, *, first: bool) -> None:
        """Sets the pin. With ``first`` a pin that is there and has not expired stays."""

    def extend(self, key: bytes, pin: Pin) -> None:
        """Lets the pin end later, if it still names the same candidate."""

    def drop(self, key: bytes) -> None:
        """Removes the pin."""

    async def settle(self) -> None:
        """Returns once every worker can see what was changed before, or when that would take too long."""


class _Held(msgspec.Struct, gc=False):
    """A pin in memory. An empty ``candidate`` says that the pin was dropped, which the store may not know yet."""

    candidate: str
    expires: float
    #: When memory and store were last known to agree.
    checked: float
    #: The expiry that the store knows.
    saved: float


class _Flight:
    """Work that several requests wait for."""

    __slots__ = ("task", "waiters")

    def __init__(self, task: asyncio.Future[Any]) -> None:
        self.task = task
        self.waiters = 0


class Sessions:
    """The pins. All methods belong to the event loop's thread.

    ``pins`` None means memory only. ``capacity`` bounds the entries in memory and the rows of the table; the least
    recently used go first. ``recheck`` is the time in seconds for which an entry needs no look into the store:
    infinite where this is the only worker. ``clock`` gives seconds since 1970.
    """

    def __init__(
        self,
        pins: PinStore | None,
        *,
        capacity: int,
        recheck: float = RECHECK,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pins = pins
        self._capacity = capacity
        self._recheck = recheck
        self._clock = clock
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        self._flights: dict[bytes, _Flight] = {}

    def __len__(self) -> int:
        """How many pins this worker holds."""
        self._evict(self._clock())
        return len(self._held)

    def resize(self, capacity: int) -> None:
        """A new bound, after a reload."""
        self._capacity = capacity
        if self._pins is not None:
            self._pins.capacity = capacity
        self._evict(self._clock())

    async def get(self, key: bytes) -> str | None:
        """The id of the candidate that ``key`` is pinned to; None if there is no pin or it has expired."""
        now = self._clock()
        before = held = self._held.get(key)
        if self._pins is None or (held is not None and 0.0 <= now - held.checked < self._recheck):
            return self._live(key, held, now)
        try:
            pin = await self._pins.get(key)
        except StoreUnavailable:
            held = self._held.get(key)
            if held is not None:
                held.checked = now
            return self._live(key, held, now)
        held = self._held.get(key)
        if held is not None and held is not before:
            # Put or dropped while the store was being read: memory knows better than the answer.
            return self._live(key, held, now)
        if pin is None:
            self._held.pop(key, None)
            return None
        expires = pin.expires
        if held is not None and held.candidate == pin.candidate:
            # A sliding expiry is not written at every use: memory may know better.
            expires = max(expires, held.expires)
        if expires <= now:
            self._held.pop(key, None)
            return None
        self._hold(key, _Held(sys.intern(pin.candidate), expires, now, pin.expires), now)
        return pin.candidate

    def put(self, key: bytes, router: str, candidate: str, ttl: float, *, first: bool = False) -> None:
        """Pins ``key`` for ``ttl`` seconds.

        ``first``: the session is new. Where two workers decide one at the same time the first that is stored wins,
        and both follow it within a second. Without it the session moves, whatever was there.
        """
        now = self._clock()
        pin = Pin(candidate, now + ttl)
        self._hold(key, _Held(candidate, pin.expires, now, pin.expires), now)
        if self._pins is not None:
            self._pins.put(key, router, pin, first=first)

    def touch(self, key: bytes, router: str, candidate: str, ttl: float) -> None:
        """Lets the pin to ``candidate`` live ``ttl`` seconds from now; nothing happens if the session has moved.

        In memory at once, in the store when a tenth of that time has passed since it was last told.
        """
        held = self._held.get(key)
        if held is None:
            self.put(key, router, candidate, ttl, first=True)
        elif held.candidate == candidate:
            held.expires = self._clock() + ttl
            if self._pins is not None and held.expires - held.saved > ttl * _SLACK:
                held.saved = held.expires
                self._pins.extend(key, Pin(candidate, held.expires))

    def drop(self, key: bytes) -> None:
        """Forgets the pin."""
        if self._pins is None:
            self._held.pop(key, None)
            return
        now = self._clock()
        self._hold(key, _Held("", now + RECHECK, now, now), now)
        self._pins.drop(key)

    async def settle(self) -> None:
        """Returns once the other workers, if there are any, can see what was put before: a client may be quick."""
        if self._pins is not None and math.isfinite(self._recheck):
            await self._pins.settle()

    async def claim(self, key: bytes, make: Callable[[], Awaitable[T]]) -> T:
        """``make()``, run once for all that ask for ``key`` at the same time; its error is everybody's error.

        The work belongs to nobody: whoever asked first may leave, and it goes on while one waiter is left. When the
        last one leaves it is cancelled, and who comes then begins anew.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(make()))
            flight.task.add_done_callback(lambda _: self._landed(key, flight))
        flight.waiters += 1
        try:
            result: T = await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._landed(key, flight)
                flight.task.cancel()
        return result

    def claimed(self, key: bytes) -> bool:
        """Whether work for ``key`` is going on."""
        return key in self._flights

    def _landed(self, key: bytes, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    def _live(self, key: bytes, held: _Held | None, now: float) -> str | None:
        if held is None:
            return None
        if held.expires <= now:
            del self._held[key]
            return None
        self._held.move_to_end(key)
        return held.candidate or None

    def _hold(self, key: bytes, held: _Held, now: float) -> None:
        self._held[key] = held
        self._held.move_to_end(key)
        self._evict(now)

    def _evict(self, now: float) -> None:
        """Drops the least recently used above the bound, and those that have expired at that end."""
        entries = self._held
        while entries:
            oldest = next(iter(entries))
            if len(entries) <= self._capacity and entries[oldest].expires > now:
                return
            del entries[oldest]


class SqlitePins:
    """The pins in the machine's :class:`~gateway.store.Store`: a :class:`PinStore`.

    The table is pruned every 30 seconds, and after a tenth of ``capacity`` changes: the expired pins first, then
    those that expire next.
    """

    def __init__(self, store: Store, *, capacity: int, clock: Callable[[], float] = time.time) -> None:
        self.capacity = capacity
        self._store = store
        self._clock = clock
        self._changes = 0
        self._lane: Lane[tuple[str, tuple[Any, ...]]] = store.lane(self._write, _WAITING)
        self._pruning = store.every(_PRUNE_EVERY, self.prune)

    async def get(self, key: bytes) -> Pin | None:
        """See :class:`PinStore`."""
        row = await self._store.read(lambda connection: connection.execute(_GET, (key,)).fetchone())
        return Pin(*row) if row else None

    def put(self, key: bytes, router: str, pin: Pin, *, first: bool) -> None:
        """See :class:`PinStore`."""
        values = (key, router, pin.candidate, pin.expires)
        self._lane.add((_PUT_FIRST, (*values, self._clock())) if first else (_PUT, values))

    def extend(self, key: bytes, pin: Pin) -> None:
        """See :class:`PinStore`."""
        self._lane.add((_EXTEND, (pin.expires, key, pin.candidate)))

    def drop(self, key: bytes) -> None:
        """See :class:`PinStore`."""
        self._lane.add((_DROP, (key,)))

    async def settle(self) -> None:
        """See :class:`PinStore`."""
        if self._store.problem is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SETTLE):
                    await self._store.flush()

    def prune(self, connection: sqlite3.Connection) -> bool:
        """Deletes what is too much, a bounded number of rows at a time; True if there may be more. In the thread."""
        self._changes = 0
        if connection.execute(_PRUNE_EXPIRED, (self._clock(), _PRUNE_ROWS)).rowcount == _PRUNE_ROWS:
            return True
        surplus: int = connection.execute("SELECT count(*) FROM pins").fetchone()[0] - self.capacity
        if surplus > 0:
            connection.execute(_PRUNE_NEXT, (min(surplus, _PRUNE_ROWS),))
        return surplus > _PRUNE_ROWS

    def _write(self, connection: sqlite3.Connection, changes: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        for statement, values in changes:
            connection.execute(statement, values)
        self._changes += len(changes)
        if self._changes > self.capacity // 10:
            self._pruning.due = float("-inf")
