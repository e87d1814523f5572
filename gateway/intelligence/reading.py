"""What designators read of assessments: one rule for the gateway and for commands that stand in for it.

The gateway leaves out what has expired. A command that checks a commit (``llm-relay test``, ``plan``) must come to the
same result on every day, so it goes by the reviewed files whatever the clock says, and :func:`beside` notes where a
gateway reads something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from gateway.config.model import Router, Snapshot
from gateway.config.problems import Problem
from gateway.intelligence import lockfile
from gateway.intelligence.assessment import Assessment, Assessments
from gateway.intelligence.lockfile import LockfileError
from gateway.routing.decide import Policy

#: By router and candidate, what a designator reads of it.
Texts = dict[str, dict[str, str]]

#: What makes a lockfile anew.
_RENEW = "llm-relay intelligence refresh, then export"
#: Why commands that dial nobody know nothing of what is not in files.
UNASKED = (
    "its assessments are in ChromaDB, which is not asked here: its prompt is shown without them, and the gateway's has "
    "another digest where there are some"
)


class Note(msgspec.Struct, frozen=True):
    """Why the prompt that a command shows may not be the gateway's; in words that do not name the router."""

    router: str
    severity: Literal["warning", "info"]
    text: str


class Beside(msgspec.Struct, frozen=True):
    """What files beside the routers say of candidates."""

    #: Of the routers' candidates only, expired or not.
    assessments: Assessments = {}
    texts: Texts = {}
    notes: tuple[Note, ...] = ()

    def of(self, router: str) -> tuple[Note, ...]:
        """The notes on one router."""
        return tuple(note for note in self.notes if note.router == router)


def texts(snapshot: Snapshot, known: Mapping[tuple[str, str], Assessment], now: float | None) -> Texts:
    """What designators may read of ``known``: nothing unasked for, and nothing that has expired at ``now``.

    ``now`` (seconds since 1970) is None where nothing ever expires.
    """
    found: Texts = {}
    for router in snapshot.routers.values():
        if router.intelligence is None:
            continue
        for candidate in router.candidates:
            each = known.get((router.name, candidate.id))
            if each is not None and (now is None or now < each.expires):
                found.setdefault(router.name, {})[candidate.id] = each.text
    return found


def beside(folder: Path, snapshot: Snapshot, now: float) -> Beside:
    """What lies in ``folder`` for the routers of ``snapshot``, for commands that check a commit.

    ``now`` (seconds since 1970) only decides what there is to note. Raises LockfileError, with the problems of all
    files.
    """
    read: dict[str, Assessments] = {}
    problems: list[Problem] = []
    for router in snapshot.routers.values():
        if router.intelligence is not None and router.intelligence.source == "file":
            try:
                read[router.name] = lockfile.read(folder, router.name)
            except LockfileError as error:
                problems += error.problems
    if problems:
        raise LockfileError(tuple(problems))
    asked = {(router.name, candidate.id) for router in snapshot.routers.values() for candidate in router.candidates}
    known = {key: each for found in read.values() for key, each in found.items() if key in asked}
    used = texts(snapshot, known, None)
    notes: list[Note] = []
    for router in snapshot.routers.values():
        if router.intelligence is not None:
            notes += _notes(router, read.get(router.name), used.get(router.name, {}), now)
    return Beside(known, used, tuple(notes))


def _notes(router: Router, found: Assessments | None, used: Mapping[str, str], now: float) -> Iterator[Note]:
    file = f"{lockfile.FOLDER}/{router.name}.yaml"
    if found is None:
        yield Note(router.name, "info", UNASKED)
        return
    if not found:
        yield Note(router.name, "info", f"its designator reads no assessments: {file} has none; {_RENEW}, writes it")
        return
    candidates = {candidate.id for candidate in router.candidates}
    if strays := [key[1] for key in found if key[1] not in candidates]:
        yield Note(router.name, "info", f"{file} speaks of {_listed(strays)}, no candidate of it, which nobody reads")
    expired = [key[1] for key, each in found.items() if key[1] in candidates and each.expires <= now]
    if expired:
        fresh = {id: text for id, text in used.items() if id not in expired}
        days = ", ".join(sorted({found[router.name, id].expires_at[:10] for id in expired}))
        yield Note(
            router.name,
            "warning",
            f"the assessment of {_listed(expired)} has expired ({days}). It counts here, so that a commit gives the "
            f"same result every day; a gateway leaves it out: its prompt is {Policy(router, fresh).digest}, not "
            f"{Policy(router, used).digest}. {_RENEW}, renews it",
        )


def grouped(notes: Iterable[Note]) -> list[str]:
    """Notes in lines of ``routers: text``, one for each text."""
    by_text: dict[str, list[str]] = {}
    for note in dict.fromkeys(notes):
        by_text.setdefault(note.text, []).append(note.router)
    return [f"{_listed(routers)}: {text}" for text, routers in by_text.items()]


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
