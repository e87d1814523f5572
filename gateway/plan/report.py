"""Everything that a plan says, and the words that its printed forms share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from gateway.config.diff import Change, Item, Plan, Sessions
from gateway.plan.answers import Asked
from gateway.plan.drawn import Coverage
from gateway.plan.moves import Moves
from gateway.plan.prompts import Prompt, PromptChange
from gateway.plan.traffic import Past, Way


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A change and its consequences. What was not asked for is None."""

    #: As the user named it, and its commit where git has it from.
    base: str
    base_commit: str | None
    base_revision: str
    head: str
    head_revision: str
    plan: Plan
    #: By router.
    prompts: dict[str, PromptChange]
    moves: Moves | None = None
    #: What came of asking designators for ``moves``; None where nobody was asked.
    asked: Asked | None = None
    #: Past traffic of the routers that change.
    past: tuple[Past, ...] | None = None
    #: How much of that traffic ``moves`` is about; None where those are requests from a file.
    coverage: tuple[Coverage, ...] | None = None
    #: Samples that this version cannot read.
    unreadable: int = 0
    #: The days that ``past`` looks back.
    days: float | None = None
    #: What else there is to know, in lines that begin with the routers concerned.
    notes: tuple[str, ...] = ()


#: The kinds of named things, in the order in which they are told.
KINDS = ("routers", "models", "providers", "clients", "operators")
SIGNS = {"added": "+", "removed": "-", "changed": "~", "reordered": "~"}


def items(plan: Plan, kind: str) -> tuple[Item, ...]:
    """The things of one kind that are not what they were."""
    found: tuple[Item, ...] = getattr(plan, kind)
    return found


def changes(report: Report, kind: str, item: Item) -> tuple[Change, ...]:
    """What is to be told of one of them; of a router also what its designator will read."""
    prompt = report.prompts.get(item.name) if kind == "routers" else None
    if prompt is None:
        return item.changes
    return (*item.changes, Change("designator prompt", item.kind, _prompt(prompt.before), _prompt(prompt.after)))


def _prompt(prompt: Prompt | None) -> str:
    if prompt is None:
        return ""
    cost = "" if prompt.per_thousand is None else f", {usd(prompt.per_thousand)} per 1,000 decisions"
    return f"{prompt.digest}, about {prompt.tokens:,} tokens{cost}"


def headline(report: Report) -> str:
    """The change in one line."""
    if report.plan.empty:
        return "nothing changes for any request"
    parts = [
        f"{len(found)} {kind[:-1] if len(found) == 1 else kind} {how}"
        for kind in KINDS
        for how in ("added", "removed", "changed")
        if (found := [item for item in items(report.plan, kind) if item.kind == how])
    ]
    if report.plan.gateway:
        parts.append("settings of the gateway changed")
    return ", ".join(parts)


def names(report: Report) -> tuple[str, str]:
    """Both sides, as one reads them."""
    commit = f" ({report.base_commit[:12]})" if report.base_commit else ""
    return f"{report.base}{commit}", report.head


def is_key(change: Change) -> bool:
    """Whether the field's values are never shown, so that only the change itself can be told."""
    return not change.before and not change.after


def of_sessions(sessions: Sessions, quote: Callable[[str], str] = str) -> Iterator[str]:
    """What becomes of a router's running sessions, in sentences without the router's name."""
    if sessions.ended:
        yield "sessions end: every request is decided anew"
    for candidate in sessions.moved:
        yield f"sessions at {quote(candidate)} are decided anew with their next request"
    for candidate in sessions.may_move:
        yield f"sessions at {quote(candidate)} move where a request needs what it can no longer do"


def of_moves(report: Report, moves: Moves) -> str:
    """The example requests in one line."""
    what = "request" if report.coverage is None else "sampled request"
    text = f"{counted(moves.requests, what)}: {moves.stayed:,} stay, {moves.moved:,} move"
    if moves.unknown:
        text += f", {moves.unknown:,} cannot be re-decided{' offline' if report.asked is None else ''}"
    return text


