"""From two configurations, and what is known of their traffic, to a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from gateway.config import files
from gateway.config.diff import diff
from gateway.config.load import Loader
from gateway.config.model import Snapshot
from gateway.generation import Generation
from gateway.ledger import Traffic
from gateway.plan import moves, prompts, traffic
from gateway.plan.answers import Asked
from gateway.plan.base import Base, BaseError
from gateway.plan.corpus import Sample
from gateway.plan.report import Report


def start(base: Base, loader: Loader, folder: Path) -> Generation:
    """The configuration to compare with; problems are shown as those of ``folder`` there. Raises BaseError."""
    if base.missing:
        return Generation(Snapshot(revision="none", routers={}, models={}, providers={}))
    shown = base.folder if base.commit is None else Path(f"{base.name}:{folder}")
    loaded = loader.compile(msgspec.structs.replace(files.read(base.folder), folder=shown))
    if loaded.snapshot is None:
        first = next(problem for problem in loaded.problems if problem.severity == "error")
        raise BaseError(f"the base is not a valid configuration itself: {first}")
    return Generation(loaded.snapshot)


def make(
    base: Base,
    old: Generation,
    head: str,
    new: Generation,
    *,
    samples: Sequence[Sample] | None = None,
    answers: moves.Answers = lambda policy, ask: None,
    asked: Asked | None = None,
    ledger: Iterable[Traffic] | None = None,
    days: float | None = None,
) -> Report:
    """The report on the change from ``old`` to ``new``.

    ``answers`` are those of designators to ``samples``, and ``asked`` is what came of asking them for it; ``ledger`` is
    the traffic of the last ``days``.
    """
    plan = diff(old.snapshot, new.snapshot)
    return Report(
        base=base.name,
        base_commit=base.commit,
        base_revision=old.revision,
        head=head,
        head_revision=new.revision,
        plan=plan,
        prompts=prompts.changed(old, new, [item.name for item in plan.routers]),
        moves=None if samples is None else moves.compare(samples, old, new, answers),
        asked=asked,
        past=None if ledger is None else tuple(traffic.replay(ledger, old, new)),
        days=days,
    )
