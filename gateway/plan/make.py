"""From two configurations, and what is known of their traffic, to a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.config.diff import diff
from gateway.config.model import Snapshot
from gateway.ledger import Traffic
from gateway.plan import moves, prompts, traffic
from gateway.plan.base import Base
from gateway.plan.corpus import Sample
from gateway.plan.report import Report

#: The configuration before there was any.
NOTHING = Snapshot(revision="none", routers={}, models={}, providers={})


def make(
    base: Base,
    old: Snapshot,
    head: str,
    new: Snapshot,
    *,
    samples: Sequence[Sample] | None = None,
    answers: moves.Answers = lambda policy, ask: None,
    ledger: Iterable[Traffic] | None = None,
    days: float | None = None,
) -> Report:
    """The report on the change from ``old`` to ``new``.

    ``answers`` are those of designators to ``samples``; ``ledger`` is the traffic of the last ``days``.
    """
    plan = diff(old, new)
    return Report(
        base=base.name,
        base_commit=base.commit,
        base_revision=old.revision,
        head=head,
        head_revision=new.revision,
        plan=plan,
        prompts=tuple(prompts.changed(old, new, [item.name for item in plan.routers])),
        moves=None if samples is None else moves.compare(samples, moves.Side(old), moves.Side(new), answers),
        past=None if ledger is None else tuple(traffic.replay(ledger, old, new)),
        days=days,
    )