def remarks(report: Report, moves: Moves, quote: Callable[[str], str] = str) -> Iterator[str]:
    """How far the figures on example requests can be trusted, in sentences."""
    asked = report.asked
    if moves.same_question:
        yield (
            f"{moves.same_question:,} of those that stay are known to because their designator reads the very same "
            "question as before, whatever it answers."
        )
    if asked is not None:
        failed = "" if asked.failure is None else f", {asked.failed:,} without an answer ({quote(asked.failure)})"
        yield f"{counted(asked.questions, 'question')} put to designators just now{failed}."
    if moves.unknown and asked is None:
        kept = "" if report.coverage is None else "neither kept with the request nor "
        yield (
            f"{counted(moves.unknown, 'request')} cannot be re-decided offline: the designator's answer is "
            f"{kept or 'not '}among those recorded for the routers' tests. Ask for it now (--live)."
        )
    if moves.cost.requests or moves.asking.requests:
        yield f"Tokens are estimated, and {moves.assumed_output:,} assumed for an answer, where none are recorded."
    else:
        yield "No price is known on both sides, so there are no costs to compare."


def coverage(report: Report, quote: Callable[[str], str] = str) -> Iterator[str]:
    """How much of past traffic the example requests are, and what of it cannot be among them, in sentences."""
    for covered in report.coverage or ():
        router, decided = quote(covered.router), covered.requests - covered.followed
        # A request may be sampled and never come to the ledger, or leave it first.
        share = f" ({covered.samples / decided:.1%})" if covered.samples <= decided else ""
        text = f"{router}: {covered.samples:,} of {counted(decided, 'decided request')} in the ledger sampled{share}"
        if covered.followed:
            text += f"; {covered.followed:,} more followed their conversation, as they would again, and are not counted"
        yield f"{text}."
        if covered.asked_otherwise:
            yield (
                f"{router}: in {covered.asked_otherwise:,} of these the designator was asked something else than the "
                "base would ask: by another revision, with other assessments, or while a provider rested. What it said "
                "then does not count."
            )
    if report.unreadable:
        yield f"{counted(report.unreadable, 'sample')} of another version of LLM Relay cannot be read by this one."


def costs(moves: Moves) -> Iterator[str]:
    """What the example requests cost before and after, as far as prices are known."""
    for role, cost in (("candidates", moves.cost), ("designators", moves.asking)):
        if cost.requests and (cost.before or cost.after):
            of = "" if cost.requests == moves.requests else f", {cost.requests:,} of {moves.requests:,} requests"
            yield f"cost of {role}{of}: {delta(cost.before, cost.after)}"


def replayed(report: Report) -> str:
    """What the ledger can and cannot tell."""
    days = f"the last {report.days:g} days" if report.days is not None else "all that it has"
    if report.moves is not None:
        return (
            f"From the ledger, {days}, sampled or not: where past requests went, and what their tokens would cost at "
            "the new prices."
        )
    return (
        f"From the ledger, {days}. It holds no prompts, so that nothing in it can be decided again: shown is where "
        "past requests went, and what their tokens would cost at the new prices. For who would move, give --corpus, or "
        "let routers keep samples (record)."
    )


def delta(before: float | None, after: float | None) -> str:
    """A cost before and after, as far as they are known."""
    if before is None or after is None:
        return f"{'unknown' if before is None else usd(before)} → {'unknown' if after is None else usd(after)}"
    change = after - before
    if not change:
        return f"{usd(before)}, as before"
    text = f"{usd(before)} → {usd(after)} ({'+' if change >= 0 else '-'}{usd(abs(change))}"
    return f"{text}, {change / before:+.1%})" if before else f"{text})"


def of_way(way: Way) -> str:
    """What becomes of past requests that went one way."""
    if not way.gone:
        return delta(way.cost_before, way.cost_after)
    so_far = "" if way.cost_before is None else f"{usd(way.cost_before)} so far, "
    return f"{so_far}goes elsewhere from now on"


def usd(amount: float) -> str:
    """An amount with as many digits as tell something."""
    if amount >= 1 or amount == 0:
        return f"${amount:,.2f}"
    return f"${amount:.4f}" if amount >= 0.001 else f"${amount:.6f}"


def counted(number: int, what: str) -> str:
    """``1 request``, ``2 requests``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
