"""What a request is charged: tokens and costs of who answered, of who decided, and of nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.call import MAX_TAGS
from gateway.config.model import Client, Price, Router, Secret
from gateway.ledger import Entry
from tests.faultserver import PATIENCE
from tests.relaykit import Kit, Play, Recorder, answered, model, router, snapshot
from tests.server.scene import DONE, completion, delta, finish

#: USD per million tokens, so that a token's price is a millionth of it.
GOOD = model("good/m", price=Price(input=2.0, output=8.0, cache_read=0.5))
DEAR = model("dear/m", price=Price(input=4.0, output=16.0))
BARE = model("bare/m")
CLAUDE = model("claude/m", wire="anthropic", price=Price(input=3.0, output=15.0, cache_read=0.3, cache_write=3.75))
JUDGE = model("judge/m", price=Price(input=0.1, output=0.4, cache_read=0.025))

USED = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "total_tokens": 1200,
    "prompt_tokens_details": {"cached_tokens": 400},
    "completion_tokens_details": {"reasoning_tokens": 50},
}
ASKED = {
    "prompt_tokens": 300,
    "completion_tokens": 4,
    "total_tokens": 304,
    "prompt_tokens_details": {"cached_tokens": 256},
}
MILLIONTH = 1e-6


def tells(usage: Any, text: str = "Hi") -> Play:
    """Answers with ``usage``, whole or streamed."""

    def play(body: Any) -> httpx.Response:
        if not body.get("stream"):
            return answered(json.dumps({**json.loads(completion(text)), "usage": usage}))
        last = json.dumps({"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [], "usage": usage})
        return answered(f"{delta(text)}{finish()}data: {last}\n\n{DONE}", content_type="text/event-stream")

    return play


def fails(status: int) -> Play:
    return lambda body: answered('{"error": {"message": "no", "type": "no"}}', status)


def kit(*routers: Router, models: tuple[Any, ...] = ()) -> Kit:
    made = Kit(snapshot(*routers, models=models))
    made.tame.plays |= {"good": tells(USED), "dear": tells(USED), "bare": tells(USED)}
    made.tame.plays["judge"] = tells(ASKED, made.tame.choice)
    return made


def usd(entry: Entry) -> tuple[float | None, ...]:
    """The costs, in millionths of a dollar."""
    costs = (entry.cost, entry.dearest_cost, entry.designator_cost)
    return tuple(None if each is None else round(each / MILLIONTH, 3) for each in costs)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("dialect", ["openai", "anthropic", "ollama"])
async def test_a_routed_request(dialect: str, stream: bool) -> None:
    async with kit(router(GOOD, DEAR, designator=JUDGE)) as it:
        await it.ask(dialect, stream=stream)
    (entry,) = it.entries
    assert (entry.input, entry.output, entry.cache_read, entry.cache_write, entry.reasoning) == (
        1000,
        200,
        400,
        None,
        50,
    )
    assert (entry.designator_input, entry.designator_output, entry.designator_cache_read) == (300, 4, 256)
    # 600 x 2 + 400 x 0.5 + 200 x 8; the dearest has no cache: 1000 x 4 + 200 x 16; 44 x 0.1 + 256 x 0.025 + 4 x 0.4.
    assert usd(entry) == (3000.0, 7200.0, 12.4)
    assert it.metric("cost_usd_total", router="smart", model="good/m", role="candidate") == entry.cost
    assert it.metric("cost_usd_total", router="smart", model="judge/m", role="designator") == entry.designator_cost
    assert it.metric("dearest_cost_usd_total", router="smart") == entry.dearest_cost


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ((GOOD, BARE), (3000.0, None, 12.4)),
        ((BARE, GOOD), (None, None, 12.4)),
        # What it cost is not known: its cache was used, and has no price.
        ((DEAR, GOOD), (None, None, 12.4)),
    ],
    ids=["another one is not priced", "it is not priced", "its cache is not priced"],
)
async def test_what_is_not_known_stays_unknown(candidates: tuple[Any, ...], expected: tuple[float | None, ...]) -> None:
    async with kit(router(*candidates, designator=JUDGE)) as it:
        await it.ask()
    assert usd(it.entries[0]) == expected


async def test_a_model_that_was_asked_for_has_no_dearest() -> None:
    async with kit(router(GOOD, DEAR), models=(GOOD,)) as it:
        await it.ask(model="good/m")
    assert usd(it.entries[0]) == (3000.0, None, None)


async def test_no_usage_no_cost() -> None:
    async with kit(router(GOOD)) as it:
        it.tame.plays["good"] = tells(None)
        await it.ask()
    assert (it.entries[0].input, *usd(it.entries[0])) == (None, None, None, None)


async def test_a_provider_that_exaggerates_is_not_believed() -> None:
    async with kit(router(GOOD)) as it:
        it.tame.plays["good"] = tells({"prompt_tokens": 10**19, "completion_tokens": 5})
        await it.ask()
    assert (it.entries[0].input, it.entries[0].output, it.entries[0].cost) == (None, 5, None)


# --- attempts that fail -----------------------------------------------------------------------------------------------

_CLAUDE_BEGINS = (
    'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    '"model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,'
    '"cache_read_input_tokens":100,"cache_creation_input_tokens":0,"output_tokens":1}}}\n\n'
)
_CLAUDE_SAYS = (
    'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text",'
    '"text":""}}\n\nevent: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
    '{"type":"text_delta","text":"Hi"}}\n\n'
)
_CLAUDE_FAILS = 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"no"}}\n\n'


def breaks(*events: str) -> Play:
    return lambda body: answered("".join(events), content_type="text/event-stream")


async def test_who_failed_is_not_charged() -> None:
    async with kit(router(CLAUDE, GOOD, designator=JUDGE)) as it:
        it.tame.plays["claude"] = breaks(_CLAUDE_BEGINS, _CLAUDE_FAILS)
        await it.ask(stream=True)
    (entry,) = it.entries
    assert (entry.decision, entry.candidate, entry.provider_model) == ("failover", "good/m", "m")
    assert (entry.input, entry.cost) == (1000, 3000 * MILLIONTH)


@pytest.mark.parametrize("second", [fails(503), fails(400)], ids=["unavailable", "refused"])
async def test_an_answer_that_did_not_come_costs_nothing(second: Play) -> None:
    async with kit(router(CLAUDE, GOOD, designator=JUDGE)) as it:
        it.tame.plays |= {"claude": breaks(_CLAUDE_BEGINS, _CLAUDE_FAILS), "good": second}
        await it.ask(stream=True)
    (entry,) = it.entries
    assert (entry.ended, entry.candidate, entry.provider_model) == ("error", "good/m", None)
    assert (entry.input, entry.output, *usd(entry)) == (None, None, None, None, 12.4)


async def test_an_answer_that_was_cut_costs_what_it_used() -> None:
    async with kit(router(CLAUDE, designator=JUDGE)) as it:
        it.tame.plays["claude"] = breaks(_CLAUDE_BEGINS, _CLAUDE_SAYS, _CLAUDE_FAILS)
        await it.ask(stream=True)
    (entry,) = it.entries
    assert (entry.ended, entry.input, entry.output, entry.cache_read) == ("upstream_cut", 110, 1, 100)
    assert entry.cost == 75 * MILLIONTH


# --- clients that leave -----------------------------------------------------------------------------------------------


def never_ends(*events: str) -> Play:
    """A stream that begins like this."""

    async def body() -> AsyncIterator[bytes]:
        for event in events:
            yield event.encode()
        await asyncio.Event().wait()

    return lambda request: httpx.Response(200, content=body(), headers={"content-type": "text/event-stream"})


async def leave(it: Kit, recorder: Recorder, **options: Any) -> None:
    """Ask for a stream, and leave with its first bytes."""
    asking = asyncio.create_task(it.ask(stream=True, recorder=recorder, **options))
    async with asyncio.timeout(PATIENCE):
        await recorder.wrote.wait()
    asking.cancel()
    await asyncio.wait([asking])


async def test_who_leaves_pays_for_what_was_used_so_far() -> None:
    async with kit(router(CLAUDE, designator=JUDGE)) as it:
        it.tame.plays["claude"] = never_ends(_CLAUDE_BEGINS, _CLAUDE_SAYS)
        await leave(it, Recorder())
    (entry,) = it.entries
    assert (entry.status, entry.ended, entry.input, entry.output) == (499, "client_left", 110, 1)
    assert (entry.cost, entry.dearest_cost) == (75 * MILLIONTH, 75 * MILLIONTH)


async def test_what_the_provider_tells_at_the_end_is_unknown_before() -> None:
    async with kit(router(GOOD, designator=JUDGE)) as it:
        it.tame.plays["good"] = never_ends(delta("Hi"))
        await leave(it, Recorder())
    (entry,) = it.entries
    assert (entry.ended, entry.input, *usd(entry)) == ("client_left", None, None, None, None)


# --- questions that several requests share ----------------------------------------------------------------------------


class Slow(Kit):
    """A kit whose designator answers when :attr:`release` is set."""

    def __init__(self) -> None:
        super().__init__(snapshot(router(GOOD, DEAR, designator=JUDGE, strategy="session")))
        self.release = asyncio.Event()
        self.asked = asyncio.Event()
        self.tame.plays |= {"good": tells(USED), "judge": self._judge}

    def _judge(self, body: Any) -> httpx.Response:
        told = tells(ASKED, self.tame.choice)(body).content

        async def answer() -> AsyncIterator[bytes]:
            self.asked.set()
            await self.release.wait()
            yield told

        return httpx.Response(200, content=answer(), headers={"content-type": "application/json"})

    async def begin(self, count: int) -> list[asyncio.Task[Recorder]]:
        """So many requests of one session, which wait for the designator."""
        tasks = [asyncio.create_task(self.ask()) for _ in range(count)]
        async with asyncio.timeout(PATIENCE):
            await self.asked.wait()
        return tasks

    def charged(self) -> list[tuple[str | None, int | None]]:
        """Of every request, in the order of their ends, the designator's outcome and tokens, where it was asked."""
        return [(each.designator_outcome, each.designator_input) for each in self.entries if each.designator]


