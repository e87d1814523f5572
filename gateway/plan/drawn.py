"""Past requests that can be decided again: the samples that a gateway kept, of the routers that a change concerns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from gateway.config.model import Router
from gateway.generation import Generation
from gateway.ledger import Traffic
from gateway.plan.corpus import Recorded, Sample, Usage
from gateway.plan.moves import question_of
from gateway.samples import FOLLOWING, Sampled, read


class Coverage(msgspec.Struct, frozen=True):
    """How much of one router's past traffic can be decided again."""

    router: str
    #: In the ledger.
    requests: int
    #: Of these, those that followed their conversation, and do so again.
    followed: int
    #: Of the others, those that were sampled and are decided again.
    samples: int
    #: Of the samples, those whose designator was asked something else than it would be under the base: by another
    #: revision or other assessments, or while a provider rested. What it said then proves nothing now.
    asked_otherwise: int


class Drawn(msgspec.Struct, frozen=True):
    """Samples and what they stand for."""

    samples: tuple[Sample, ...]
    #: Those of another version of the gateway, which this one cannot read.
    unreadable: int


def concerned(old: Generation, new: Generation) -> set[str]:
    """The routers that decide otherwise, or otherwise priced, or that come or go."""
    was, now = old.snapshot.routers, new.snapshot.routers
    return {
        name
        for name in was.keys() | now.keys()
        if _deciding(was.get(name)) != _deciding(now.get(name))
        or old.policies[name].digest != new.policies[name].digest
    }


def _deciding(router: Router | None) -> Router | None:
    """``router`` without what makes no difference to who answers and at what price."""
    if router is None:
        return None
    return msgspec.structs.replace(router, description="", tags=(), file="", line=0, tests=(), record=None)


def draw(path: Path, old: Generation, new: Generation, *, since: float) -> Drawn:
    """The samples of the routers that the change concerns, oldest first. Raises LedgerUnreadable."""
    found, unreadable = read(path, concerned(old, new), since=since)
    return Drawn(tuple(map(_sample, found)), unreadable)


def _sample(kept: Sampled) -> Sample:
    recorded = None
    if kept.question:
        # Whatever else came of asking: the fallback answered, as it does where nothing is named.
        recorded = Recorded(kept.question, kept.candidate if kept.decision == "designated" else "")
    return Sample(kept.router, kept.excerpt, Usage(kept.input, kept.output), kept.request_id, recorded)


def coverage(
    drawn: Sequence[Sample], traffic: Iterable[Traffic], old: Generation, new: Generation
) -> tuple[Coverage, ...]:
    """What ``drawn`` stands for, router by router, by the ledger's ``traffic`` of the same days."""
    requests: Counter[str] = Counter()
    followed: Counter[str] = Counter()
    for row in traffic:
        requests[row.router] += row.requests
        followed[row.router] += row.requests if row.decision in FOLLOWING else 0
    samples = Counter(sample.router for sample in drawn)
    otherwise = Counter(sample.router for sample in drawn if _otherwise(sample, old))
    names = sorted(name for name in concerned(old, new) if requests[name] or samples[name])
    return tuple(Coverage(name, requests[name], followed[name], samples[name], otherwise[name]) for name in names)


def _otherwise(sample: Sample, old: Generation) -> bool:
    question = question_of(old, sample)
    return question is not None and (sample.recorded is None or sample.recorded.question != question)
