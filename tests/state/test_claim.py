"""Single flight: one piece of work for all that ask at once, whoever of them leaves."""

from __future__ import annotations

import asyncio

import pytest

from gateway.sessions import Sessions

KEY = b"k" * 16


class Work:
    """Something to be done once, that ends when it is told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.cancelled = 0
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.runs += 1
        try:
            return await asyncio.shield(self.end)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def ask(sessions: Sessions, work: Work, times: int) -> list[asyncio.Task[str]]:
    """So many that wait for the work, which has begun."""
    waiters = [asyncio.create_task(sessions.claim(KEY, work)) for _ in range(times)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return waiters


async def leave(*waiters: asyncio.Task[str]) -> None:
    for waiter in waiters:
        waiter.cancel()
    await asyncio.wait(waiters)
    await asyncio.sleep(0)


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(None, capacity=10)


async def test_two_hundred_share_one_result(sessions: Sessions) -> None:
    work = Work()
    waiters = await ask(sessions, work, 200)
    work.end.set_result("a")
    assert await asyncio.gather(*waiters) == ["a"] * 200
    assert work.runs == 1


async def test_two_hundred_share_one_error(sessions: Sessions) -> None:
    work = Work()
    waiters = await ask(sessions, work, 200)
    work.end.set_exception(ValueError("no"))
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert all(isinstance(result, ValueError) for result in results)
    assert work.runs == 1


@pytest.mark.parametrize("leavers", [slice(0, 1), slice(1, 3), slice(0, 2)], ids=["leader", "followers", "most"])
async def test_who_leaves_takes_nothing_from_who_stays(sessions: Sessions, leavers: slice) -> None:
    work = Work()
    waiters = await ask(sessions, work, 3)
    gone = waiters[leavers]
    await leave(*gone)
    work.end.set_result("a")
    assert [await waiter for waiter in waiters if waiter not in gone] == ["a"] * (3 - len(gone))
    assert (work.runs, work.cancelled) == (1, 0)


async def test_when_all_have_left_the_work_ends_and_the_next_begins_anew(sessions: Sessions) -> None:
    work = Work()
    await leave(*await ask(sessions, work, 3))
    assert (work.runs, work.cancelled) == (1, 1)
    waiters = await ask(sessions, work, 2)
    assert work.runs == 2
    work.end.set_result("a")
    assert await asyncio.gather(*waiters) == ["a", "a"]


async def test_who_comes_while_the_last_one_leaves_begins_anew(sessions: Sessions) -> None:
    work = Work()
    (last,) = await ask(sessions, work, 1)
    last.cancel()
    (next_,) = await ask(sessions, work, 1)
    work.end.set_result("a")
    assert await next_ == "a"
    assert (work.runs, work.cancelled) == (2, 1)


async def test_an_end_is_not_remembered(sessions: Sessions) -> None:
    for result in ("a", "b"):
        work = Work()
        waiters = await ask(sessions, work, 2)
        work.end.set_result(result)
        assert await asyncio.gather(*waiters) == [result] * 2


async def test_keys_do_not_wait_for_each_other(sessions: Sessions) -> None:
    slow, fast = Work(), Work()
    waiter = (await ask(sessions, slow, 1))[0]
    fast.end.set_result("fast")
    assert await sessions.claim(b"other", fast) == "fast"
    slow.end.set_result("slow")
    assert await waiter == "slow"