async def test_one_of_those_who_wait_is_charged() -> None:
    async with Slow() as it:
        tasks = await it.begin(3)
        it.release.set()
        await asyncio.gather(*tasks)
    assert it.tame.calls("judge") == 1
    assert len(it.entries) == 3
    assert it.charged() == [("designated", 300)]


async def test_when_the_first_leaves_another_one_is() -> None:
    async with Slow() as it:
        first, second, third = await it.begin(3)
        first.cancel()
        await asyncio.wait([first])
        assert it.charged() == []
        it.release.set()
        await asyncio.gather(second, third)
    assert [entry.ended for entry in it.entries] == ["client_left", "complete", "complete"]
    assert it.charged() == [("designated", 300)]
    assert it.metric("designator_tokens_total", router="smart", designator="judge/m", direction="input") == 300


async def test_when_all_leave_the_last_one_is() -> None:
    async with Slow() as it:
        first, second = await it.begin(2)
        for each in (first, second):
            each.cancel()
            await asyncio.wait([each])
    assert it.charged() == [(None, None)]
    assert [entry.designator for entry in it.entries] == [None, "judge/m"]


async def test_waiting_for_another_one_s_question_is_no_work_of_the_gateway() -> None:
    async with Slow() as it:
        tasks = await it.begin(2)
        await asyncio.sleep(0.1)
        it.release.set()
        await asyncio.gather(*tasks)
    assert all((entry.total_ms or 0.0) - (entry.relay_ms or 0.0) >= 99 for entry in it.entries)


