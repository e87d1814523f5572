"""What designators will be told of candidates: reviewed files before and after a change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from gateway.config.diff import Change, Item, Plan
from gateway.config.model import Snapshot
from gateway.generation import Generation
from gateway.intelligence.assessment import Assessment, clean
from gateway.intelligence.lockfile import FOLDER, LockfileError
from gateway.intelligence.reading import UNASKED, Beside, Note, beside
from gateway.rehearsal.recordings import load, path_of, recorder
from gateway.routing.designator import assessed

#: Characters of a text; the file itself is beside the plan in a review.
_MOST = 160


class Sides(msgspec.Struct, frozen=True):
    """The files of both sides."""

    old: Beside = Beside()
    new: Beside = Beside()


def base_side(folder: Path, snapshot: Snapshot, now: float) -> Beside:
    """The files of the base. One that cannot be used is noted only: the change may well be what corrects it."""
    try:
        found = beside(folder, snapshot, now)
    except LockfileError as error:
        first = error.problems[0]
        where = f"{FOLDER}/{Path(first.file).name}:{first.line}:{first.column}"
        text = f"{where} in the base cannot be used, so its side is shown without assessments: {first.message}"
        return Beside(notes=(Note("base", "warning", text),))
    # What has expired, or is not there, matters for what will be served: the new side tells.
    return msgspec.structs.replace(found, notes=tuple(note for note in found.notes if note.text == UNASKED))


def merged(plan: Plan, old: Generation, new: Generation, sides: Sides) -> Plan:
    """``plan`` with what changes in the assessments of both sides; routers of which nothing else changes come in."""
    items = {item.name: item for item in plan.routers}
    for name in sorted({router for router, _ in (*sides.old.assessments, *sides.new.assessments)}):
        changes = tuple(_changes(name, old, new, sides))
        item = items.get(name, Item(name, "changed", ()))
        if changes:
            items[name] = msgspec.structs.replace(item, changes=(*item.changes, *changes))
    return msgspec.structs.replace(plan, routers=tuple(items[name] for name in sorted(items)))


def _changes(router: str, old: Generation, new: Generation, sides: Sides) -> Iterator[Change]:
    """In the order of the candidates, those that go last."""
    both = [side.snapshot.routers[router].candidates for side in (new, old) if router in side.snapshot.routers]
    for id in dict.fromkeys(candidate.id for candidates in both for candidate in candidates):
        was, now = sides.old.assessments.get((router, id)), sides.new.assessments.get((router, id))
        path = f"assessments[{id}]"
        if was is None and now is not None:
            yield Change(path, "added", after=_shown(now))
        elif was is not None and now is None:
            yield Change(path, "removed", _shown(was))
        elif was is not None and now is not None and was.digest != now.digest:
            same = assessed(was.text) == assessed(now.text)
            after = f"{_head(now)}: the designator reads the same" if same else _shown(now)
            yield Change(path, "changed", _head(was) if same else _shown(was), after)


def _shown(assessment: Assessment) -> str:
    return f"{_head(assessment)}: {clean(assessment.text, _MOST)}"


def _head(assessment: Assessment) -> str:
    return f"{assessment.digest} until {assessment.expires_at[:10]}"


def stale(folder: Path, new: Generation, routers: Mapping[str, object]) -> Iterator[Note]:
    """Routers whose recorded answers hold no more after the change. Raises RecordingsUnreadable."""
    for name in routers:
        policy = new.policies.get(name)
        if policy is None or not path_of(folder, name).exists():
            continue
        found = load(folder, policy)
        if found.stale:
            yield Note(name, "warning", f"{found.missing}; run: {recorder(folder, name)}")
