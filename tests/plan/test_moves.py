"""Who moves: the same requests under two configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.chat import ChatRequest, Image
from gateway.plan.answers import first, sandbox
from gateway.plan.corpus import Usage
from gateway.plan.moves import NO_ROUTER, REFUSED, Answers, Flow, Moves, compare, digest, open_questions
from gateway.routing.decide import Ask, Policy

from .scene import ROUTER, generations, request, sample

GPT, CLAUDE = "openai/gpt-4o", "anthropic/claude-sonnet-4-5"
REAL = ROUTER.replace("sandbox/designator", "openai/gpt-5-nano")


def nobody(policy: Policy, ask: Ask) -> None:
    return None


def always(text: str) -> Answers:
    """The same answer to every question."""
    return lambda policy, ask: text


def moves(folder: Path, before: str, after: str, *asks: str, gateway: str = "") -> Moves:
    old, new = generations(folder, before, after, gateway)
    return compare([sample(ask) for ask in asks], old, new, sandbox)


def test_requests_move_with_the_purposes(tmp_path: Path) -> None:
    after = ROUTER.replace("Texts and letters", "Letters and code")
    found = moves(
        tmp_path, ROUTER, after, "Write some code", "Write another code", "Write a letter", "Code for debugging"
    )
    assert (found.requests, found.moved, found.stayed, found.unknown) == (4, 2, 2, 0)
    assert found.flows == (Flow("smart", CLAUDE, GPT, 2, ("Write some code", "Write another code")),)
    assert found.matrix == {"smart": {CLAUDE: {GPT: 2, CLAUDE: 1}, GPT: {GPT: 1}}}


def test_nothing_moves_where_nothing_changes(tmp_path: Path) -> None:
    found = moves(tmp_path, ROUTER, ROUTER, "Write some code", "Write a letter")
    assert (found.moved, found.stayed, found.flows) == (0, 2, ())


@pytest.mark.parametrize(("before", "after"), [(ROUTER, ""), ("", ROUTER)])
def test_routers_that_come_and_go(tmp_path: Path, before: str, after: str) -> None:
    other = ROUTER.replace("name: smart", "name: other")
    found = moves(tmp_path, before or other, after or other, "Write a letter")
    (flow,) = found.flows
    assert (flow.before, flow.after) == ((GPT, NO_ROUTER) if before else (NO_ROUTER, GPT))


def test_a_request_that_nobody_can_serve_any_more(tmp_path: Path) -> None:
    old, new = generations(
        tmp_path, ROUTER, ROUTER, f"kind: gateway\nmodels: {{{GPT}: {{context: 20}}, {CLAUDE}: {{context: 20}}}}\n"
    )
    found = compare([sample("Write a letter " * 100)], old, new, sandbox)
    (flow,) = found.flows
    assert (flow.before, flow.after) == (GPT, REFUSED)


def test_what_only_one_can_serve_needs_no_designator(tmp_path: Path) -> None:
    old, new = generations(tmp_path, REAL, REAL, f"kind: gateway\nmodels: {{{GPT}: {{context: 20}}}}\n")
    found = compare([sample("Write a letter " * 100)], old, new, always(GPT))
    (flow,) = found.flows
    assert (flow.before, flow.after) == (GPT, CLAUDE)


# --- answers ----------------------------------------------------------------------------------------------------------


def test_what_nobody_knows_is_not_guessed(tmp_path: Path) -> None:
    old, new = generations(tmp_path, REAL, REAL.replace("Texts and letters", "Letters"))
    found = compare([sample("Hi")], old, new, nobody)
    assert (found.requests, found.moved, found.stayed, found.unknown) == (1, 0, 0, 1)
    assert (found.matrix, found.cost.requests) == ({}, 0)


def test_the_same_question_has_the_same_answer(tmp_path: Path) -> None:
    """Another timeout or fallback changes nothing that the designator reads."""
    old, new = generations(tmp_path, REAL, REAL.replace("nano}", "nano, timeout: 9s}") + f"fallback: {CLAUDE}\n")
    found = compare([sample("Hi"), sample("Hello")], old, new, nobody)
    assert (found.moved, found.stayed, found.same_question, found.unknown) == (0, 2, 2, 0)


def test_another_designator_is_another_question(tmp_path: Path) -> None:
    old, new = generations(tmp_path, REAL, REAL.replace("gpt-5-nano", "gpt-5-mini"))
    assert compare([sample("Hi")], old, new, nobody).unknown == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(CLAUDE, CLAUDE), (f" `{CLAUDE}`.", CLAUDE), ("no idea", GPT), ("none", GPT), ("", GPT)],
)
def test_answers_are_read_as_the_gateway_reads_them(tmp_path: Path, answer: str, expected: str) -> None:
    old, new = generations(tmp_path, REAL, REAL)
    found = compare([sample("Hi")], old, new, always(answer))
    assert found.matrix == {"smart": {expected: {expected: 1}}}


def test_the_first_who_knows_answers(tmp_path: Path) -> None:
    old, _ = generations(tmp_path, REAL, REAL)
    policy = old.policies["smart"]
    step = policy.decide(request(sample("Hi")), None)
    assert isinstance(step, Ask)
    assert sandbox(policy, step) is None, "not the sandbox's to say"
    assert first(nobody, always("a"), always("b"))(policy, step) == "a"
    assert first(nobody)(policy, step) is None


def test_every_open_question_is_asked_once(tmp_path: Path) -> None:
    old, new = generations(tmp_path, REAL, REAL.replace("Texts and letters", "Letters"))
    samples = [sample("Hi"), sample("Hi"), sample("Hello")]
    found = open_questions(samples, (old, new), nobody)
    assert len(found) == 4
    assert all(digest(question.ask) == key for key, question in found.items())
    assert open_questions(samples, (old, new), always(GPT)) == {}


# --- costs ------------------------------------------------------------------------------------------------------------


def test_costs_of_recorded_tokens(tmp_path: Path) -> None:
    old, new = generations(
        tmp_path, REAL, REAL, f"kind: gateway\nmodels: {{{GPT}: {{price: {{input: 5, output: 20}}}}}}\n"
    )
    found = compare([sample("Hi", usage=Usage(1_000_000, 100_000))] * 2, old, new, always(GPT))
    assert found.cost.requests == 2
    assert (found.cost.before, found.cost.after) == pytest.approx((2 * 3.5, 2 * 7.0))
    assert min(found.asking.before, found.asking.after) > 0


def test_costs_of_estimated_tokens(tmp_path: Path) -> None:
    old, new = generations(tmp_path, REAL, REAL)
    plain = compare([sample("x" * 4_000)], old, new, always(GPT)).cost
    assert plain.before == pytest.approx((1_004 * 2.5 + 500 * 10) / 1e6)
    short = compare([sample("x" * 4_000, max_tokens=10)], old, new, always(GPT)).cost
    assert short.before == pytest.approx((1_004 * 2.5 + 10 * 10) / 1e6)


def test_only_what_is_priced_on_both_sides_counts(tmp_path: Path) -> None:
    unpriced = REAL.replace(GPT, "openai/unheard-of")
    old, new = generations(tmp_path, unpriced, REAL)
    asked = always("openai/unheard-of")
    assert compare([sample("Hi")], old, old, asked).cost.requests == 0
    assert compare([sample("Hi")], new, new, always(GPT)).cost.requests == 1


def test_what_asking_costs_is_known_without_the_answer(tmp_path: Path) -> None:
    old, new = generations(tmp_path, REAL, REAL.replace("gpt-5-nano", "gpt-5"))
    found = compare([sample("Hi"), sample("Hello")], old, new, nobody)
    assert (found.unknown, found.cost.requests, found.asking.requests) == (2, 0, 2)
    assert found.asking.after == pytest.approx(25 * found.asking.before, rel=0.01)


def test_a_designator_without_a_price_does_not_hide_what_candidates_cost(tmp_path: Path) -> None:
    old, new = generations(tmp_path, ROUTER, ROUTER)
    found = compare([sample("A letter")], old, new, sandbox)
    assert (found.cost.requests, found.asking.requests) == (1, 0)


def test_media_count_for_eligibility(tmp_path: Path) -> None:
    """Requests are decided with all that they hold, not only by their text."""
    blind = f"kind: gateway\nmodels: {{{GPT}: {{capabilities: [tools]}}}}\n"
    old, new = generations(tmp_path, REAL, REAL, blind)
    seen = sample("What is this?")
    (turn,) = request(seen).messages
    turn = type(turn)("user", (*turn.parts, Image(url="https://x.example/a.png")))
    seen = type(seen)("smart", ChatRequest(dialect="openai", model="smart", messages=(turn,), fields={}))
    found = compare([seen], old, new, always(GPT))
    assert [(flow.before, flow.after) for flow in found.flows] == [(GPT, CLAUDE)]
