"""Four accounts of the same traffic, kept by a real gateway: ledger, metrics, ``llm-relay usage`` and the pages of
``/ui`` agree exactly, with one another and with the providers' own books; nothing is lost at the end.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from gateway.cli import main
from gateway.ledger import By
from gateway.server.ui.look import count
from tests.faultserver import PATIENCE
from tests.gatewayprocess import Gateway
from tests.server import uireader
from tests.server.accounting import (
    KINDS,
    NAMELESS,
    Account,
    Page,
    Row,
    asked,
    candidates_cells,
    counted,
    designators_cells,
    fallbacks,
    from_rows,
    from_usage,
    grouped,
    listed,
    means_cells,
    only,
    tiles,
)
from tests.server.till import Till

ROUTERS = {
    "smart": "designator: {model: judge/m}\ntags: [platform]\ncandidates:\n"
    "  - {model: open/m, purpose: All}\n  - {model: claude/m, purpose: Code}\n  - {model: llama/m, purpose: Talk}\n",
    "sticky": "designator: {model: judge/m}\nstrategy: session\ncandidates:\n"
    "  - {model: open/m, purpose: All}\n  - {model: claude/m, purpose: Code}\n",
    "mixed": "designator: {model: judge/m}\ncandidates:\n"
    "  - {model: open/m, purpose: All}\n  - {model: bare/m, purpose: Nobody knows what it costs}\n"
    "  - {model: broken/m, purpose: None}\n  - {model: strict/m, purpose: None}\n",
    "blind": "designator: {model: broken/m}\ncandidates:\n"
    "  - {model: claude/m, purpose: All}\n  - {model: llama/m, purpose: Talk}\n",
}
KEY, GUEST, WATCH = "sk-the-team-s-own-key", "sk-the-key-of-guests", "sk-the-key-of-the-watch"
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    async with Till() as till:
        yield till


def files(till: Till, more: str = "") -> dict[str, str]:
    documents = {f"{name}.yaml": f"name: {name}\ndescription: A router\n{text}" for name, text in ROUTERS.items()}
    return {"gateway.yaml": till.gateway(more), **documents}


# --- traffic ----------------------------------------------------------------------------------------------------------


class Client:
    """Asks in every dialect; :attr:`sent` counts what a relay must account for."""

    def __init__(self, gateway: Gateway) -> None:
        self.http = gateway.client
        self.sent = 0

    async def ask(
        self,
        text: str,
        *,
        dialect: str = "openai",
        model: str = "smart",
        stream: bool = False,
        tags: str = "",
        key: str = KEY,
        **more: Any,
    ) -> httpx.Response:
        self.sent += 1
        path, body, headers = self._request(text, dialect, model, stream, tags, key)
        return await self.http.post(path, json={**body, **more}, headers=headers)

    async def leave(self, text: str, *, dialect: str, model: str = "smart") -> None:
        """Leave in the middle of an answer."""
        self.sent += 1
        path, body, headers = self._request(text, dialect, model, True, "", KEY)
        async with self.http.stream("POST", path, json=body, headers=headers) as response:
            assert response.status_code == 200
            await anext(response.aiter_raw())

    def _request(
        self, text: str, dialect: str, model: str, stream: bool, tags: str, key: str
    ) -> tuple[str, dict[str, Any], dict[str, str]]:
        path = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "ollama": "/api/chat"}[dialect]
        headers = {"authorization": f"Bearer {key}"}
        if tags:
            headers["x-llm-relay-tags"] = tags
        body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
        return path, {**body, "max_tokens": 100} if dialect == "anthropic" else body, headers


async def mixed_traffic(client: Client) -> None:
    """Everything that can happen to a request, some of it at the same time."""
    everywhere = [(dialect, stream) for dialect in ("openai", "anthropic", "ollama") for stream in (False, True)]
    several: list[Any] = []
    for dialect, stream in everywhere:
        for number, candidate in enumerate(("open/m", "claude/m", "llama/m", "nobody/m") * 2):
            tags = ("", "night", "mine,night", "yours,mine,night,night", "search")[number % 5]
            key = GUEST if number % 3 == 0 else KEY
            several.append(client.ask(f"choose {candidate}", dialect=dialect, stream=stream, tags=tags, key=key))
        for name in ("open", "bare"):
            several.append(client.ask("hi", dialect=dialect, stream=stream, model=f"{name}/m", key=GUEST))
        several.append(client.ask("choose bare/m", dialect=dialect, stream=stream, model="mixed"))
        # The first one's provider fails, and another one takes over.
        several.append(client.ask("choose broken/m", dialect=dialect, stream=stream, model="mixed"))
        several.append(client.ask("hi", dialect=dialect, stream=stream, model="strict/m"))
        several.append(client.ask("hi", dialect=dialect, stream=stream, model="broken/m"))
        several.append(client.ask("hi", dialect=dialect, stream=stream, model="nobody"))
        several.append(client.ask("hi", dialect=dialect, stream=stream, model="open/undeclared"))
        several.append(client.ask("hi", dialect=dialect, stream=stream, model="blind"))
    several.append(client.ask("choose llama/m", dialect="ollama", model="smart@night:latest"))
    for answer in await asyncio.gather(*several):
        assert answer.status_code in (200, 400, 404, 502), answer.text
    for dialect, candidate in (("openai", "open/m"), ("anthropic", "claude/m"), ("ollama", "claude/m")):
        await client.leave(f"endless, choose {candidate}", dialect=dialect)
        for _ in range(3):
            told = await client.ask(f"choose {candidate} for {dialect}", dialect=dialect, model="sticky")
            assert told.status_code == 200
    # Several turns of a new session at once share one question.
    turns = await asyncio.gather(*(client.ask("choose claude/m for all", model="sticky") for _ in range(5)))
    assert {turn.headers["x-llm-relay-routed-to"] for turn in turns} == {"claude/m"}
    await tool_loop(client)


async def tool_loop(client: Client) -> None:
    """A tool's result goes back to the model that asked for the tool, and the designator is not asked again."""
    question = "use the tool, choose claude/m"
    first = await client.ask(question, tools=[CLOCK])
    turn = first.json()["choices"][0]["message"]
    (call,) = turn["tool_calls"]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "noon"}
    messages = [{"role": "user", "content": question}, turn, result]
    second = await client.ask("", messages=messages, tools=[CLOCK])
    assert second.headers["x-llm-relay-decision"] == "tool_loop"


