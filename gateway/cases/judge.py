"""Whether a request went as its test expects."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.cases.report import Finding
from gateway.config.model import Step
from gateway.rehearsal.rehearse import Outcome


def judge(step: Step, outcome: Outcome, before: str | None) -> Iterator[Finding]:
    """Every expectation of ``step`` that is not met; ``before`` is who answered the step before."""
    got = _got(outcome)
    if step.error:
        if outcome.error != step.error:
            yield Finding(f"the error {step.error}", got)
        return
    if outcome.error is not None:
        yield Finding(_wanted(step), got)
        return
    if step.expect and outcome.candidate not in step.expect:
        yield Finding(" or ".join(step.expect), got)
    if outcome.candidate in step.reject:
        yield Finding(f"not {' or '.join(step.reject)}", got)
    if step.decision is not None and outcome.decision != step.decision:
        yield Finding(f"the decision {step.decision}", got)
    if step.stays is not None and before is not None and (outcome.candidate == before) is not step.stays:
        yield Finding(f"to stay with {before}" if step.stays else f"to leave {before}", got)


def _wanted(step: Step) -> str:
    if step.expect:
        return " or ".join(step.expect)
    return f"an answer, but not of {' or '.join(step.reject)}" if step.reject else "an answer"


def _got(outcome: Outcome) -> str:
    if outcome.error is not None:
        return f"the error {outcome.error}: {outcome.message}"
    return f"{outcome.candidate} ({outcome.decision})"
