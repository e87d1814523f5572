"""What designators will read: the instructions of routers before and after a change."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.chat import Usage
from gateway.costs import cost
from gateway.generation import Generation
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
    """A designator that will read something else, or is another one. None where there is no such router."""

    before: Prompt | None
    after: Prompt | None


def changed(old: Generation, new: Generation, routers: Iterable[str]) -> dict[str, PromptChange]:
    """Those of ``routers`` whose prompt is not what it was, by name."""
    prompts = {name: PromptChange(_prompt(old, name), _prompt(new, name)) for name in routers}
    return {name: prompt for name, prompt in prompts.items() if prompt.before != prompt.after}


def _prompt(generation: Generation, name: str) -> Prompt | None:
    policy = generation.policies.get(name)
    if policy is None:
        return None
    tokens = len(policy.system.encode()) // BYTES_PER_TOKEN
    model = policy.router.designator.model
    return Prompt(policy.digest, model.id, tokens, cost(model, Usage(tokens * _DECISIONS, 0)))
