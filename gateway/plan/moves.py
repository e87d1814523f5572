"""Who moves: example requests decided under the old and the new configuration, without sending any of them.

Each request is decided as the first of its conversation, with every provider available. Where the designator must be
asked, its answer comes from whoever knows it (:data:`Answers`), but first from the request itself: one that a gateway
kept (:mod:`gateway.samples`) knows what the designator said then, if this is the question that it was asked. A request
whose answer nobody knows is not guessed at. But where both configurations put the very same question, to the same
model, the request goes where it went before, whatever the answer is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

import msgspec

from gateway.chat import Usage
from gateway.config.model import Model
from gateway.costs import cost
from gateway.errors import BadRequest, NoCandidate
from gateway.generation import Generation
from gateway.plan.corpus import ASSUMED_OUTPUT, Sample
from gateway.routing.decide import Ask, Decision, Excerpt, Policy, question
from gateway.routing.eligible import BYTES_PER_TOKEN

#: What a designator answers; None where that is not known.
Answers = Callable[[Policy, Ask], str | None]

#: Where a request goes that goes to no candidate.
REFUSED, NO_ROUTER = "(refused)", "(no router)"
#: Tokens of a designator's answer.
_NAME = 16
_EXAMPLES = 3


class Flow(msgspec.Struct, frozen=True):
    """Requests of one router that go from one candidate to another."""

    router: str
    before: str
    after: str
    requests: int
    #: The heads of some of them.
    examples: tuple[str, ...]


class Cost(msgspec.Struct, frozen=True):
    """USD, for the requests whose price is known on both sides."""

    requests: int
    before: float
    after: float


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
    #: Of the candidates, for requests that are known on both sides.
    cost: Cost
    #: Of asking designators, which is known also where their answer is not.
    asking: Cost
    assumed_output: int = ASSUMED_OUTPUT


class Question(msgspec.Struct, frozen=True):
    """What a designator has to be asked to decide ``sample`` under ``generation``."""

    generation: Generation
    policy: Policy
    sample: Sample
    ask: Ask


class _Outcome(msgspec.Struct, frozen=True):
    """Where a request goes under one side: a candidate's id or why to none; None is unknown."""

    place: str | None
    model: Model | None = None
    #: What asking the designator costs; None is unknown.
    asking: float | None = 0.0


def digest(ask: Ask) -> str:
    """See :func:`gateway.routing.decide.question`."""
    system, user = ask.prompt.messages
    return question(ask.prompt.model, system.text, user.text)


def question_of(generation: Generation, sample: Sample) -> str | None:
    """The digest of what a designator would be asked under ``generation``; None where none would be."""
    step = _decide(generation, sample)
    return digest(step) if isinstance(step, Ask) else None


def open_questions(
    samples: Iterable[Sample], generations: Sequence[Generation], answers: Answers
) -> dict[str, Question]:
    """The questions that ``answers`` does not know, each once, by their digests."""
    found: dict[str, Question] = {}
    for sample in samples:
        for generation in generations:
            step, policy = _decide(generation, sample), generation.policies.get(sample.router)
            if isinstance(step, Ask) and policy is not None and _answer(policy, step, sample, answers) is None:
                found.setdefault(digest(step), Question(generation, policy, sample, step))
    return found


def compare(
    samples: Sequence[Sample],
    old: Generation,
    new: Generation,
    answers: Answers,
    name: Callable[[Sample], str] = attrgetter("shown"),
) -> Moves:
    """Decide every request twice. ``name`` is what an example is shown as."""
    flows: dict[tuple[str, str, str], list[Sample]] = {}
    matrix: dict[str, dict[str, dict[str, int]]] = {}
    spent: list[tuple[float | None, float | None]] = []
    asking: list[tuple[float | None, float | None]] = []
    same_question = unknown = 0
    for sample in samples:
        first, second = _decide(old, sample), _decide(new, sample)
        before = _settle(old.policies.get(sample.router), first, sample, answers)
        after = _settle(new.policies.get(sample.router), second, sample, answers)
        asking.append((before.asking, after.asking))
        if before.place is None or after.place is None:
            same = isinstance(first, Ask) and isinstance(second, Ask) and digest(first) == digest(second)
            same_question += same
            unknown += not same
            continue
        row = matrix.setdefault(sample.router, {}).setdefault(before.place, {})
        row[after.place] = row.get(after.place, 0) + 1
        if before.place != after.place:
            flows.setdefault((sample.router, before.place, after.place), []).append(sample)
        if before.model is not None or after.model is not None:
            spent.append((_price(before, sample), _price(after, sample)))
    moved = sum(map(len, flows.values()))
    return Moves(
        requests=len(samples),
        moved=moved,
        stayed=len(samples) - moved - unknown,
        same_question=same_question,
        unknown=unknown,
        flows=tuple(
            Flow(*way, len(movers), tuple(dict.fromkeys(map(name, movers)))[:_EXAMPLES])
            for way, movers in sorted(flows.items(), key=lambda item: (-len(item[1]), item[0]))
        ),
        matrix=matrix,
        cost=_sum(spent),
        asking=_sum(asking),
    )


def _decide(generation: Generation, sample: Sample) -> Ask | Decision | str:
    """The first step: a question, a decision, or why there is none."""
    policy = generation.policies.get(sample.router)
    if policy is None:
        return NO_ROUTER
    try:
        request = sample.request
        return policy.decide_again(request) if isinstance(request, Excerpt) else policy.decide(request, None)
    except (BadRequest, NoCandidate):
        return REFUSED


def _answer(policy: Policy, ask: Ask, sample: Sample, answers: Answers) -> str | None:
    """What its own designator said to the very same question comes first."""
    if sample.recorded is not None and sample.recorded.question == digest(ask):
        return sample.recorded.text
    return answers(policy, ask)


def _settle(policy: Policy | None, step: Ask | Decision | str, sample: Sample, answers: Answers) -> _Outcome:
    if isinstance(step, Decision):
        return _Outcome(step.candidate.id, step.candidate.model)
    if policy is None or isinstance(step, str):
        return _Outcome(step if isinstance(step, str) else NO_ROUTER)
    answer, asking = _answer(policy, step, sample, answers), _asking(policy, step)
    if answer is None:
        return _Outcome(None, asking=asking)
    candidate = policy.settle(step, answer).candidate
    return _Outcome(candidate.id, candidate.model, asking)


def _sum(prices: Iterable[tuple[float | None, float | None]]) -> Cost:
    known = [(before, after) for before, after in prices if before is not None and after is not None]
    return Cost(len(known), sum((before for before, _ in known), 0.0), sum((after for _, after in known), 0.0))


def _asking(policy: Policy, ask: Ask) -> float | None:
    read = sum(len(message.text.encode("utf-8", "surrogatepass")) for message in ask.prompt.messages)
    return cost(policy.router.designator.model, Usage(read // BYTES_PER_TOKEN, _NAME))


def _price(outcome: _Outcome, sample: Sample) -> float | None:
    if outcome.model is None:
        return 0.0
    usage, needs = sample.usage, sample.needs
    written = usage.output
    if written is None:
        written = min(ASSUMED_OUTPUT, needs.output or ASSUMED_OUTPUT)
    read = needs.tokens if usage.input is None else usage.input
    return cost(outcome.model, Usage(read, written))
