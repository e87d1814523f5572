"""Three accounts of the same traffic, kept by a real gateway: ledger, metrics and ``llm-relay usage`` agree exactly,
with one another and with the providers' own books; nothing is lost at the end; no client makes a time series.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import string
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.cli import main
from gateway.ledger import By
from tests.faultserver import PATIENCE
from tests.gatewayprocess import Gateway
from tests.server import rawhttp
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
KINDS = ("input", "output", "cache_read", "cache_write", "reasoning")
KEY = "sk-the-team-s-own-key"
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    async with Till() as till:
        yield till


def files(till: Till, more: str = "") -> dict[str, str]:
    documents = {f"{name}.yaml": f"name: {name}\ndescription: A router\n{text}" for name, text in ROUTERS.items()}
    return {"gateway.yaml": till.gateway(more), **documents}


# --- accounts ---------------------------------------------------------------------------------------------------------

#: What is compared: requests, decisions asked for, and by role tokens of each kind and costs in billionths of a dollar.
Account = dict[str, int]


def nanos(usd: float) -> int:
    return int((Decimal(repr(usd)) * 10**9).to_integral_value())


def account(requests: int, asked: int, parts: Iterable[tuple[str, float | None]]) -> Account:
    """Without what nobody knows, and without zeros."""
    found = {name: nanos(value) if "cost" in name else int(value) for name, value in parts if value is not None}
    return {name: value for name, value in {"requests": requests, "asked": asked, **found}.items() if value}


def from_rows(rows: Iterable[Mapping[str, Any]]) -> Account:
    """The ledger's rows, added up here."""
    rows = list(rows)
    columns = [*KINDS, *(f"designator_{kind}" for kind in KINDS)]
    sums: dict[str, float | None] = {column: sum(row[column] or 0 for row in rows) for column in columns}
    for column in ("cost", "dearest_cost", "designator_cost"):
        sums[column] = sum(nanos(row[column]) for row in rows if row[column] is not None) / 10**9
    asked = sum(row["designator"] is not None and row["designator_outcome"] != "open" for row in rows)
    return account(len(rows), asked, sums.items())


def from_usage(sums: Mapping[str, Any]) -> Account:
    """A line of ``llm-relay usage --format json``."""
    names = [*KINDS, *(f"designator_{kind}" for kind in KINDS), "cost", "dearest_cost", "designator_cost"]
    return account(sums["requests"], sums["designator_requests"], ((name, sums[name]) for name in names))


