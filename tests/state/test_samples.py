"""Samples of requests: which are taken, what of them is kept, and for how long."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.chat import Audio, Document, Image, Text, Tool, ToolResult
from gateway.config.model import Record, Snapshot
from gateway.ledger import Entry, Ledger, LedgerUnreadable
from gateway.routing.decide import Ask, Decision, Policy
from gateway.samples import Sampled, Samples, read
from gateway.store import Store
from tests.routing.build import CODER, chat, router, turn

from .conftest import Clock, OpenStore

DAY = 86_400.0
SECRET = "My doctor says that I must rest"


def policy(record: Record | None, name: str = "smart") -> Policy:
    return Policy(msgspec.structs.replace(router(), name=name, record=record))


def snapshot(*policies: Policy) -> Snapshot:
    routers = {each.router.name: each.router for each in policies}
    return Snapshot(revision="r", routers=routers, models={}, providers={})


ALL = policy(Record(sample=1.0, days=7))


class Book:
    """Samples of one store, written at once."""

    def __init__(self, store: Store, clock: Clock, *policies: Policy, **settings: Any) -> None:
        self.store = store
        self.clock = clock
        self.samples = Samples(store, snapshot(*(policies or (ALL,))), clock=clock, **settings)

    def offer(self, text: str = "Hi", *, of: Policy = ALL, id: str = "r1", reason: Any = "designated") -> None:
        request = chat(text)
        asked = of.decide(request, None)
        assert isinstance(asked, Ask)
        decision = Decision(asked.eligible[0], reason, asked.eligible)
        self.samples.offer(id, self.clock(), "0123456789ab", of, request, decision)

    async def read(self, *routers: str) -> list[Sampled]:
        assert await self.store.flush()
        assert self.store.path is not None
        found, unreadable = read(self.store.path, routers or ("smart",))
        assert unreadable == 0
        return found

    async def prune(self) -> None:
        assert await self.store.flush()
        while await self.store.read(self.samples.prune):
            pass


@pytest.fixture
def book(open_store: OpenStore, clock: Clock) -> Callable[..., Book]:
    return lambda *policies, **settings: Book(open_store(), clock, *policies, **settings)


# --- which are taken --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "taken"),
    [
        ("designated", True),
        ("only_candidate", True),
        ("fallback_timeout", True),
        ("fallback_open", True),
        ("session", False),
        ("tool_loop", False),
    ],
)
async def test_what_follows_an_earlier_decision_is_none(book: Callable[..., Book], reason: str, taken: bool) -> None:
    kept = book()
    kept.offer(reason=reason)
    assert [sample.decision for sample in await kept.read()] == ([reason] if taken else [])


@pytest.mark.parametrize(("sample", "expected"), [(1.0, 1000), (0.25, 250), (0.01, 10), (0.0, 0)])
async def test_as_many_as_the_router_says(book: Callable[..., Book], sample: float, expected: int) -> None:
    some = policy(Record(sample=sample, days=1))
    kept = book(some, chance=random.Random(7).random)
    for number in range(1000):
        kept.offer(of=some, id=f"{number}")
    assert len(await kept.read()) == pytest.approx(expected, abs=30 if 0 < sample < 1 else 0)


async def test_without_a_word_nothing_is_taken(book: Callable[..., Book]) -> None:
    silent = policy(None)
    kept = book(silent)
    kept.offer(of=silent)
    assert await kept.read() == []


# --- what is kept -----------------------------------------------------------------------------------------------------


async def test_a_sample_decides_the_request_again(book: Callable[..., Book]) -> None:
    request = chat(
        turn("system", "You are kind."),
        *(f"Turn {number}" for number in range(9)),
        turn("user", Text("What is this?"), Image(url="https://example.com/a.png")),
        tools=(Tool("clock"),),
        max_tokens=99,
    )
    asked = ALL.decide(request, None)
    assert isinstance(asked, Ask)
    kept = book()
    decision = ALL.settle(asked, CODER)
    kept.samples.offer("r1", kept.clock(), "0123456789ab", ALL, request, decision)
    (sample,) = await kept.read()
    assert (sample.request_id, sample.router, sample.decision, sample.candidate) == ("r1", "smart", "designated", CODER)
    assert ALL.decide_again(sample.excerpt) == asked


async def test_nothing_is_kept_that_the_designator_does_not_read(book: Callable[..., Book], path: Path) -> None:
    request = chat(
        turn("system", "S" * 300 + "SYSTEM-REST"),
        turn("user", "E" * 200 + "EARLIER-REST"),
        turn("assistant", "ANSWER"),
        turn("tool", ToolResult("c1", (Text("RESULT"),))),
        turn(
            "user",
            Text("H" * 1_200 + "MIDDLE-OF-A-LONG-ASK" + "T" * 800),
            Image(media_type="image/png", data="PICTURE"),
            Document(media_type="application/pdf", data="FILE", name="NAME"),
            Audio("SOUND", "wav"),
        ),
        tools=(Tool("lookup", "DESCRIPTION", {"type": "object", "title": "PARAMETERS"}),),
        user="USER",
    )
    asked = ALL.decide(request, None)
    assert isinstance(asked, Ask)
    kept = book()
    kept.samples.offer("r1", kept.clock(), "0123456789ab", ALL, request, ALL.settle(asked, CODER))
    assert await kept.store.flush()
    with closing(sqlite3.connect(path)) as connection:
        (row,) = connection.execute("SELECT * FROM samples").fetchall()
    text = "".join(map(str, row))
    assert asked.prompt.messages[1].text in text
    for word in ("REST", "ANSWER", "RESULT", "MIDDLE", "PICTURE", "FILE", "NAME", "SOUND", "DESCRIPTION", "PARAM"):
        assert word not in text
    assert "USER" not in text
    assert len(text) < 6_000


async def test_the_longest_request_is_a_small_sample(book: Callable[..., Book], path: Path) -> None:
    kept = book()
    for _ in range(3):
        kept.offer("\U0001f600" * 1_000_000)
    await kept.read()
    with closing(sqlite3.connect(path)) as connection:
        assert max(size for (size,) in connection.execute("SELECT length(CAST(brief AS BLOB)) FROM samples")) < 20_000


async def test_a_text_with_a_key_is_not_kept(book: Callable[..., Book]) -> None:
    kept = book()
    kept.offer("Why does sk-abcdefghijklmnop1234 not work?", id="a")
    kept.offer("Why does my key not work?", id="b")
    assert [sample.request_id for sample in await kept.read()] == ["b"]


async def test_a_text_that_no_file_can_hold_costs_one_sample(book: Callable[..., Book]) -> None:
    kept = book()
    request = chat("\ud800")
    lone = Decision(ALL.router.candidates[0], "only_candidate", ALL.router.candidates[:1])
    kept.samples.offer("a", kept.clock(), "0123456789ab", ALL, request, lone)
    kept.offer(id="b")
    assert [sample.request_id for sample in await kept.read()] == ["b"]


async def test_tokens_are_those_of_the_ledger(book: Callable[..., Book]) -> None:
    kept = book()
    ledger = Ledger(kept.store, keep=DAY)
    ledger.add(Entry(time=kept.clock(), request_id="a", dialect="openai", router="smart", input=70, output=8))
    kept.offer(id="a")
    kept.offer(id="b")
    assert [(sample.input, sample.output) for sample in await kept.read()] == [(70, 8), (None, None)]


async def test_a_lone_candidate_was_decided_on_without_a_question(book: Callable[..., Book]) -> None:
    kept = book()
    lone = Decision(ALL.router.candidates[0], "only_candidate", ALL.router.candidates[:1])
    kept.samples.offer("r1", kept.clock(), "0123456789ab", ALL, chat("Hi"), lone)
    (sample,) = await kept.read()
    assert sample.question == ""
    assert isinstance(ALL.decide_again(sample.excerpt), Ask), "who was eligible is decided anew"


# --- for how long -----------------------------------------------------------------------------------------------------


async def test_samples_are_deleted_after_the_days_of_their_router(book: Callable[..., Book]) -> None:
    short = policy(Record(sample=1.0, days=1), "short")
    kept = book(ALL, short)
    kept.offer()
    kept.offer(of=short)
    kept.clock.now += 2 * DAY
    kept.offer(of=short, id="r2")
    await kept.prune()
    assert [(each.router, each.request_id) for each in await kept.read("smart", "short")] == [
        ("smart", "r1"),
        ("short", "r2"),
    ]
    kept.clock.now += 6 * DAY
    await kept.prune()
    assert await kept.read("smart", "short") == []


@pytest.mark.parametrize("left", [(), (policy(None),)], ids=["removed", "without record"])
async def test_a_router_that_records_no_more_leaves_nothing(
    book: Callable[..., Book], path: Path, left: tuple[Policy, ...]
) -> None:
    kept = book()
    for number in range(50):
        kept.offer(f"{SECRET} {number}")
    assert len(await kept.read()) == 50
    await kept.store.aclose()
    assert holds_secret(path)
    kept = book()
    kept.samples.follow(snapshot(*left))
    await kept.prune()
    assert await kept.read() == []
    await kept.store.aclose()
    assert not holds_secret(path), "the space is written over"


def holds_secret(path: Path) -> bool:
    """Whether its bytes are anywhere in the database's files."""
    return any(SECRET.encode() in file.read_bytes() for file in path.parent.iterdir())


