"""What designators will read: the instructions of routers before and after a change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from gateway.config.model import Snapshot
from gateway.plan.cost import cost
from gateway.routing.decide import Policy
from gateway.routing.eligible import BYTES_PER_TOKEN

_DECISIONS = 1_000


class Prompt(msgspec.Struct, frozen=True):
    """A designator's instructions."""

    #: Changes with every byte; the same as ``prompt_digest`` in the gateway's status.
    digest: str
    model: str
    #: Estimated.
    tokens: int
    #: USD for reading them a thousand times; None where the price is unknown.
    per_thousand: float | None


class PromptChange(msgspec.Struct, frozen=True):
    """A router whose designator will read something else, or is another one. None where there is no such router."""

    router: str
    before: Prompt | None
    after: Prompt | None


def changed(old: Snapshot, new: Snapshot, routers: Iterable[str]) -> Iterator[PromptChange]:
    """Those of ``routers`` whose prompt is not what it was."""
    for name in routers:
        before, after = _prompt(old, name), _prompt(new, name)
        if before != after:
            yield PromptChange(name, before, after)


def _prompt(snapshot: Snapshot, name: str) -> Prompt | None:
    router = snapshot.routers.get(name)
    if router is None:
        return None
    policy = Policy(router)
    tokens = len(policy.system.encode()) // BYTES_PER_TOKEN
    model = router.designator.model
    return Prompt(policy.digest, model.id, tokens, cost(model, tokens * _DECISIONS, 0))