class Page:
    """The metrics' page."""

    def __init__(self, text: str) -> None:
        self.samples = {
            (sample.name.removeprefix("llm_relay_"), frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def total(self, name: str, **labels: str) -> float | None:
        """The sum of what has these labels; None where nothing has."""
        wanted = labels.items()
        values = [value for (found, has), value in self.samples.items() if found == name and wanted <= has]
        return sum(values) if values else None

    def account(self, **labels: str) -> Account:
        """Of what has these labels; a model's name is the candidate's, or with another role the designator's."""
        candidate = labels.pop("candidate", None)
        mine = {} if candidate is None else {"candidate": candidate}
        paid = {} if candidate is None else {"model": candidate}
        parts: list[tuple[str, float | None]] = [
            (kind, self.total("candidate_tokens_total", direction=kind, **labels, **mine)) for kind in KINDS
        ]
        parts.append(("cost", self._cost("cost_usd_total", role="candidate", **labels, **paid)))
        if candidate is None:
            parts += [
                (f"designator_{kind}", self.total("designator_tokens_total", direction=kind, **labels))
                for kind in KINDS
            ]
            parts.append(("designator_cost", self._cost("cost_usd_total", role="designator", **labels)))
            parts.append(("dearest_cost", self._cost("dearest_cost_usd_total", **labels)))
        asked = 0.0
        if candidate is None:
            asked = self.total("designator_requests_total", **labels) or 0.0
            asked -= self.total("designator_requests_total", **labels, outcome="open") or 0.0
        return account(int(self.total("requests_total", **labels, **mine) or 0), int(asked), parts)

    def tag(self, tag: str) -> Account:
        parts: list[tuple[str, float | None]] = []
        for role, prefix in (("candidate", ""), ("designator", "designator_")):
            tokens = ((kind, self.total("tag_tokens_total", tag=tag, role=role, direction=kind)) for kind in KINDS)
            parts += [(f"{prefix}{kind}", count) for kind, count in tokens]
            parts.append((f"{prefix}cost", self._cost("tag_cost_usd_total", tag=tag, role=role)))
        return account(0, 0, parts)

    def _cost(self, name: str, **labels: str) -> float | None:
        """To the billionth; a counter adds floats, and so is off by less."""
        found = self.total(name, **labels)
        return None if found is None else round(found, 9)


def only(found: Account, *names: str, leave: bool = False) -> Account:
    return {name: value for name, value in found.items() if (name in names) is not leave}


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
        **more: Any,
    ) -> httpx.Response:
        self.sent += 1
        path, body, headers = self._request(text, dialect, model, stream, tags)
        return await self.http.post(path, json={**body, **more}, headers=headers)

    async def leave(self, text: str, *, dialect: str, model: str = "smart") -> None:
        """Leave in the middle of an answer."""
        self.sent += 1
        path, body, headers = self._request(text, dialect, model, True, "")
        async with self.http.stream("POST", path, json=body, headers=headers) as response:
            assert response.status_code == 200
            await anext(response.aiter_raw())

    def _request(
        self, text: str, dialect: str, model: str, stream: bool, tags: str
    ) -> tuple[str, dict[str, Any], dict[str, str]]:
        path = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "ollama": "/api/chat"}[dialect]
        headers = {"authorization": f"Bearer {KEY}"}
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
            several.append(client.ask(f"choose {candidate}", dialect=dialect, stream=stream, tags=tags))
        several += [client.ask("hi", dialect=dialect, stream=stream, model=f"{name}/m") for name in ("open", "bare")]
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


async def embeddings(client: Client) -> None:
    client.sent += 1
    headers = {"authorization": f"Bearer {KEY}", "x-llm-relay-tags": "night"}
    answer = await client.http.post("/v1/embeddings", json={"model": "open/m", "input": "hi"}, headers=headers)
    assert answer.status_code == 200


CLIENTS = "clients:\n  - {name: team, key: env:TEAM_KEY, tags: [night, search]}"
ENVIRON = {"TEAM_KEY": KEY}