# --- tags -------------------------------------------------------------------------------------------------------------

TEAM = Client(name="team", key=Secret("sk"), tags=("search", "platform"))


@pytest.mark.parametrize(
    ("options", "tags"),
    [
        ({}, ("platform",)),
        ({"client": TEAM}, ("platform", "search")),
        ({"client": TEAM, "tags": ("mine", "search")}, ("platform", "search", "mine")),
        ({"tags": ("a", "a", "b")}, ("platform", "a", "b")),
        ({"dialect": "ollama", "model": "smart@night:latest", "tags": ("a",)}, ("platform", "a", "night")),
        ({"model": "good/m", "tags": ("a",)}, ("a",)),
        ({"model": "nobody", "client": TEAM}, ("search", "platform")),
        (
            {"client": TEAM, "tags": tuple(map(str, range(100)))},
            ("platform", "search", *map(str, range(MAX_TAGS))),
        ),
    ],
)
async def test_tags_of_router_client_and_request(options: dict[str, Any], tags: tuple[str, ...]) -> None:
    async with kit(router(GOOD, tags=("platform",))) as it:
        await it.ask(**options)
    assert it.entries[0].tags == tags


async def test_an_entry_names_its_generation() -> None:
    made = snapshot(router(GOOD))
    async with Kit(made) as it:
        await it.ask()
    assert (it.entries[0].revision, it.entries[0].commit) == (made.revision, made.commit)
