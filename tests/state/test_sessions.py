"""Pins: memory first, the store in doubt, and no worse without it."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.sessions import RECHECK, Pin, PinStore, Sessions, SqlitePins
from gateway.store import Store, StoreUnavailable

from .conftest import Clock, OpenStore, key

KEY = b"k" * 16
TTL = 3600.0


def count(connection: sqlite3.Connection) -> int:
    result: int = connection.execute("SELECT count(*) FROM pins").fetchone()[0]
    return result


class Worker:
    """One worker of a machine: its memory, its thread, and the file that it shares."""

    def __init__(self, store: Store, clock: Clock, capacity: int = 1000, recheck: float = RECHECK) -> None:
        self.store = store
        self.pins = SqlitePins(store, capacity=capacity, clock=clock)
        self.sessions = Sessions(self.pins, capacity=capacity, recheck=recheck, clock=clock)


@pytest.fixture
def worker(open_store: OpenStore, clock: Clock) -> Callable[..., Worker]:
    return lambda **options: Worker(open_store(), clock, **options)


class FakePins:
    """A store whose answers are made by hand."""

    def __init__(self, *answers: Pin | StoreUnavailable | None) -> None:
        self.capacity = 1000
        self.answers = list(answers)
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def get(self, key: bytes) -> Pin | None:
        self.asked.set()
        await self.may_answer.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, StoreUnavailable):
            raise answer
        return answer

    def put(self, key: bytes, router: str, pin: Pin, *, first: bool) -> None:
        """Goes nowhere."""

    def extend(self, key: bytes, pin: Pin) -> None:
        """Goes nowhere."""

    def drop(self, key: bytes) -> None:
        """Goes nowhere."""

    async def settle(self) -> None:
        """Nothing to wait for."""


# --- memory alone ---------------------------------------------------------------------------------------------------


async def test_memory_alone_remembers_moves_and_forgets(clock: Clock) -> None:
    sessions = Sessions(None, capacity=10, clock=clock)
    assert await sessions.get(KEY) is None
    sessions.put(KEY, "r", "a", TTL)
    assert await sessions.get(KEY) == "a"
    sessions.put(KEY, "r", "b", TTL)
    assert await sessions.get(KEY) == "b"
    sessions.drop(KEY)
    assert await sessions.get(KEY) is None
    assert len(sessions) == 0


async def test_the_expiry_slides_with_use(clock: Clock) -> None:
    sessions = Sessions(None, capacity=10, clock=clock)
    sessions.put(KEY, "r", "a", TTL)
    for _ in range(5):
        clock.now += 0.9 * TTL
        assert await sessions.get(KEY) == "a"
        sessions.touch(KEY, "r", "a", TTL)
    clock.now += TTL
    assert await sessions.get(KEY) is None
    assert len(sessions) == 0


async def test_touching_what_has_moved_changes_nothing(clock: Clock) -> None:
    sessions = Sessions(None, capacity=10, clock=clock)
    sessions.put(KEY, "r", "b", TTL)
    clock.now += 10
    sessions.touch(KEY, "r", "a", TTL)
    clock.now += TTL - 10
    assert await sessions.get(KEY) is None


async def test_the_least_recently_used_go_first(clock: Clock) -> None:
    sessions = Sessions(None, capacity=3, clock=clock)
    for number in range(3):
        sessions.put(key(number), "r", "a", TTL)
    await sessions.get(key(0))
    sessions.put(key(3), "r", "a", TTL)
    assert [await sessions.get(key(number)) for number in range(4)] == ["a", None, "a", "a"]
    sessions.resize(1)
    assert len(sessions) == 1
    assert await sessions.get(key(3)) == "a"


async def test_a_flood_of_sessions_stays_within_the_bound(clock: Clock) -> None:
    sessions = Sessions(None, capacity=1000, clock=clock)
    for number in range(100_000):
        sessions.put(key(number), "r", "a", TTL)
        clock.now += 60 / 100_000
    assert len(sessions) == 1000


def test_expired_entries_do_not_count(clock: Clock) -> None:
    sessions = Sessions(None, capacity=1000, clock=clock)
    for number in range(100):
        sessions.put(key(number), "r", "a", TTL)
    clock.now += TTL
    assert len(sessions) == 0


# --- the shared store -----------------------------------------------------------------------------------------------


async def test_pins_survive_a_restart(worker: Callable[..., Worker]) -> None:
    before = worker()
    before.sessions.put(KEY, "r", "a", TTL)
    await before.store.aclose()
    after = worker()
    assert await after.sessions.get(KEY) == "a"
    assert len(after.sessions) == 1


async def test_another_worker_sees_a_move_within_a_second(worker: Callable[..., Worker], clock: Clock) -> None:
    one, two = worker(), worker()
    one.sessions.put(KEY, "r", "a", TTL)
    await one.store.flush()
    assert await two.sessions.get(KEY) == "a"
    one.sessions.put(KEY, "r", "b", TTL)
    await one.store.flush()
    assert await two.sessions.get(KEY) == "a", "checked less than a second ago"
    clock.now += RECHECK
    assert await two.sessions.get(KEY) == "b"


async def test_an_only_worker_trusts_its_memory(worker: Callable[..., Worker], clock: Clock) -> None:
    one, other = worker(recheck=math.inf), worker()
    one.sessions.put(KEY, "r", "a", TTL)
    await one.store.flush()
    other.sessions.put(KEY, "r", "b", TTL)
    await other.store.flush()
    clock.now += TTL / 2
    assert await one.sessions.get(KEY) == "a"


async def test_of_two_first_decisions_the_first_that_is_stored_wins(
    worker: Callable[..., Worker], clock: Clock
) -> None:
    one, two = worker(), worker()
    one.sessions.put(KEY, "r", "a", TTL, first=True)
    two.sessions.put(KEY, "r", "b", TTL, first=True)
    await one.store.flush()
    await two.store.flush()
    two.sessions.touch(KEY, "r", "b", TTL)
    clock.now += RECHECK
    assert [await each.sessions.get(KEY) for each in (one, two)] == ["a", "a"]


async def test_a_first_decision_replaces_an_expired_one(worker: Callable[..., Worker], clock: Clock) -> None:
    one, two = worker(), worker()
    one.sessions.put(KEY, "r", "a", TTL)
    await one.store.flush()
    clock.now += TTL
    assert await two.sessions.get(KEY) is None
    two.sessions.put(KEY, "r", "b", TTL, first=True)
    await two.store.flush()
    assert await one.sessions.get(KEY) == "b"


async def test_a_drop_is_seen_by_all(worker: Callable[..., Worker], clock: Clock) -> None:
    one, two = worker(), worker()
    one.sessions.put(KEY, "r", "a", TTL)
    await one.store.flush()
    assert await two.sessions.get(KEY) == "a"
    one.sessions.drop(KEY)
    assert await one.sessions.get(KEY) is None, "although the store still has it"
    await one.store.flush()
    clock.now += RECHECK
    assert [await each.sessions.get(KEY) for each in (one, two)] == [None, None]


async def test_a_sliding_expiry_is_written_after_a_tenth_of_it(worker: Callable[..., Worker], clock: Clock) -> None:
    one = worker()
    start = clock.now

    async def saved() -> float:
        await one.store.flush()
        pin = await one.pins.get(KEY)
        assert pin is not None
        return pin.expires - start

    one.sessions.put(KEY, "r", "a", TTL)
    expiries = []
    for _ in range(4):
        clock.now += 0.06 * TTL
        one.sessions.touch(KEY, "r", "a", TTL)
        expiries.append(await saved() / TTL)
    assert expiries == pytest.approx([1.0, 1.12, 1.12, 1.24])


async def test_what_memory_knows_of_the_expiry_counts(worker: Callable[..., Worker], clock: Clock) -> None:
    one = worker()
    one.sessions.put(KEY, "r", "a", TTL)
    await one.store.flush()
    clock.now += 0.05 * TTL
    one.sessions.touch(KEY, "r", "a", TTL)
    clock.now += 0.97 * TTL
    assert await one.sessions.get(KEY) == "a"


async def test_the_table_is_pruned_expired_first_then_the_next_to_expire(
    worker: Callable[..., Worker], clock: Clock
) -> None:
    one = worker(capacity=10)
    for number in range(20):
        one.sessions.put(key(number), "r", "a", 1.0 if number >= 15 else TTL - number)
    clock.now += 1
    await one.store.flush()
    assert await one.store.read(count) == 20
    await one.store.read(one.pins.prune)
    assert await one.store.read(count) == 10
    assert await one.pins.get(key(10)) is None
    assert await one.pins.get(key(9)) is not None


async def test_a_flood_is_pruned_before_its_time(path: Path) -> None:
    near = threading.Event()
    over = False

    def look(connection: sqlite3.Connection) -> bool:
        if over and count(connection) <= 550:
            near.set()
        return True

    store = Store(path, interval=0.001)
    pins = SqlitePins(store, capacity=500)
    store.every(0.0, look)
    for number in range(20_000):
        pins.put(key(number), "r", Pin("a", 1e12 + number), first=True)
    assert await store.flush()
    over = True
    assert await asyncio.to_thread(near.wait, 10)
    await store.aclose()


# --- a store in trouble ---------------------------------------------------------------------------------------------


async def test_memory_decides_while_the_store_cannot(clock: Clock) -> None:
    away = StoreUnavailable("away")
    sessions = Sessions(FakePins(away, away, Pin("b", clock.now + TTL)), capacity=10, clock=clock)
    assert await sessions.get(KEY) is None
    sessions.put(KEY, "r", "a", TTL)
    clock.now += RECHECK
    assert await sessions.get(KEY) == "a"
    assert await sessions.get(KEY) == "a", "not asked again within the second"
    clock.now += RECHECK
    assert await sessions.get(KEY) == "b"


async def test_pins_hold_while_the_disk_is_full(worker: Callable[..., Worker], clock: Clock, path: Path) -> None:
    one = worker()
    await one.store.flush()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    one.sessions.put(KEY, "r", "a", TTL)
    assert not await one.store.flush()
    clock.now += RECHECK
    # The file can be read, but it does not know what it was never told.
    assert await one.sessions.get(KEY) == "a"
    other.close()
    assert await one.store.flush()
    clock.now += RECHECK
    assert await one.sessions.get(KEY) == "a"


@pytest.mark.parametrize("meanwhile", ["put", "drop"])
async def test_an_answer_older_than_memory_is_ignored(clock: Clock, meanwhile: str) -> None:
    pins = FakePins(Pin("stale", clock.now + TTL))
    pins.may_answer.clear()
    sessions = Sessions(pins, capacity=10, clock=clock)
    reading = asyncio.ensure_future(sessions.get(KEY))
    await pins.asked.wait()
    if meanwhile == "put":
        sessions.put(KEY, "r", "fresh", TTL)
    else:
        sessions.drop(KEY)
    pins.may_answer.set()
    assert await reading == ("fresh" if meanwhile == "put" else None)


async def test_a_clock_that_is_set_back_makes_memory_ask_again(clock: Clock) -> None:
    sessions = Sessions(FakePins(Pin("b", clock.now + TTL)), capacity=10, clock=clock)
    sessions.put(KEY, "r", "a", TTL)
    clock.now -= 600
    assert await sessions.get(KEY) == "b"


def test_the_sqlite_pins_are_a_pin_store(open_store: OpenStore) -> None:
    pins: PinStore = SqlitePins(Store(None), capacity=10)
    assert pins.capacity == 10
    Sessions(pins, capacity=10).resize(20)
    assert pins.capacity == 20


async def test_who_looked_before_a_claim_landed_finds_its_pin(clock: Clock) -> None:
    """Between looking and claiming nobody can slip through and decide a second time."""
    pins = FakePins(None, None)
    sessions = Sessions(pins, capacity=10, clock=clock)
    decisions = 0

    async def decide() -> str:
        nonlocal decisions
        decisions += 1
        sessions.put(KEY, "r", "a", TTL, first=True)
        return "a"

    async def request() -> str:
        pinned = await sessions.get(KEY)
        return pinned if pinned is not None else await sessions.claim(KEY, decide)

    pins.may_answer.clear()
    late = asyncio.create_task(request())
    await pins.asked.wait()
    assert await sessions.claim(KEY, decide) == "a"
    pins.may_answer.set()
    assert await late == "a"
    assert decisions == 1
