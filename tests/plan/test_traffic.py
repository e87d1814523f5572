"""What past traffic says about a change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.generation import Generation
from gateway.ledger import Entry, Ledger, Traffic, traffic
from gateway.plan.traffic import Past, replay
from gateway.store import FILE, Store

from .scene import ROUTER, generations

GPT, CLAUDE = "openai/gpt-4o", "anthropic/claude-sonnet-4-5"
PRICED = ROUTER.replace("sandbox/designator", "openai/gpt-5-nano")
NANO = "openai/gpt-5-nano"


def rows(candidate: str, requests: int, **values: Any) -> Traffic:
    fields: dict[str, Any] = dict.fromkeys(Traffic.__struct_fields__)
    return Traffic(**{**fields, "router": "smart", "candidate": candidate, "requests": requests, **values})


def past(folder: Path, before: str, after: str, *found: Traffic, gateway: str = "") -> list[Past]:
    old, new = generations(folder, before, after, gateway)
    return list(replay(found, old, new))


async def test_the_ledger_adds_up_what_went_the_same_way(tmp_path: Path) -> None:
    store = Store(tmp_path / FILE)
    ledger = Ledger(store, keep=1e12)
    common: dict[str, Any] = {"time": 100.0, "request_id": "r", "dialect": "openai", "router": "smart"}
    asked: dict[str, Any] = {"designator": NANO, "designator_outcome": "designated", "designator_input": 7}
    for fields in (
        {"candidate": GPT, "decision": "designated", "input": 10, "output": 1, **asked},
        {"candidate": GPT, "decision": "designated", "input": 20, "cache_read": 5, **asked},
        {"candidate": GPT, "decision": "session", "input": 1},
        {"candidate": CLAUDE, "decision": "fallback_open", "designator": NANO, "designator_outcome": "open"},
        {"candidate": GPT, "time": 99.0},
        {"candidate": GPT, "router": None},
        {"candidate": None},
    ):
        ledger.add(Entry(**{**common, **fields}))
    assert await store.flush()
    await store.aclose()
    found = traffic(tmp_path / FILE, since=100.0)
    assert found == [
        rows(CLAUDE, 1, decision="fallback_open"),
        rows(GPT, 2, decision="designated", designator=NANO, input=30, output=1, cache_read=5, designator_input=14),
        rows(GPT, 1, decision="session", input=1),
    ]


def test_traffic_of_a_candidate_that_goes(tmp_path: Path) -> None:
    after = PRICED.replace(GPT, "openai/gpt-4.1")
    (found,) = past(
        tmp_path,
        PRICED,
        after,
        rows(GPT, 30, decision="designated", input=1_000_000, output=100_000),
        rows(GPT, 20, decision="session", input=1_000_000, output=100_000),
        rows(CLAUDE, 150, decision="designated", input=1_000_000, output=0),
    )
    assert (found.router, found.requests) == ("smart", 200)
    stays, goes = found.ways
    assert (goes.candidate, goes.requests, goes.share, goes.gone) == (GPT, 50, 0.25, True)
    assert goes.decisions == {"designated": 30, "session": 20}
    assert goes.cost_before == pytest.approx(7.0)
    assert goes.cost_after is None, "who will answer in its place is not known"
    assert (stays.candidate, stays.gone, stays.cost_before, stays.cost_after) == (CLAUDE, False, 3.0, 3.0)


def test_traffic_at_new_prices(tmp_path: Path) -> None:
    gateway = f"kind: gateway\nmodels: {{{GPT}: {{price: {{input: 5, cache_read: 1}}}}}}\n"
    tokens = rows(GPT, 9, input=1_000_000, output=100_000, cache_read=400_000)
    (found,) = past(tmp_path, PRICED, PRICED, tokens, gateway=gateway)
    (way,) = found.ways
    assert way.cost_before == pytest.approx(0.6 * 2.5 + 0.4 * 1.25 + 1.0)
    assert way.cost_after == pytest.approx(0.6 * 5 + 0.4 * 1 + 1.0)
    assert way.decisions == {"unknown": 9}


def test_tokens_that_nobody_counted_cost_nobody_knows_what(tmp_path: Path) -> None:
    gateway = f"kind: gateway\nmodels: {{{GPT}: {{price: {{input: 5}}}}}}\n"
    (found,) = past(tmp_path, PRICED, PRICED, rows(GPT, 9), rows("gone/long-ago", 1, input=5), gateway=gateway)
    assert [(way.cost_before, way.cost_after) for way in found.ways] == [(None, None), (None, None)]


def test_what_asking_the_designator_will_cost(tmp_path: Path) -> None:
    after = PRICED.replace(NANO, "openai/gpt-5-mini").replace("Texts and letters", "Texts and letters " * 20)
    asked = rows(GPT, 1000, designator=NANO, designator_input=500_000, designator_output=5_000)
    (found,) = past(tmp_path, PRICED, after, asked, rows(GPT, 10, decision="session"))
    (asking,) = found.asking
    assert (asking.designator, asking.requests) == (NANO, 1000)
    assert asking.cost_before == pytest.approx(0.5 * 0.05 + 0.005 * 0.4)
    longer = 18 * 19 // 4 * 1000
    assert asking.cost_after == pytest.approx((500_000 + longer) * 0.25e-6 + 0.005 * 2, rel=0.01)


@pytest.mark.parametrize(
    ("before", "after", "router"),
    [
        pytest.param(PRICED, PRICED, "smart", id="the same"),
        pytest.param(PRICED, PRICED.replace("Texts", "Letters"), "other", id="no traffic"),
        pytest.param(PRICED.replace("name: smart", "name: old"), PRICED, "smart", id="new"),
        pytest.param(PRICED, f"{PRICED}description: Mine\n", "smart", id="no other decision"),
    ],
)
def test_nothing_to_say(tmp_path: Path, before: str, after: str, router: str) -> None:
    assert past(tmp_path, before, after, rows(GPT, 5, router=router)) == []


def test_assessments_alone_make_a_difference(tmp_path: Path) -> None:
    old, new = generations(tmp_path, PRICED, PRICED)
    assessed = Generation(new.snapshot, {"smart": {GPT: "Strong at letters."}})
    asked = rows(GPT, 3, designator=NANO, designator_input=3000, designator_output=30)
    (found,) = replay([asked], old, assessed)
    (asking,) = found.asking
    assert asking.cost_after is not None
    assert asking.cost_before is not None
    assert asking.cost_after > asking.cost_before


def test_a_router_that_goes(tmp_path: Path) -> None:
    (found,) = past(tmp_path, PRICED, PRICED.replace("name: smart", "name: new"), rows(GPT, 5, input=1, output=1))
    assert [way.gone for way in found.ways] == [True]
