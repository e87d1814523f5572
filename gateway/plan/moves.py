"""Who moves: example requests decided under the old and the new configuration, without sending any of them.

Each request is decided as the first of its conversation, with every provider available. Where the designator must be
asked, its answer comes from whoever knows it (:data:`Answers`); a request whose answer nobody knows is not guessed at.
But where both configurations put the very same question, to the same model, the request goes where it went before,
whatever the answer is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import get_args

import msgspec

from gateway.chat import Usage
from gateway.config.model import Model, Snapshot
from gateway.costs import cost
from gateway.errors import BadRequest, NoCandidate
from gateway.plan.corpus import ASSUMED_OUTPUT, Sample
from gateway.routing.decide import Ask, Decision, FallbackReason, Policy
from gateway.routing.eligible import BYTES_PER_TOKEN, needs

#: What a designator answers, or why it does not; None where that is not known.
Answers = Callable[[Policy, Ask], "str | FallbackReason | None"]

#: Where a request goes that goes to no candidate.
REFUSED, NO_ROUTER = "(refused)", "(no router)"
#: Tokens of a designator's answer.
_NAME = 16
_EXAMPLES = 3
_REASONS = get_args(FallbackReason)


class Flow(msgspec.Struct, frozen=True):
    """Requests of one router that go from one candidate to another."""

    router: str
    before: str
    after: str
    requests: int
    #: The heads of some of them.
    examples: tuple[str, ...]


class Cost(msgspec.Struct, frozen=True):
    """USD for the requests whose price is known on both sides; designators apart."""

    requests: int
    before: float
    after: float
    designator_before: float
    designator_after: float


class Moves(msgspec.Struct, frozen=True):
    """What becomes of all requests."""

    requests: int
    moved: int
    stayed: int
    #: Of the stayed ones, those whose designator is asked the same as before, so that its answer need not be known.
    same_question: int
    #: Requests whose candidate cannot be known without asking a designator.
    unknown: int
    #: Those that move, most requests first.
    flows: tuple[Flow, ...]
    #: By router, candidate before and candidate after: all requests that are known on both sides.
    matrix: dict[str, dict[str, dict[str, int]]]
    cost: Cost
    assumed_output: int = ASSUMED_OUTPUT


class Side:
    """One of the two configurations."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._policies: dict[str, Policy] = {}

    def policy(self, name: str) -> Policy | None:
        """The router's policy; None without such a router."""
        if name not in self._policies and name in self._snapshot.routers:
            self._policies[name] = Policy(self._snapshot.routers[name])
        return self._policies.get(name)

    def decide(self, sample: Sample) -> Ask | Decision | str:
        """The first step: a question, a decision, or why there is none."""
        policy = self.policy(sample.router)
        if policy is None:
            return NO_ROUTER
        try:
            return policy.decide(sample.request, None)
        except (BadRequest, NoCandidate):
            return REFUSED


class _Outcome(msgspec.Struct, frozen=True):
    """Where a request goes under one side: a candidate's id or why to none; None is unknown."""

    place: str | None
    model: Model | None = None
    #: What asking the designator costs; None is unknown.
    asking: float | None = 0.0


def question(ask: Ask) -> str:
    """A digest of all that a designator reads: its model, the instructions and the request in brief."""
    digest = hashlib.blake2b(ask.prompt.model.encode(), digest_size=16)
    for message in ask.prompt.messages:
        digest.update(b"\0" + message.text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def open_questions(samples: Iterable[Sample], sides: Iterable[Side], answers: Answers) -> list[tuple[Policy, Ask]]:
    """The questions that ``answers`` does not know, each once."""
    found: dict[str, tuple[Policy, Ask]] = {}
    sides = tuple(sides)
    for sample in samples:
        for side in sides:
            step, policy = side.decide(sample), side.policy(sample.router)
            if isinstance(step, Ask) and policy is not None and answers(policy, step) is None:
                found.setdefault(question(step), (policy, step))
    return list(found.values())


def compare(samples: Sequence[Sample], old: Side, new: Side, answers: Answers) -> Moves:
    """Decide every request twice."""
    flows: dict[tuple[str, str, str], list[Sample]] = {}
    matrix: dict[str, dict[str, dict[str, int]]] = {}
    spent = [0.0, 0.0, 0.0, 0.0]
    priced = same_question = unknown = 0
    for sample in samples:
        first, second = old.decide(sample), new.decide(sample)
        before = _settle(old.policy(sample.router), first, answers)
        after = _settle(new.policy(sample.router), second, answers)
        if before.place is None or after.place is None:
            same = isinstance(first, Ask) and isinstance(second, Ask) and question(first) == question(second)
            same_question += same
            unknown += not same
            continue
        row = matrix.setdefault(sample.router, {}).setdefault(before.place, {})
        row[after.place] = row.get(after.place, 0) + 1
        if before.place != after.place:
            flows.setdefault((sample.router, before.place, after.place), []).append(sample)
        prices = [_price(before, sample), _price(after, sample), before.asking, after.asking]
        known = [price for price in prices if price is not None]
        if len(known) == len(prices) and (before.model or after.model):
            priced += 1
            spent = [sum(pair) for pair in zip(spent, known, strict=True)]
    moved = sum(map(len, flows.values()))
    return Moves(
        requests=len(samples),
        moved=moved,
        stayed=len(samples) - moved - unknown,
        same_question=same_question,
        unknown=unknown,
        flows=tuple(
            Flow(*way, len(movers), tuple(dict.fromkeys(each.shown for each in movers))[:_EXAMPLES])
            for way, movers in sorted(flows.items(), key=lambda item: (-len(item[1]), item[0]))
        ),
        matrix=matrix,
        cost=Cost(priced, *spent),
    )


def _settle(policy: Policy | None, step: Ask | Decision | str, answers: Answers) -> _Outcome:
    if isinstance(step, Decision):
        return _Outcome(step.candidate.id, step.candidate.model)
    if isinstance(step, str) or policy is None:
        return _Outcome(step if isinstance(step, str) else NO_ROUTER)
    asking = _asking(policy, step)
    answer = answers(policy, step)
    if answer is None:
        return _Outcome(None, asking=asking)
    decision = policy.fall_back(step, _reason(answer)) if answer in _REASONS else policy.settle(step, answer)
    return _Outcome(decision.candidate.id, decision.candidate.model, asking)


def _reason(answer: str) -> FallbackReason:
    reasons: tuple[FallbackReason, ...] = _REASONS
    return next(reason for reason in reasons if reason == answer)


def _asking(policy: Policy, ask: Ask) -> float | None:
    read = sum(len(message.text.encode("utf-8", "surrogatepass")) for message in ask.prompt.messages)
    return cost(policy.router.designator.model, Usage(read // BYTES_PER_TOKEN, _NAME))


def _price(outcome: _Outcome, sample: Sample) -> float | None:
    if outcome.model is None:
        return 0.0
    request, usage = sample.request, sample.usage
    written = usage.output
    if written is None:
        written = min(ASSUMED_OUTPUT, request.max_tokens or ASSUMED_OUTPUT)
    read = needs(request).tokens if usage.input is None else usage.input
    return cost(outcome.model, Usage(read, written))
