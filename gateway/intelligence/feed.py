"""Assessments on their way into a running gateway, off the request path.

A new generation begins with the lockfiles that came with it. Beyond that the feed looks at lockfiles and at the store
every half minute and after every reload, at lockfiles also when they are said to have changed, and hands on what did.
Chroma is never imported here: a child process, ``llm-relay intelligence show``, reads it and goes. Of a store on this
machine writers leave a mark; any store is read again every five minutes. Whatever fails, what was known goes on being
used until it expires.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from gateway.config import files
from gateway.config.model import AssessmentSource, Router, Snapshot
from gateway.config.problems import Problem
from gateway.generation import Generation
from gateway.intelligence import lockfile
from gateway.intelligence.assessment import Assessment, Assessments, by_key
from gateway.intelligence.reading import Texts, texts
from gateway.intelligence.store import INSTALL, installed, place

log = logging.getLogger("llm_relay.intelligence")

#: Seconds between two looks, and looks after which a store is read although it shows no change.
POLL, PATIENCE = 30.0, 10
_SHORTEST_POLL = 0.1
#: Seconds that the child may take.
_CHILD_SECONDS = 60.0

#: Reads some assessments of routers, by name. Raises FeedError.
Read = Callable[[Path, Path | None, list[str]], Awaitable[Assessments]]


class FeedError(Exception):
    """The store cannot be read now."""


class _Lockfile(msgspec.Struct, frozen=True):
    """How a file looked when it was read last, what was good in it last, and what is wrong with it now."""

    state: str
    assessments: Assessments
    problems: tuple[Problem, ...] = ()


_NO_FILE = _Lockfile("", {})


class Feed:
    """Belongs to one event loop. ``current`` tells the generation that serves, ``changed`` is told that texts differ,
    ``known`` is told of every look; ``read`` reads a Chroma store (the seam for tests).
    """

    def __init__(
        self,
        folder: Path,
        data: Path | None,
        environ: Mapping[str, str],
        *,
        current: Callable[[], Generation],
        changed: Callable[[], Awaitable[None]],
        known: Callable[[Assessments], None] = lambda assessments: None,
        poll: float | None = None,
        clock: Callable[[], float] = time.time,
        read: Read | None = None,
    ) -> None:
        self._folder = folder
        self._data = data
        self._place = place(data, environ)
        self._current = current
        self._changed = changed
        self._told = known
        self._poll = _poll(environ) if poll is None else poll
        self._clock = clock
        self._read = _in_a_child if read is None else read
        #: Of the lockfiles and of the store: set where it is time to look again.
        self._wakes = asyncio.Event(), asyncio.Event()
        self._files: dict[str, _Lockfile] = {}
        #: Of the store: what was read last, the routers it was read for, and how it looked then.
        self._stored: Assessments = {}
        self._asked: tuple[list[str], str] | None = None
        #: Why the store cannot be read now; empty where it can, or need not be.
        self.trouble = ""

    def texts(self, snapshot: Snapshot) -> Texts:
        """By router and candidate, what designators may read now: nothing that has expired, nothing unasked for."""
        return texts(snapshot, self.assessments(snapshot), self._clock())

    def assessments(self, snapshot: Snapshot) -> Assessments:
        """All that is known of the candidates of ``snapshot``, expired or not."""
        return by_key(each for router in snapshot.routers.values() for each in self.known(router).values())

    def known(self, router: Router) -> dict[str, Assessment]:
        """All that is known of the candidates of one router, by candidate, expired or not."""
        if router.intelligence is None:
            return {}
        found = {each.id: self._find(router.name, each.id, router.intelligence.source) for each in router.candidates}
        return {id: each for id, each in found.items() if each is not None}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the lockfiles as they are on disk; those before them are in use."""
        return tuple(problem for file in self._files.values() for problem in file.problems)

    def prepare(self, snapshot: Snapshot) -> None:
        """Read the lockfiles of a snapshot that is about to serve: they are of the same commit. Blocks."""
        self._files = {**self._files, **self._lockfiles(_routers(snapshot, "file"))}

    def wake(self) -> None:
        """Look soon: the configuration has changed."""
        for wake in self._wakes:
            wake.set()

    def wake_files(self) -> None:
        """Look soon at the lockfiles: they have changed."""
        self._wakes[0].set()

    async def run(self) -> None:
        """Look until cancelled. A store that takes its time does not keep lockfiles waiting."""
        async with asyncio.TaskGroup() as group:
            for look, wake in zip((self.look_at_files, self.look_at_store), self._wakes, strict=True):
                group.create_task(self._repeat(look, wake))

    async def _repeat(self, look: Callable[[int], Awaitable[None]], wake: asyncio.Event) -> None:
        for number in itertools.count():
            wake.clear()
            try:
                await look(number)
            except Exception:
                log.exception("looking for assessments failed; those that are known go on being used")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), self._poll)

    async def look_at_files(self, number: int = 0) -> None:
        """Read the lockfiles that have changed."""
        self._files = await asyncio.to_thread(self._lockfiles, _routers(self._current().snapshot, "file"))
        await self._tell()

    async def look_at_store(self, number: int = 0) -> None:
        """Read the store where it may have changed; ``number`` counts the looks."""
        routers = _routers(self._current().snapshot, "chroma")
        mark = self._place.mark
        asked = routers, f"{number // PATIENCE} {'' if mark is None else files.state(mark)}"
        if not routers:
            self._stored, self._asked, self.trouble = {}, None, ""
        elif asked != self._asked:
            try:
                self._stored = await self._read(self._folder, self._data, routers)
            except FeedError as error:
                self._complain(str(error))
            else:
                self._asked = asked
                self._complain("")
        # What is known grows old, even where nothing has changed.
        await self._tell()

    async def _tell(self) -> None:
        self._told(self.assessments(self._current().snapshot))
        await self._changed()

    def _lockfiles(self, routers: list[str]) -> dict[str, _Lockfile]:
        found: dict[str, _Lockfile] = {}
        for router in routers:
            state = files.state(lockfile.path(self._folder, router))
            before = self._files.get(router, _NO_FILE)
            if before.state == state:
                found[router] = before
                continue
            try:
                found[router] = _Lockfile(state, lockfile.read(self._folder, router))
            except lockfile.LockfileError as error:
                for problem in error.problems:
                    log.error("%s", problem, extra={"problem": problem.code})
                log.error("the assessments of %s are not taken over; those before them go on being used", router)
                found[router] = _Lockfile(state, before.assessments, error.problems)
        return found

    def _find(self, router: str, candidate: str, source: str) -> Assessment | None:
        found = self._files.get(router, _NO_FILE).assessments if source == "file" else self._stored
        return found.get((router, candidate))

    def _complain(self, trouble: str) -> None:
        """Once, not at every look."""
        if trouble and trouble != self.trouble:
            log.warning("assessments cannot be read now, routing goes on: %s", trouble)
        elif not trouble and self.trouble:
            log.info("assessments can be read again")
        self.trouble = trouble