async def other_endpoints(client: Client) -> None:
    """Embeddings, and requests without a conversation."""
    headers = {"authorization": f"Bearer {KEY}", "x-llm-relay-tags": "night"}
    for path, body in (
        ("/v1/embeddings", {"model": "open/m", "input": "hi"}),
        ("/api/embed", {"model": "open/m", "input": "hi"}),
        ("/v1/completions", {"model": "smart", "prompt": "choose open/m"}),
        ("/api/generate", {"model": "smart", "prompt": "choose llama/m", "stream": False}),
    ):
        client.sent += 1
        answer = await client.http.post(path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text


CLIENTS = (
    "clients:\n  - {name: team, key: env:TEAM_KEY, tags: [night, search]}\n  - {name: guest, key: env:GUEST_KEY}\n"
    "operators: [{name: watch, key: env:WATCH_KEY}]\n"
)
ENVIRON = {"TEAM_KEY": KEY, "GUEST_KEY": GUEST, "WATCH_KEY": WATCH}


@pytest.mark.parametrize("workers", [1, 2])
async def test_all_accounts_agree(till: Till, tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int) -> None:
    async with Gateway(tmp_path, files(till, CLIENTS), "--workers", str(workers), environ=ENVIRON) as gateway:
        client = Client(gateway)
        await mixed_traffic(client)
        await other_endpoints(client)
        rows = await gateway.stored("ledger", count=client.sent)

        def usage(by: By) -> Any:
            assert main(["usage", "--data", str(gateway.data), "--by", by, "--format", "json"]) == 0
            return json.loads(capsys.readouterr().out)

        whole = from_rows(rows)
        page = await settled(gateway, whole)
        gateway.client.headers["authorization"] = f"Bearer {WATCH}"
        await compare_pages(gateway.client, rows)
        await compare_files(gateway.client, usage)
        assert await gateway.stop() == 0
        # What has an end has been accounted for before the end, too.
        assert await gateway.stored("ledger") == rows
    assert len(rows) == client.sent > 100
    assert {"requests", "asked", "cost", "dearest_cost", "designator_cost", "cache_read"} < whole.keys()
    assert from_usage(usage("day")["total"]) == whole

    assert {row["ended"] for row in rows} == {"complete", "client_left", "error"}
    decisions = {"designated", "session", "tool_loop", "failover", "fallback_invalid", "fallback_error"}
    # Every worker has breakers of its own, and they may not have heard of enough failures.
    assert {row["decision"] for row in rows} - {"fallback_open"} == decisions | {None}
    assert {row["client"] for row in rows} == {"team", "guest"}
    assert {row["dialect"].partition(".")[0] for row in rows} == {"openai", "anthropic", "ollama"}
    assert {row["dialect"] for row in rows} >= {"openai.embed", "ollama.embed", "openai.completions", "ollama.generate"}

    compare(rows, usage("router"), "router", lambda name: page.account(router=name or "direct"), skip=(None,))
    compare(rows, usage("candidate"), "candidate", lambda name: page.account(candidate=name), skip=(None, UNDECLARED))
    compare(rows, usage("client"), "client", None)
    compare(rows, usage("day"), "day", None)
    compare(rows, usage("tag"), "tag", None)
    for tag in ("platform", "night", "search"):
        assert page.tag(tag) == of_tag(grouped(rows, "tag")[tag])
    assert page.tag("other") == of_tag([row for row in rows if {"mine", "yours"} & set(json.loads(row["tags"]))])
    declared = frozenset(f"{name}/m" for name in ("open", "claude", "llama", "bare", "broken", "strict"))
    requests = {
        tuple(dict(labels)[name] for name in ("router", "candidate", "decision", "status")): value
        for (name, labels), value in page.samples.items()
        if name == "requests_total" and value
    }
    assert requests == counted(rows, declared)
    compare_books(till, rows)


UNDECLARED = "open/undeclared"
MEANS = ("ttft_ms", "total_ms")


async def settled(gateway: Gateway, whole: Account) -> Page:
    """The metrics, once they have it all: a worker hears of another one's tokens a moment later."""
    async with asyncio.timeout(PATIENCE):
        while True:
            page = Page((await gateway.client.get("/metrics")).text)
            if page.account() == whole:
                return page
            await asyncio.sleep(0.02)


def of_tag(rows: list[Row]) -> Account:
    """What the metrics have of a tag."""
    return only(from_rows(rows), "requests", "asked", "dearest_cost", leave=True)


def compare(
    rows: list[dict[str, Any]],
    report: Any,
    by: By,
    shown: Callable[[Any], Account] | None,
    skip: tuple[str | None, ...] = (),
) -> None:
    """Group by group: the rows, what the command says, and what the metrics show of the same."""
    groups = grouped(rows, by)
    assert {group["key"] for group in report["groups"]} == groups.keys()
    for group in report["groups"]:
        mine = from_rows(groups[group["key"]])
        assert from_usage(group) == mine
        if shown is None or group["key"] in skip:
            continue
        found = shown(group["key"])
        # A candidate's own line has no designators, and nothing else that it would have cost.
        assert found == (mine if by == "router" else only(mine, "requests", "cost", *KINDS))


async def compare_pages(client: httpx.AsyncClient, rows: list[dict[str, Any]]) -> None:
    """What people read is what the rows add up to, to the last digit that is shown."""
    overview = await uireader.read(client, "/ui/")
    assert tiles(rows).items() <= overview.said.items()
    assert overview.remarks["Designators"] == f"{count(asked(rows))} asked"
    by_router = grouped(rows, "router")
    traffic = {name or NAMELESS["router"]: count(len(mine)) for name, mine in by_router.items()}
    assert {name: cells[0] for name, cells in overview.table("Traffic by router").items()} == traffic
    assert await uireader.decisions(client) == {row["id"]: listed(row) for row in rows}
    for name in ROUTERS:
        mine = by_router[name]
        router = await uireader.read(client, f"/ui/routers/{name}")
        by_candidate = grouped(mine, "candidate")
        shown = router.table("Candidates and their share of the requests")
        requests = {key: cells[1] for key, cells in shown.items()}
        assert {key.removesuffix(" fallback"): each for key, each in requests.items() if each != "0"} == {
            key: count(len(some)) for key, some in by_candidate.items() if key is not None
        }
        reasons = {key: cells[0] for key, cells in router.table("Decisions by reason").items()}
        wanted = {row["decision"] or "none was made": 0 for row in mine}
        for row in mine:
            wanted[row["decision"] or "none was made"] += 1
        assert reasons == {reason: count(number) for reason, number in wanted.items()}
        assert fallbacks(mine) == sum(number for key, number in wanted.items() if key.startswith("fallback_"))
    for by in get_args(By):
        usage = await uireader.read(client, "/ui/usage", by=by)
        groups = {key or NAMELESS[by]: mine for key, mine in grouped(rows, by).items()}
        every: dict[str, list[Row]] = {**groups, "All requests": [*rows]}
        lines = {key: candidates_cells(mine) for key, mine in every.items()}
        table = usage.table(f"Usage of candidates by {by}")
        assert {key: cells[:-2] for key, cells in table.items()} == lines
        for key, cells in table.items():
            assert all(cell in near for cell, near in zip(cells[-2:], means_cells(every[key]), strict=True))
        questions = {key: designators_cells(mine) for key, mine in every.items() if asked(mine)}
        assert usage.table(f"Usage of designators by {by}") == questions


async def compare_files(client: httpx.AsyncClient, usage: Callable[[By], Any]) -> None:
    """What the usage page gives as files is what the command says."""
    for by in get_args(By):
        said, file = usage(by), await uireader.export(client, "json", by)
        assert [group["key"] for group in file["groups"]] == [group["key"] for group in said["groups"]]
        for mine, theirs in zip([*file["groups"], file["total"]], [*said["groups"], said["total"]], strict=True):
            # Means are sums of fractions, which depend on the order.
            assert mine == {**theirs, **{name: pytest.approx(theirs[name]) for name in MEANS if theirs[name]}}
        lines = list(csv.reader(io.StringIO(await uireader.export(client, "csv", by))))
        assert lines[0] == [by, *list(file["total"])[1:]]
        for line, group in zip(lines[1:], file["groups"], strict=True):
            told = {name: float(cell) if cell else None for name, cell in zip(lines[0][1:], line[1:], strict=True)}
            assert (line[0] or None, told) == (group["key"], {name: group[name] for name in told})


def compare_books(till: Till, rows: list[dict[str, Any]]) -> None:
    """What providers say that they used is what they are said to have used."""
    for name, replies in till.books.items():
        told = {
            "input": sum(reply.input or 0 for reply in replies),
            "output": sum((reply.output or 0) for reply in replies if reply.input is not None),
            "cache_read": sum(reply.cached or 0 for reply in replies),
        }
        prefix = "designator_" if name == "judge" else ""
        who = "designator" if name == "judge" else "candidate"
        mine = [row for row in rows if (row[who] or "").startswith(f"{name}/")]
        assert {kind: sum(row[f"{prefix}{kind}"] or 0 for row in mine) for kind in told} == told, name


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_signal_in_the_middle_loses_none(till: Till, tmp_path: Path, workers: int) -> None:
    async with Gateway(tmp_path, files(till), "--workers", str(workers)) as gateway:
        client = Client(gateway)

        async def keep_asking(number: int) -> list[str]:
            answered: list[str] = []
            try:
                while True:
                    stream, model = number % 2 == 0, ("smart", "open/m", "sticky")[number % 3]
                    answer = await client.ask("choose open/m", model=model, stream=stream)
                    answered.append(answer.headers["x-request-id"])
            except httpx.TransportError:
                return answered

        asking = [asyncio.create_task(keep_asking(number)) for number in range(12)]
        await till.until(lambda: sum(map(len, till.books.values())) > 150)
        gateway.send(signal.SIGTERM)
        answered = [request_id for ids in await asyncio.gather(*asking) for request_id in ids]
        assert await gateway.ended() == 0
        stored = {row["request_id"] for row in await gateway.stored("ledger")}
    assert len(answered) > 50
    assert set(answered) <= stored
    # Whatever a provider was asked has been accounted for, answered or not.
    assert len(till.books["open"]) <= len(stored)
