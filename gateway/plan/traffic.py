"""What past traffic says about a change.

The ledger holds no prompts, so nothing in it can be decided again; what was sampled can (:mod:`gateway.plan.drawn`).
What it can tell: how much traffic went to candidates that a change removes, and what the tokens that were used would
cost at the new prices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from gateway.chat import Usage
from gateway.config.model import Snapshot
from gateway.costs import cost
from gateway.generation import Generation
from gateway.ledger import Traffic
from gateway.plan.drawn import concerned
from gateway.routing.decide import Policy
from gateway.routing.eligible import BYTES_PER_TOKEN


class Way(msgspec.Struct, frozen=True):
    """Past requests of a router that one candidate answered."""

    candidate: str
    requests: int
    #: Of all the router's requests, 0 to 1.
    share: float
    #: Requests by the decision that led here.
    decisions: dict[str, int]
    #: Whether the change takes the candidate, or the router, away: these requests will go elsewhere.
    gone: bool
    #: USD for their tokens at the prices before and after; None where tokens or price are unknown.
    cost_before: float | None
    cost_after: float | None


class Asking(msgspec.Struct, frozen=True):
    """What asking one designator took."""

    designator: str
    requests: int
    #: USD; after the change with its designator, its prices and the new length of the prompt.
    cost_before: float | None
    cost_after: float | None


class Past(msgspec.Struct, frozen=True):
    """Past traffic of one router that a change concerns."""

    router: str
    requests: int
    ways: tuple[Way, ...]
    asking: tuple[Asking, ...]


def replay(traffic: Iterable[Traffic], old: Generation, new: Generation) -> Iterator[Past]:
    """The routers that the change concerns, as far as the ledger knows of their traffic."""
    by_router: dict[str, list[Traffic]] = {}
    for each in traffic:
        by_router.setdefault(each.router, []).append(each)
    changed = concerned(old, new)
    for name, rows in by_router.items():
        if name in changed and name in old.snapshot.routers:
            total = sum(row.requests for row in rows)
            yield Past(name, total, _ways(rows, total, old.snapshot, new.snapshot), _asking(rows, old, new))


def _ways(rows: list[Traffic], total: int, old: Snapshot, new: Snapshot) -> tuple[Way, ...]:
    router = new.routers.get(rows[0].router)
    left = {candidate.id for candidate in router.candidates} if router is not None else set()
    ways = []
    for candidate in dict.fromkeys(row.candidate for row in rows):
        mine = [row for row in rows if row.candidate == candidate]
        count = sum(row.requests for row in mine)
        decisions: dict[str, int] = {}
        for row in mine:
            decisions[row.decision or "unknown"] = decisions.get(row.decision or "unknown", 0) + row.requests
        before, after = (_cost(mine, snapshot, candidate) for snapshot in (old, new))
        gone = candidate not in left
        ways.append(Way(candidate, count, count / total, decisions, gone, before, None if gone else after))
    return tuple(sorted(ways, key=lambda way: (-way.requests, way.candidate)))


def _cost(rows: list[Traffic], snapshot: Snapshot, candidate: str) -> float | None:
    model = snapshot.models.get(candidate)
    if model is None or all(row.input is None for row in rows):
        return None
    return cost(
        model,
        Usage(
            sum(row.input or 0 for row in rows),
            sum(row.output or 0 for row in rows),
            sum(row.cache_read or 0 for row in rows),
            sum(row.cache_write or 0 for row in rows),
        ),
    )


def _asking(rows: list[Traffic], old: Generation, new: Generation) -> tuple[Asking, ...]:
    before, after = (generation.policies.get(rows[0].router) for generation in (old, new))
    longer = _instructions(after) - _instructions(before)
    found = []
    for designator in dict.fromkeys(row.designator for row in rows if row.designator is not None):
        mine = [row for row in rows if row.designator == designator]
        count = sum(row.requests for row in mine)
        model = old.snapshot.models.get(designator)
        was = now = None
        if any(row.designator_input is not None for row in mine):
            read, written = (sum(values) for values in zip(*map(_designated, mine), strict=True))
            was = None if model is None else cost(model, Usage(read, written))
            if after is not None:
                # An estimate: the same requests in brief behind the new instructions, and another model's tokens.
                now = cost(after.router.designator.model, Usage(max(read + count * longer, 0), written))
        found.append(Asking(designator, count, was, now))
    return tuple(found)


def _designated(row: Traffic) -> tuple[int, int]:
    return row.designator_input or 0, row.designator_output or 0


def _instructions(policy: Policy | None) -> int:
    """Tokens of a designator's instructions, estimated."""
    return 0 if policy is None else len(policy.system.encode()) // BYTES_PER_TOKEN