async def test_other_tables_are_as_quick_to_delete_as_before(book: Callable[..., Book]) -> None:
    kept = book()
    await kept.prune()
    assert await kept.store.read(lambda connection: connection.execute("PRAGMA secure_delete").fetchone()) == (0,)


async def test_a_zero_share_keeps_what_there_is(book: Callable[..., Book]) -> None:
    kept = book()
    kept.offer()
    assert await kept.store.flush()
    kept.samples.follow(snapshot(policy(Record(sample=0.0, days=7))))
    await kept.prune()
    assert len(await kept.read()) == 1


async def test_the_newest_are_kept_where_there_are_too_many(book: Callable[..., Book]) -> None:
    other = policy(Record(sample=1.0, days=7), "other")
    kept = book(ALL, other, most_of_one=20, most=30)
    for number in range(50):
        kept.clock.now += 1
        kept.offer(id=f"{number}")
        kept.offer(id=f"{number}", of=other)
    await kept.prune()
    mine, others = await kept.read(), await kept.read("other")
    assert len(mine) + len(others) == 30
    assert {int(sample.request_id) for sample in (*mine, *others)} == set(range(35, 50))


async def test_many_writes_bring_the_next_prune_forward(open_store: OpenStore, path: Path) -> None:
    clock = Clock()
    store = open_store(clock=clock)
    kept = Book(store, Clock(), most_of_one=10)
    for number in range(100):
        kept.offer(id=f"{number}")
    assert await store.flush()
    clock.now += 1.0
    await kept.prune()
    assert len(read(path, ["smart"])[0]) == 10


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_the_latest_of_those_asked_for(book: Callable[..., Book], path: Path) -> None:
    other = policy(Record(sample=1.0, days=7), "other")
    kept = book(ALL, other)
    begin = kept.clock.now
    for number in range(5):
        kept.clock.now += 1
        kept.offer(id=f"{number}")
        kept.offer(id="other", of=other)
    await kept.read()
    found, _ = read(path, ["smart"], since=begin + 2, limit=3)
    assert [sample.request_id for sample in found] == ["2", "3", "4"]


async def test_what_another_version_wrote_is_counted(book: Callable[..., Book], path: Path) -> None:
    kept = book()
    for number in range(3):
        kept.offer(id=f"{number}")
    await kept.read()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE samples SET brief = '{\"eligible\": 5}' WHERE request_id = '1'")
        connection.execute("UPDATE samples SET needs = 'x' WHERE request_id = '2'")
        connection.commit()
    found, unreadable = read(path, ["smart"])
    assert ([sample.request_id for sample in found], unreadable) == (["0"], 2)


async def test_a_file_of_before_there_were_samples(open_store: OpenStore, path: Path) -> None:
    await open_store().aclose()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE samples")
    assert read(path, ["smart"]) == ([], 0)


def test_no_file(path: Path) -> None:
    with pytest.raises(LedgerUnreadable, match="no such file"):
        read(path, ["smart"])
