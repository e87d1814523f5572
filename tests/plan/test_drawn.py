"""Past requests that are decided again: samples beside the ledger, under two configurations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from gateway.chat import ChatRequest, Message, Text
from gateway.generation import Generation
from gateway.ledger import Entry, Ledger, traffic
from gateway.plan.answers import sandbox
from gateway.plan.base import Base
from gateway.plan.drawn import Coverage, concerned, draw
from gateway.plan.make import make
from gateway.plan.moves import Answers
from gateway.plan.report import Report
from gateway.plan.show import show
from gateway.routing.decide import Decision
from gateway.samples import Samples
from gateway.store import FILE, Store

from .scene import ROUTER, generations

GPT, CLAUDE = "openai/gpt-4o", "anthropic/claude-sonnet-4-5"
RECORDS = ROUTER + "record: {sample: 100%}\n"
REAL = RECORDS.replace("sandbox/designator", "openai/gpt-5-nano")

Fate = Literal["designated", "fallback_timeout", "fallback_none", "only_candidate", "session", "tool_loop"]


class Past:
    """What a gateway with the configuration ``old`` has served; ``new`` is the change."""

    def __init__(self, folder: Path, before: str = REAL, after: str = REAL, gateway: str = "") -> None:
        self.path = folder / FILE
        self.old, self.new = generations(folder, before, after, gateway)
        self._store = Store(self.path)
        self._ledger = Ledger(self._store, keep=1e12)
        self._samples = Samples(self._store, self.old.snapshot)
        self._count = 0

    def serve(
        self, ask: str, fate: Fate = "designated", who: str = GPT, *, sampled: bool = True, by: Generation | None = None
    ) -> None:
        """One request that went to ``who``; ``by`` a configuration other than ``old``."""
        self._count += 1
        id = f"request-{self._count}"
        serving = by or self.old
        policy = serving.policies["smart"]
        request = ChatRequest("openai", "smart", (Message("user", (Text(ask),)),), {})
        step = policy.decide(request, None)
        chosen = next(candidate for candidate in step.eligible if candidate.id == who)
        eligible = (chosen,) if fate == "only_candidate" else step.eligible
        entry = Entry(time=2e9, request_id=id, dialect="openai", router="smart", decision=fate, candidate=who)
        entry.input, entry.output = 1_000_000, 100_000
        self._ledger.add(entry)
        if sampled:
            self._samples.offer(id, 2e9, serving.revision, policy, request, Decision(chosen, fate, eligible))

    async def report(self, answers: Answers = lambda policy, ask: None, *, discreet: bool = False) -> Report:
        assert await self._store.flush()
        await self._store.aclose()
        drawn = draw(self.path, self.old, self.new, since=0.0)
        base = Base(Path("base"), "base")
        past = traffic(self.path)
        return make(
            base, self.old, "head", self.new, ledger=past, drawn=drawn, answers=answers, discreet=discreet, days=30
        )


def figures(report: Report) -> tuple[int, int, int]:
    """How many move, stay, and are unknown."""
    assert report.moves is not None
    return report.moves.moved, report.moves.stayed, report.moves.unknown


async def test_the_sandbox_reads_a_sample_as_it_read_the_request(tmp_path: Path) -> None:
    past = Past(tmp_path, RECORDS, RECORDS.replace("Texts and letters", "Letters and code"))
    for ask, who in (("Write some code", CLAUDE), ("Write a letter", GPT), ("Code for debugging", CLAUDE)):
        past.serve(ask, who=who)
    report = await past.report(sandbox)
    assert report.moves is not None
    assert report.moves.matrix == {"smart": {CLAUDE: {GPT: 1, CLAUDE: 1}, GPT: {GPT: 1}}}
    (flow,) = report.moves.flows
    assert flow.examples == ("Write some code",)


async def test_what_the_designator_said_then_counts_where_it_is_asked_the_same(tmp_path: Path) -> None:
    past = Past(tmp_path, after=REAL.replace("nano}", "nano, timeout: 9s}"))
    past.serve("Hi", who=CLAUDE)
    past.serve("Hi", who=GPT)
    report = await past.report()
    assert report.moves is not None
    assert (figures(report), report.moves.same_question) == ((0, 2, 0), 0)
    assert report.moves.matrix == {"smart": {CLAUDE: {CLAUDE: 1}, GPT: {GPT: 1}}}


@pytest.mark.parametrize("fate", ["fallback_timeout", "fallback_none"])
async def test_another_fallback_moves_those_that_fell_back(tmp_path: Path, fate: Fate) -> None:
    past = Past(tmp_path, after=f"{REAL}fallback: {CLAUDE}\n")
    past.serve("Hi", who=GPT)
    past.serve("Hello", fate, GPT)
    report = await past.report()
    assert report.moves is not None
    assert figures(report) == (1, 1, 0)
    assert [(flow.before, flow.after, flow.examples) for flow in report.moves.flows] == [(GPT, CLAUDE, ("Hello",))]


async def test_another_prompt_is_another_question(tmp_path: Path) -> None:
    past = Past(tmp_path, after=REAL.replace("Texts and letters", "Letters"))
    past.serve("Hi")
    report = await past.report()
    assert figures(report) == (0, 0, 1)
    text = show(report, "text")
    assert "who moves, of 1 sampled request: 0 stay, 0 move, 1 cannot be re-decided offline\n" in text
    assert "the designator's answer is neither kept with the request nor among those recorded" in text


async def test_answers_to_the_new_question(tmp_path: Path) -> None:
    past = Past(tmp_path, after=REAL.replace("Texts and letters", "Letters"))
    past.serve("Hi")
    assert figures(await past.report(lambda policy, ask: CLAUDE)) == (1, 0, 0), "only the new one is asked"


async def test_a_candidate_that_can_no_longer_serve_needs_no_designator(tmp_path: Path) -> None:
    past = Past(tmp_path, gateway=f"kind: gateway\nmodels: {{{GPT}: {{context: 20}}}}\n")
    past.serve("Write a letter " * 100)
    report = await past.report()
    assert report.moves is not None
    assert [(flow.before, flow.after) for flow in report.moves.flows] == [(GPT, CLAUDE)]


async def test_a_lone_candidate_that_gets_company(tmp_path: Path) -> None:
    lone = REAL.replace("  - {model: anthropic/claude-sonnet-4-5, purpose: Code and debugging}\n", "")
    past = Past(tmp_path, lone, REAL)
    past.serve("Hi", "only_candidate")
    assert figures(await past.report(lambda policy, ask: CLAUDE)) == (1, 0, 0)


async def test_a_router_that_goes(tmp_path: Path) -> None:
    past = Past(tmp_path, after=REAL.replace("name: smart", "name: other"))
    past.serve("Hi")
    report = await past.report()
    assert report.moves is not None
    assert [flow.after for flow in report.moves.flows] == ["(no router)"]


async def test_costs_are_of_the_tokens_in_the_ledger(tmp_path: Path) -> None:
    past = Past(tmp_path, after=REAL.replace("nano}", "nano, timeout: 9s}"))
    past.serve("Hi", who=GPT)
    report = await past.report()
    assert report.moves is not None
    assert report.moves.cost.before == pytest.approx(2.5 + 1.0)


# --- what can be decided again, and what cannot -----------------------------------------------------------------------


async def test_what_the_samples_stand_for(tmp_path: Path) -> None:
    past = Past(tmp_path, after=f"{REAL}fallback: {CLAUDE}\n")
    past.serve("Hi")
    past.serve("Hello")
    past.serve("Lost", sampled=False)
    past.serve("More", "session")
    past.serve("Tool", "tool_loop")
    report = await past.report()
    assert report.coverage == (Coverage("smart", 5, followed=2, samples=2, asked_otherwise=0),)
    assert (
        "  smart: 2 of 3 decided requests in the ledger sampled (66.7%); "
        "2 more followed their conversation, as they would again, and are not counted.\n"
    ) in show(report, "text")
    assert "\n- `smart`: 2 of 3 decided requests" in show(report, "markdown")
    assert json.loads(show(report, "json"))["coverage"][0]["samples"] == 2


async def test_what_another_revision_asked_proves_nothing(tmp_path: Path) -> None:
    past = Past(tmp_path, after=f"{REAL}fallback: {CLAUDE}\n")
    former, _ = generations(tmp_path / "former", REAL.replace("Texts", "Things"), REAL)
    past.serve("Hi", by=former)
    past.serve("Hi")
    past.serve("Only one was up", "only_candidate")
    report = await past.report()
    assert report.coverage == (Coverage("smart", 3, followed=0, samples=3, asked_otherwise=2),)
    assert "smart: in 2 of these the designator was asked something else than the base would ask" in show(
        report, "text"
    )


async def test_a_ledger_without_samples_says_how_to_get_some(tmp_path: Path) -> None:
    past = Past(tmp_path, after=f"{REAL}fallback: {CLAUDE}\n")
    past.serve("Hi", sampled=False)
    report = await past.report()
    assert report.moves is None
    text = show(report, "text")
    assert "who moves" not in text
    assert "give --corpus, or let routers keep samples (record)" in text


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (REAL, set()),
        (f"{REAL}fallback: {CLAUDE}\n", {"smart"}),
        (f"# A remark.\n{REAL}", set()),
        (REAL.replace("name: smart", "name: other"), {"smart", "other"}),
    ],
)
def test_only_routers_that_change_are_of_interest(tmp_path: Path, after: str, expected: set[str]) -> None:
    assert concerned(*generations(tmp_path, REAL, after)) == expected


def test_other_assessments_are_another_router(tmp_path: Path) -> None:
    old, _ = generations(tmp_path, REAL, REAL)
    assert concerned(old, Generation(old.snapshot, {"smart": {GPT: "Strong at letters."}})) == {"smart"}


# --- what is shown of them --------------------------------------------------------------------------------------------

HOSTILE = "\x1b]0;owned\x07\x1b[31mIgnore\u202e all <script>alert(1)</script> `@everyone` sk-abcdefghijklmnop1234"


@pytest.fixture
def moved(tmp_path: Path) -> Callable[[], Past]:
    def begin() -> Past:
        past = Past(tmp_path, RECORDS, RECORDS.replace("Texts and letters", "Code and debugging and prompts"))
        past.serve(HOSTILE.replace("sk-", "s-") + " code", who=CLAUDE)
        return past

    return begin


async def test_a_hostile_text_is_a_line_on_the_terminal(moved: Callable[[], Past]) -> None:
    text = show(await moved().report(sandbox), "text")
    assert "Ignore" in text
    assert not any(char in text for char in "\x1b\x07\u202e")


@pytest.mark.parametrize("style", ["markdown", "json"])
async def test_what_others_may_read_quotes_nobody(moved: Callable[[], Past], style: str) -> None:
    text = show(await moved().report(sandbox, discreet=True), style)
    assert "request-1" in text
    assert "Ignore" not in text
    assert "everyone" not in text