@pytest.mark.parametrize("workers", [1, 2])
async def test_all_accounts_agree(till: Till, tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int) -> None:
    async with Gateway(tmp_path, files(till, CLIENTS), "--workers", str(workers), environ=ENVIRON) as gateway:
        client = Client(gateway)
        await mixed_traffic(client)
        await embeddings(client)
        rows = await gateway.stored("ledger", count=client.sent)
        page = Page((await gateway.client.get("/metrics")).text)
        assert await gateway.stop() == 0
        # What has an end has been accounted for before the end, too.
        assert len(await gateway.stored("ledger")) == client.sent == len(rows)

    def usage(by: By) -> Any:
        assert main(["usage", "--data", str(gateway.data), "--by", by, "--format", "json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert client.sent > 100
    whole = from_rows(rows)
    assert {"requests", "asked", "cost", "dearest_cost", "designator_cost", "cache_read"} < whole.keys()
    assert from_usage(usage("day")["total"]) == whole
    assert page.account() == whole

    assert {row["ended"] for row in rows} == {"complete", "client_left", "error"}
    decisions = {"designated", "session", "tool_loop", "failover", "fallback_invalid", "fallback_error"}
    # Every worker has breakers of its own, and they may not have heard of enough failures.
    assert {row["decision"] for row in rows} - {"fallback_open"} == decisions | {None}

    compare(rows, usage("router"), "router", lambda name: page.account(router=name or "direct"), skip=(None,))
    compare(rows, usage("candidate"), "candidate", lambda name: page.account(candidate=name), skip=(None, UNDECLARED))
    compare(rows, usage("client"), "client", None)
    for group in usage("tag")["groups"]:
        mine = [row for row in rows if group["key"] in (json.loads(row["tags"]) or [None])]
        assert from_usage(group) == from_rows(mine)
        if group["key"] in ("platform", "night", "search"):
            assert page.tag(group["key"]) == only(from_rows(mine), "requests", "asked", "dearest_cost", leave=True)
    foreign = [row for row in rows if {"mine", "yours"} & set(json.loads(row["tags"]))]
    assert page.tag("other") == only(from_rows(foreign), "requests", "asked", "dearest_cost", leave=True)
    compare_books(till, rows)


UNDECLARED = "open/undeclared"


def compare(
    rows: list[dict[str, Any]],
    report: Any,
    column: str,
    shown: Callable[[Any], Account] | None,
    skip: tuple[str | None, ...] = (),
) -> None:
    """Group by group: the rows, what the command says, and what the metrics show of the same."""
    assert {group["key"] for group in report["groups"]} == {row[column] or None for row in rows}
    for group in report["groups"]:
        mine = from_rows(row for row in rows if (row[column] or None) == group["key"])
        assert from_usage(group) == mine
        if shown is None or group["key"] in skip:
            continue
        found = shown(group["key"])
        # A candidate's own line has no designators, and nothing else that it would have cost.
        assert found == (mine if column == "router" else only(mine, "requests", "cost", *KINDS))


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


async def test_a_signal_in_the_middle_loses_none(till: Till, tmp_path: Path) -> None:
    async with Gateway(tmp_path, files(till)) as gateway:
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


# --- time series ------------------------------------------------------------------------------------------------------

STRANGERS = 10_000
AT_A_TIME = 250


def strange(dice: random.Random) -> bytes:
    """A request with a name, tags or a path that nobody has heard of."""
    word = "".join(dice.choices(string.ascii_lowercase + string.digits, k=12))
    tags, session = f"X-LLM-Relay-Tags: {word},x{word}", f"X-LLM-Relay-Session: {word}"
    messages = [{"role": "user", "content": "hi"}]
    match dice.randrange(20):
        case 0:
            # One that does get an answer.
            body = json.dumps({"model": f"llama/{word}", "messages": messages, "stream": False}).encode()
            return rawhttp.request("/api/chat", body, tags, session)
        case 1:
            body = json.dumps({"model": f"smart@{word}", "messages": messages, "stream": False}).encode()
            return rawhttp.request("/api/chat", body, tags, session)
        case number if number < 8:
            return rawhttp.request(f"/{word}/{word}", method="GET")
        case _:
            name = word if dice.random() < 0.5 else f"{word}/{word}"
            body = json.dumps({"model": name, "messages": messages}).encode()
            return rawhttp.request("/v1/chat/completions", body, tags, session)


async def test_ten_thousand_strange_requests_make_no_series(till: Till, tmp_path: Path) -> None:
    dice = random.Random(11)
    async with Gateway(tmp_path, files(till)) as gateway:

        async def send(count: int) -> list[int]:
            answers, ended = await rawhttp.talk(gateway.port, b"".join(strange(dice) for _ in range(count)))
            assert not ended
            return [answer.status for answer in answers]

        await send(AT_A_TIME)
        before = await series(gateway)
        statuses: list[int] = []
        for _ in range(STRANGERS // AT_A_TIME // 4):
            for some in await asyncio.gather(*(send(AT_A_TIME) for _ in range(4))):
                statuses += some
        assert len(statuses) == STRANGERS
        assert set(statuses) == {200, 404}
        assert await series(gateway) == before


async def series(gateway: Gateway) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    async with asyncio.timeout(PATIENCE):
        return set(Page((await gateway.client.get("/metrics")).text).samples)
