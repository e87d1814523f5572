"""What designators answer, from whoever knows without asking them."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.plan.moves import Answers
from gateway.routing.decide import Ask, FallbackReason, Policy
from gateway.sandbox.designate import designate


def sandbox(policy: Policy, ask: Ask) -> str | FallbackReason | None:
    """The sandbox's own answer, where it is the designator."""
    if not policy.router.designator.model.provider.sandbox:
        return None
    system, user = ask.prompt.messages
    return designate(system.text, user.text)


def first(sources: Sequence[Answers]) -> Answers:
    """The answer of the first of ``sources`` that knows it."""

    def answer(policy: Policy, ask: Ask) -> str | FallbackReason | None:
        return next((found for source in sources if (found := source(policy, ask)) is not None), None)

    return answer