def _routers(snapshot: Snapshot, source: AssessmentSource) -> list[str]:
    """The names of the routers whose assessments are in ``source``."""
    routers = snapshot.routers.values()
    return [each.name for each in routers if each.intelligence is not None and each.intelligence.source == source]


def _poll(environ: Mapping[str, str]) -> float:
    """LLM_RELAY_INTELLIGENCE_POLL, in seconds."""
    try:
        return max(float(environ.get("LLM_RELAY_INTELLIGENCE_POLL") or POLL), _SHORTEST_POLL)
    except ValueError:
        log.warning("LLM_RELAY_INTELLIGENCE_POLL is no number of seconds; %g it is", POLL)
        return POLL


async def _in_a_child(folder: Path, data: Path | None, routers: list[str]) -> Assessments:
    """Read Chroma in a process that gives its 100 MB back."""
    if not installed():
        raise FeedError(f"ChromaDB is not installed: {INSTALL}")
    arguments = [*("-m", "gateway", "intelligence", "show", str(folder), "--format", "json", "--stored")]
    if data is not None:
        arguments += ["--data", str(data)]
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise FeedError(f"no process can be started: {error.strerror}") from None
    try:
        async with asyncio.timeout(_CHILD_SECONDS):
            out, said = await child.communicate()
    except TimeoutError:
        raise FeedError(f"no answer within {_CHILD_SECONDS:g} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        lines = said.decode("utf-8", "replace").strip().splitlines() or [f"status {child.returncode}"]
        raise FeedError(lines[-1].removeprefix("llm-relay intelligence: ")[:300].rstrip("."))
    try:
        found = by_key(msgspec.json.decode(out, type=list[Assessment]))
    except msgspec.MsgspecError:
        raise FeedError("what was read is not understood") from None
    names = set(routers)
    return {key: each for key, each in found.items() if key[0] in names and not each.flaw}
