"""What the web says of candidates, as far as designators read it now, and why where they read nothing."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from gateway.config.files import shown
from gateway.config.model import Router
from gateway.intelligence.assessment import PARTS, Assessment, Source, Statement
from gateway.intelligence.lockfile import FOLDER
from gateway.routing.designator import assessed
from gateway.server.ui.view import View

State = Literal["in use", "expired", "unreachable", "none yet"]
TONES: dict[State, str] = {"in use": "good", "expired": "warn", "unreachable": "bad", "none yet": "warn"}
#: Routers that a notice names.
_NAMED = 5


@dataclass(frozen=True)
class Standing:
    """One candidate of a router that asks for assessments."""

    candidate: str
    state: State
    #: What stands in the designator's prompt; empty where nothing does.
    text: str
    assessment: Assessment | None

    @property
    def tone(self) -> str:
        return TONES[self.state]

    @property
    def parts(self) -> list[tuple[str, tuple[Statement, ...]]]:
        """The statements that there are, by their kind."""
        found: list[tuple[str, tuple[Statement, ...]]] = []
        if self.assessment is not None:
            found += [(part.replace("_", " "), getattr(self.assessment, part)) for part in PARTS]
        return [(title, statements) for title, statements in found if statements]

    @property
    def sources(self) -> list[tuple[Source, bool]]:
        """Sources, and whether each is an address that a browser may be sent to: files are written by people."""
        if self.assessment is None:
            return []
        return [(each, each.url.startswith(("https://", "http://"))) for each in self.assessment.sources]


@dataclass(frozen=True)
class Section:
    """Everything that is to be said of a router's assessments."""

    #: A file's name, or ChromaDB.
    place: str
    standings: tuple[Standing, ...]
    #: What makes assessments, where any is wanting.
    commands: tuple[str, ...]
    #: Why the store cannot be read now, for routers that read it.
    trouble: str


@dataclass(frozen=True)
class Notice:
    """A sentence, the routers that it is about, and how many more there are."""

    text: str
    routers: tuple[str, ...] = ()
    more: int = 0


def section(view: View, router: Router) -> Section | None:
    """Of one router; None where it asks for no assessments."""
    if router.intelligence is None:
        return None
    folder = view.services.settings.config
    lockfile = router.intelligence.source == "file"
    again = f"llm-relay intelligence refresh {shlex.quote(str(folder))} --router {router.name}"
    standings = _standings(view, router)
    commands = (again, again.replace(" refresh ", " export ", 1)) if lockfile else (again,)
    return Section(
        place=shown(folder, f"{FOLDER}/{router.name}.yaml") if lockfile else "ChromaDB",
        standings=standings,
        commands=() if all(each.state == "in use" for each in standings) else commands,
        trouble="" if lockfile else view.services.feed.trouble,
    )


def notices(view: View) -> list[Notice]:
    """What somebody should look after."""
    said: list[Notice] = []
    if trouble := view.services.feed.trouble:
        said.append(Notice(f"Assessments cannot be read now ({trouble}). Routing goes on with those that are known."))
    states: dict[State, Counter[str]] = {"expired": Counter(), "none yet": Counter()}
    for router in view.generation.snapshot.routers.values():
        for each in _standings(view, router) if router.intelligence is not None else ():
            if each.state in states:
                states[each.state][router.name] += 1
    words: dict[State, str] = {"expired": "expired, and not used any more", "none yet": "not there yet"}
    for state, counted in states.items():
        if counted:
            many = "One assessment is" if counted.total() == 1 else f"{counted.total():,} assessments are"
            said.append(Notice(f"{many} {words[state]}:", tuple(counted)[:_NAMED], max(len(counted) - _NAMED, 0)))
    return said


def _standings(view: View, router: Router) -> tuple[Standing, ...]:
    services = view.services
    known = services.feed.known(router)
    read = view.generation.assessments.get(router.name, {})
    lost = router.intelligence is not None and router.intelligence.source == "chroma" and services.feed.trouble
    absent: State = "unreachable" if lost else "none yet"
    found = []
    for candidate in router.candidates:
        text, assessment = assessed(read.get(candidate.id, "")), known.get(candidate.id)
        state: State = absent if assessment is None else "in use" if view.now < assessment.expires else "expired"
        found.append(Standing(candidate.id, state, text, assessment))
    return tuple(found)
