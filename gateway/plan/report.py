"""Everything that a plan says, and the words that its printed forms share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from gateway.config.diff import Change, Item, Plan, Sessions
from gateway.plan.moves import Moves
from gateway.plan.prompts import Prompt, PromptChange
from gateway.plan.traffic import Past


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
    #: Past traffic of the routers that change.
    past: tuple[Past, ...] | None = None
    #: The days that ``past`` looks back.
    days: float | None = None


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


def of_moves(moves: Moves) -> str:
    """The example requests in one line."""
    text = f"{counted(moves.requests, 'request')}: {moves.stayed:,} stay, {moves.moved:,} move"
    if moves.unknown:
        text += f", {moves.unknown:,} cannot be re-decided offline"
    return text


def remarks(moves: Moves) -> Iterator[str]:
    """How far the figures on example requests can be trusted, in sentences."""
    if moves.same_question:
        yield (
            f"{moves.same_question:,} of those that stay are known to because their designator reads the very same "
            "question as before, whatever it answers."
        )
    if moves.unknown:
        yield (
            f"{counted(moves.unknown, 'request')} cannot be re-decided offline: no recording has the designator's "
            "answer. Record it (llm-relay test --record), or ask for it now (--live)."
        )
    if moves.cost.requests < moves.requests:
        yield (
            f"Costs cover {moves.cost.requests:,} of {counted(moves.requests, 'request')}: those whose prices are "
            "known on both sides."
        )
    if moves.cost.requests:
        yield f"Tokens are estimated, and {moves.assumed_output:,} assumed for an answer, where none are recorded."


def costs(moves: Moves) -> Sequence[tuple[str, float, float]]:
    """What the example requests cost, before and after, for each role."""
    cost = moves.cost
    if not cost.requests:
        return ()
    return (
        ("candidates", cost.before, cost.after),
        ("designators", cost.designator_before, cost.designator_after),
    )


def replayed(report: Report) -> str:
    """What the ledger can and cannot tell."""
    days = f"the last {report.days:g} days" if report.days is not None else "all that it has"
    return (
        f"From the ledger, {days}. It holds no prompts, so that nothing in it can be decided again: shown is where "
        "past requests went, and what their tokens would cost at the new prices. For who would move, give --corpus."
    )


def delta(before: float | None, after: float | None) -> str:
    """A cost before and after, as far as they are known."""
    if before is None or after is None:
        return f"{'unknown' if before is None else usd(before)} → {'unknown' if after is None else usd(after)}"
    change = after - before
    text = f"{usd(before)} → {usd(after)} ({'+' if change >= 0 else '-'}{usd(abs(change))}"
    return f"{text}, {change / before:+.1%})" if before else f"{text})"


def usd(amount: float) -> str:
    """An amount with as many digits as tell something."""
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.4f}"


def counted(number: int, what: str) -> str:
    """``1 request``, ``2 requests``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
