"""From two configurations, and what is known of their traffic, to a report."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

import msgspec

from gateway.config import files
from gateway.config.diff import diff
from gateway.config.load import Loader
from gateway.config.model import Snapshot
from gateway.generation import Generation
from gateway.intelligence.reading import Beside, grouped
from gateway.ledger import Traffic
from gateway.plan import moves, traffic
from gateway.plan.answers import Asked
from gateway.plan.assessments import Sides, base_side, merged, stale
from gateway.plan.base import Base, BaseError
from gateway.plan.corpus import Sample
from gateway.plan.drawn import Drawn, coverage
from gateway.plan.prompts import changed
from gateway.plan.report import Report

_NO_FILES = Sides()


def start(base: Base, loader: Loader, folder: Path, now: float) -> tuple[Generation, Beside]:
    """The configuration to compare with, and the files beside it; problems are shown as those of ``folder`` there.

    ``now`` is in seconds since 1970. Raises BaseError.
    """
    if base.missing:
        return Generation(Snapshot(revision="none", routers={}, models={}, providers={})), Beside()
    shown = base.folder if base.commit is None else Path(f"{base.name}:{folder}")
    loaded = loader.compile(msgspec.structs.replace(files.read(base.folder), folder=shown))
    if loaded.snapshot is None:
        first = next(problem for problem in loaded.problems if problem.severity == "error")
        raise BaseError(f"the base is not a valid configuration itself: {first}")
    known = base_side(base.folder, loaded.snapshot, now)
    return Generation(loaded.snapshot, known.texts), known


def make(
    base: Base,
    old: Generation,
    head: str,
    new: Generation,
    *,
    samples: Sequence[Sample] | None = None,
    answers: moves.Answers = lambda policy, ask: None,
    asked: Asked | None = None,
    ledger: Sequence[Traffic] | None = None,
    drawn: Drawn | None = None,
    discreet: bool = False,
    days: float | None = None,
    sides: Sides = _NO_FILES,
    folder: Path | None = None,
) -> Report:
    """The report on the change from ``old`` to ``new``.

    ``answers`` are those of designators to ``samples``, and ``asked`` is what came of asking them for it; ``ledger`` is
    the traffic of the last ``days``, and the ``drawn`` ones of it are decided again. ``discreet`` is for a report that
    goes to others than may read what was asked: its examples of those are request ids. ``sides`` are the files that the
    assessments of both sides are from. In ``folder`` is looked for recordings that the change leaves stale. Raises
    RecordingsUnreadable.
    """
    plan = merged(diff(old.snapshot, new.snapshot), old, new, sides)
    prompts = changed(old, new, [item.name for item in plan.routers])
    if drawn is not None and drawn.samples:
        samples = drawn.samples
    name = attrgetter("where" if discreet and drawn is not None else "shown")
    outdated = () if folder is None else stale(folder, new, prompts)
    return Report(
        base=base.name,
        base_commit=base.commit,
        base_revision=old.revision,
        head=head,
        head_revision=new.revision,
        plan=plan,
        prompts=prompts,
        moves=None if samples is None else moves.compare(samples, old, new, answers, name),
        asked=asked,
        past=None if ledger is None else tuple(traffic.replay(ledger, old, new)),
        coverage=None if drawn is None else coverage(drawn.samples, ledger or (), old, new),
        unreadable=0 if drawn is None else drawn.unreadable,
        days=days,
        notes=tuple(grouped((*sides.old.notes, *sides.new.notes, *outdated))),
    )
