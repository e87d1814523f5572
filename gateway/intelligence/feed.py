"""Assessments on their way into a running gateway, off the request path.

The feed looks at lockfiles and at the store every half minute and after every reload, and hands on what changed.
Chroma is never imported here: a child process, ``llm-relay intelligence show``, reads it and goes. Of a store on this
machine writers leave a mark; any store is read again every five minutes. Whatever fails, what was known goes on being
used until it expires.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from gateway.config.model import Snapshot
from gateway.generation import Generation
from gateway.intelligence import lockfile
from gateway.intelligence.assessment import Assessment, Assessments, by_key
from gateway.intelligence.store import INSTALL, installed, place

log = logging.getLogger("llm_relay.intelligence")

#: Seconds between two looks, and looks after which a store is read although it shows no change.
POLL, PATIENCE = 30.0, 10
_SHORTEST_POLL = 0.1
#: Seconds that the child may take.
_CHILD_SECONDS = 60.0

Texts = dict[str, dict[str, str]]
#: Reads some assessments of routers, by name. Raises FeedError.
Read = Callable[[Path, Path | None, list[str]], Awaitable[Assessments]]


class FeedError(Exception):
    """The store cannot be read now."""


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
        self._wake = asyncio.Event()
        self._stopped = False
        #: Of the store: what was read last, the routers it was read for, and how it looked then.
        self._stored: Assessments = {}
        self._asked: tuple[list[str], str] | None = None
        self._files: dict[str, tuple[str, Assessments]] = {}
        self._complaint = ""

    def texts(self, snapshot: Snapshot) -> Texts:
        """By router and candidate, what designators may read now: nothing that has expired, nothing unasked for."""
        now = self._clock()
        texts: Texts = {}
        for router in snapshot.routers.values():
            if router.intelligence is None:
                continue
            for candidate in router.candidates:
                found = self._find(router.name, candidate.id, router.intelligence.source)
                if found is not None and now < found.expires:
                    texts.setdefault(router.name, {})[candidate.id] = found.text
        return texts

    def assessments(self, snapshot: Snapshot) -> Assessments:
        """All that is known of the candidates of ``snapshot``, expired or not."""
        found = (
            self._find(router.name, candidate.id, router.intelligence.source)
            for router in snapshot.routers.values()
            if router.intelligence is not None
            for candidate in router.candidates
        )
        return by_key(each for each in found if each is not None)

    def wake(self) -> None:
        """Look soon: the configuration has changed."""
        self._wake.set()

    def stop(self) -> None:
        """End :meth:`run`."""
        self._stopped = True
        self._wake.set()

    async def run(self) -> None:
        """Look until :meth:`stop`."""
        looks = 0
        while not self._stopped:
            self._wake.clear()
            try:
                await self.look(looks)
            except Exception:
                log.exception("looking for assessments failed; those that are known go on being used")
            looks += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._poll)

    async def look(self, number: int = 0) -> None:
        """Read what may have changed, and say so if it has."""
        snapshot = self._current().snapshot
        wanted: dict[str, list[str]] = {"file": [], "chroma": []}
        for router in snapshot.routers.values():
            if router.intelligence is not None:
                wanted[router.intelligence.source].append(router.name)
        await asyncio.to_thread(self._look_at_files, wanted["file"])
        await self._look_at_store(wanted["chroma"], number)
        self._told(self.assessments(self._current().snapshot))
        await self._changed()

    def _look_at_files(self, routers: list[str]) -> None:
        files: dict[str, tuple[str, Assessments]] = {}
        for router in routers:
            state = _state(lockfile.path(self._folder, router))
            before = self._files.get(router, ("", {}))
            if before[0] == state:
                files[router] = before
                continue
            try:
                files[router] = state, lockfile.read(self._folder, router)
            except lockfile.LockfileError as error:
                log.error("assessments are not taken over: %s", error)
                files[router] = state, before[1]
        self._files = files

    async def _look_at_store(self, routers: list[str], number: int) -> None:
        if not routers:
            self._stored, self._asked = {}, None
            return
        mark = self._place.mark
        asked = routers, f"{number // PATIENCE} {'' if mark is None else _state(mark)}"
        if asked == self._asked:
            return
        try:
            self._stored = await self._read(self._folder, self._data, routers)
        except FeedError as error:
            self._complain(f"assessments cannot be read now, routing goes on: {error}")
        else:
            self._asked = asked
            self._complain("")

    def _find(self, router: str, candidate: str, source: str) -> Assessment | None:
        found = self._files.get(router, ("", {}))[1] if source == "file" else self._stored
        return found.get((router, candidate))

    def _complain(self, words: str) -> None:
        """Once, not at every look."""
        if words and words != self._complaint:
            log.warning("%s", words)
        elif not words and self._complaint:
            log.info("assessments can be read again")
        self._complaint = words


def _poll(environ: Mapping[str, str]) -> float:
    """LLM_RELAY_INTELLIGENCE_POLL, in seconds."""
    try:
        return max(float(environ.get("LLM_RELAY_INTELLIGENCE_POLL") or POLL), _SHORTEST_POLL)
    except ValueError:
        log.warning("LLM_RELAY_INTELLIGENCE_POLL is no number of seconds; %g it is", POLL)
        return POLL


def _state(path: Path) -> str:
    try:
        status = os.stat(path)
    except OSError as error:
        return f"{error.errno}"
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


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
        lines = said.decode("utf-8", "replace").strip().splitlines()
        raise FeedError(lines[-1][:300] if lines else f"status {child.returncode}")
    try:
        found = by_key(msgspec.json.decode(out, type=list[Assessment]))
    except msgspec.MsgspecError:
        raise FeedError("what was read is not understood") from None
    names = set(routers)
    return {key: each for key, each in found.items() if key[0] in names and not each.flaw}
