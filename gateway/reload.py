"""Hot reload with the last good generation.

What is on disk is *desired*, what serves is *applied*. A change on disk is read as a whole once it has come to rest,
checked as a whole, and swapped in with one assignment; anything wrong with it leaves the applied generation alone and
shows in :attr:`Holder.desired`, the log and the metrics. Steps above the line marked in :meth:`Reloader.apply` may
fail, steps below may not.

Files that hold keys are looked at with every poll: a key that was rotated, or is there at last, is a change too.

Events of the file system are only hints: a watched folder that is removed and made again goes deaf without an error,
network file systems tell nothing, editors tell too much. The truth is a fingerprint of the resolved tree, taken after
a hint and every second, and the content itself every few seconds, since two contents may share a fingerprint.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import watchfiles

from gateway.config import files
from gateway.config.diff import Plan, diff
from gateway.config.load import Loaded, Loader
from gateway.config.model import Snapshot
from gateway.config.problems import Problem
from gateway.generation import Generation
from gateway.lint import lint

log = logging.getLogger("llm_relay.reload")

_Look = TypeVar("_Look")

#: Two fingerprints so many seconds apart must agree before a change is read.
REST_SECONDS = 0.25
#: Between two looks that nobody asked for.
POLL_SECONDS = 1.0
#: Every so many polls the content is read, whatever the fingerprint says.
CONTENT_POLLS = 5
#: Milliseconds after which it is checked that the right folders are watched: one may go without an event.
_REWATCH_MS = 5000
#: Seconds until a watch that could not be set up is tried again.
_AGAIN_SECONDS = 1.0
#: Readings that are remembered, and problems of each.
_HISTORY = 20
_REMEMBERED_PROBLEMS = 10


class Desired(msgspec.Struct, frozen=True):
    """What is on disk, applied or not."""

    revision: str
    ok: bool
    #: Errors, and warnings too.
    problems: tuple[Problem, ...]
    seen_at: float


class Reading(msgspec.Struct, frozen=True):
    """A change on disk and what became of it."""

    at: float
    revision: str
    commit: str | None
    #: ``first`` is what the process started with, ``back`` a change that was taken back before it was ever applied.
    outcome: Literal["first", "applied", "refused", "back"]
    #: The first of them, where it was refused.
    problems: tuple[Problem, ...] = ()
    #: What it changed, where it was applied.
    plan: Plan | None = None


class Holder:
    """The generation that serves, and the one that is wanted."""

    def __init__(self, generation: Generation, desired: Desired) -> None:
        #: Taken once by each request, and replaced by a single assignment.
        self.current = generation
        self.desired = desired
        self.applied_at = time.time()
        #: The latest readings of this process, oldest first.
        self.history: deque[Reading] = deque(maxlen=_HISTORY)
        self.remember("first", generation.revision, generation.snapshot.commit)
        if not desired.ok:
            self.remember("refused", desired.revision, None, problems=desired.problems)

    def remember(
        self,
        outcome: Literal["first", "applied", "refused", "back"],
        revision: str,
        commit: str | None,
        *,
        problems: tuple[Problem, ...] = (),
        plan: Plan | None = None,
    ) -> None:
        """Add what just happened to the history."""
        errors = tuple(problem for problem in problems if problem.severity == "error")[:_REMEMBERED_PROBLEMS]
        self.history.append(Reading(time.time(), revision, commit, outcome, errors, plan))


class ConfigurationError(Exception):
    """The configuration is refused as a whole; ``problems`` say why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


class Reloader:
    """Keeps a :class:`Holder` in step with a folder.

    After every reading that changed something ``applied`` is called with the generation that now serves what is on
    disk, or ``refused``. Both are called on the event loop and must not fail. ``check`` may find problems that depend
    on how this gateway was started. ``poll`` is the time in seconds between two looks that nobody asked for, ``rest``
    that between the two fingerprints.

    ``assessments`` tells what designators may read of the candidates of a snapshot, at once; ``prepare``, which may
    take its time, is called before it with every new one. Whoever knows of a change later calls :meth:`reassess`.

    ``beside`` is a folder below, of files that belong to no generation; ``moved`` is called when they have changed and
    come to rest.

    ``kept`` is a file for the last good documents. A worker that starts while what is on disk is bad, because another
    one died, serves them: a bad change must never take away what serves, not even worker by worker.
    """

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        *,
        applied: Callable[[Generation], None] = lambda generation: None,
        refused: Callable[[], None] = lambda: None,
        check: Callable[[Snapshot], tuple[Problem, ...]] = lambda snapshot: (),
        assessments: Callable[[Snapshot], Mapping[str, Mapping[str, str]]] = lambda snapshot: {},
        prepare: Callable[[Snapshot], None] = lambda snapshot: None,
        beside: str = "",
        moved: Callable[[], None] = lambda: None,
        polling: bool = False,
        poll: float = POLL_SECONDS,
        rest: float = REST_SECONDS,
        kept: Path | None = None,
    ) -> None:
        self._folder = folder
        self._loader = Loader(environ)
        self._applied = applied
        self._refused = refused
        self._check = check
        self._assessments = assessments
        self._prepare = prepare
        self._beside = folder / beside
        self._moved = moved
        self._polling = polling
        self._poll = poll
        self._rest = rest
        self._kept = kept
        self._hint = asyncio.Event()
        self._stop = asyncio.Event()
        self._fingerprint = self._fingerprint_beside = ""
        #: Revision and commit of what was last looked at, good or bad.
        self._seen: tuple[str, str | None] = ("", None)
        #: As :attr:`gateway.config.load.Loaded.secret_files`.
        self._secret_files: Mapping[str, str] = {}
        self.holder: Holder

    def load(self) -> Holder:
        """The first generation. Raises ConfigurationError where there is none to serve."""
        tree = files.read(self._folder)
        loaded = wanted = self._compile(tree)
        if loaded.snapshot is None and self._kept is not None and (last := _recall(self._kept, self._folder)):
            loaded = self._compile(last)
        if loaded.snapshot is None:
            raise ConfigurationError(wanted.problems)
        self._saw(tree)
        self._secret_files = wanted.secret_files
        self.holder = Holder(self._generate(loaded.snapshot), _desired(wanted))
        if loaded is wanted:
            self._keep(tree)
        return self.holder

    async def run(self) -> None:
        """Watch until :meth:`stop`. Whatever fails in here, watching goes on."""
        # A load is much work in one thread; the shorter this interval, the sooner a request gets its turn meanwhile.
        sys.setswitchinterval(0.001)
        hints = None if self._polling else asyncio.create_task(self._listen())
        polls = 0
        try:
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hint.wait(), self._poll)
                self._hint.clear()
                polls += 1
                try:
                    await self._look_at_keys()
                    await self._look(content=polls % CONTENT_POLLS == 0)
                    await self._look_beside()
                except Exception:
                    log.exception("looking at the configuration failed; the running generation goes on")
                    self._failed()
        finally:
            if hints is not None:
                hints.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await hints

    def stop(self) -> None:
        """End :meth:`run`."""
        self._stop.set()
        self._hint.set()

    async def _look_at_keys(self) -> None:
        known = self._secret_files
        if known and await self._rested(lambda: {path: files.state(Path(path)) for path in known}, known) != known:
            # The documents may be the same: the next look begins anew.
            self._fingerprint, self._seen = "", ("", None)

    async def _look(self, *, content: bool) -> None:
        fingerprint = await self._rested(partial(files.fingerprint, self._folder), self._fingerprint)
        if fingerprint == self._fingerprint and not content:
            return
        tree = await asyncio.to_thread(files.read, self._folder)
        if tree.fingerprint != fingerprint:
            # It moved before it was read: come again.
            self._hint.set()
            return
        if (tree.revision, tree.commit) != self._seen:
            loaded = await asyncio.to_thread(self._compile, tree)
            self._secret_files = loaded.secret_files
            await self.apply(loaded)
            if loaded.snapshot is not None:
                await asyncio.to_thread(self._keep, tree)
        self._saw(tree)

    async def _look_beside(self) -> None:
        fingerprint = await self._rested(partial(files.fingerprint, self._beside), self._fingerprint_beside)
        if fingerprint != self._fingerprint_beside:
            self._fingerprint_beside = fingerprint
            self._moved()

    async def _rested(self, look: Callable[[], _Look], known: _Look) -> _Look:
        """What ``look`` sees once it has come to rest, which it has where that is ``known``."""
        seen = await asyncio.to_thread(look)
        while seen != known and not self._stop.is_set():
            await asyncio.sleep(self._rest)
            resting = await asyncio.to_thread(look)
            if resting == seen:
                break
            seen = resting
        return seen

    async def apply(self, loaded: Loaded) -> None:
        """Swap ``loaded`` in, or refuse it as a whole."""
        desired = _desired(loaded)
        if loaded.snapshot is None:
            self.holder.desired = desired
            for problem in desired.problems:
                if problem.severity == "error":
                    log.error("%s", problem, extra={"problem": problem.code})
            if loaded.revision == self.holder.current.revision:
                log.error("revision %s goes on serving with the keys that it has", loaded.revision)
            else:
                log.error("revision %s is refused; %s goes on serving", loaded.revision, self.holder.current.revision)
            self.holder.remember("refused", loaded.revision, loaded.commit, problems=loaded.problems)
            self._refused()
            return
        serving = self.holder.current
        # Where only a key has changed, the revision is the same, and the snapshot is not.
        if loaded.snapshot == serving.snapshot:
            self.holder.desired = desired
            self.holder.remember("back", loaded.revision, loaded.commit)
            log.info("revision %s is back; it never stopped serving", loaded.revision)
            self._applied(serving)
            return
        generation = await asyncio.to_thread(self._generate, loaded.snapshot)
        plan = await asyncio.to_thread(diff, serving.snapshot, loaded.snapshot)
        known = set(self.holder.desired.problems)
        # --- nothing below this line may fail ---
        self.holder.current = generation
        self.holder.desired = desired
        self.holder.applied_at = time.time()
        self.holder.remember("applied", loaded.revision, loaded.commit, plan=plan)
        for problem in desired.problems:
            # Advice is told once, not with every reload.
            if problem.severity == "warning" and problem not in known:
                log.warning("%s", problem, extra={"problem": problem.code})
        if (loaded.revision, loaded.commit) == (serving.revision, serving.snapshot.commit):
            log.info("revision %s is live with other keys", generation.revision)
        else:
            log.info("revision %s is live, routers: %d", generation.revision, len(generation.snapshot.routers))
        self._applied(generation)

    async def reassess(self) -> None:
        """Swap in a generation with the same documents and the assessments as they are now, if those differ."""
        serving = self.holder.current
        wanted = self._assessments(serving.snapshot)
        while wanted != serving.assessments:
            generation = await asyncio.to_thread(Generation, serving.snapshot, wanted)
            if self.holder.current is serving:
                self.holder.current = generation
                log.info("revision %s is live with other assessments", generation.revision_header.decode())
            # Otherwise a reload came first, with the assessments that it found.
            serving = self.holder.current
            wanted = self._assessments(serving.snapshot)

    def _compile(self, tree: files.Tree) -> Loaded:
        loaded = lint(self._loader.compile(tree))
        found = self._check(loaded.snapshot) if loaded.snapshot is not None else ()
        if not found:
            return loaded
        return msgspec.structs.replace(loaded, snapshot=None, problems=(*loaded.problems, *found))

    def _generate(self, snapshot: Snapshot) -> Generation:
        self._prepare(snapshot)
        return Generation(snapshot, self._assessments(snapshot))

    def _failed(self) -> None:
        """What is on disk is not served, and nobody can say why: a defect, which must not look like success."""
        # Nothing was seen: the next look begins anew.
        self._fingerprint, self._seen = "", ("", None)
        if self.holder.desired.ok:
            self.holder.desired = msgspec.structs.replace(self.holder.desired, ok=False)
            self._refused()

    def _saw(self, tree: files.Tree) -> None:
        self._fingerprint, self._seen = tree.fingerprint, (tree.revision, tree.commit)

    def _keep(self, tree: files.Tree) -> None:
        """Write the last good documents down. Keys are not among them: documents only refer to keys."""
        if self._kept is None:
            return
        data = msgspec.msgpack.encode(_Kept(tree.files, tree.digest, tree.commit))
        temporary = self._kept.with_name(f"{self._kept.name}.{os.getpid()}")
        try:
            temporary.write_bytes(data)
            temporary.replace(self._kept)
        except OSError as error:
            log.warning("the last good configuration cannot be kept for workers that start later: %s", error)

    async def _listen(self) -> None:
        """Turn the file system's events into hints, for as long as it sends any."""
        while not self._stop.is_set():
            try:
                points = await asyncio.to_thread(files.watch_points, self._folder, self._beside)
                # What happens before the watch stands is not told; it stands with the first step of the iteration.
                asyncio.get_running_loop().call_soon(self._hint.set)
                async for changes in watchfiles.awatch(
                    *points,
                    stop_event=self._stop,
                    recursive=False,
                    debounce=50,
                    step=10,
                    watch_filter=None,
                    rust_timeout=_REWATCH_MS,
                    yield_on_timeout=True,
                ):
                    if changes:
                        self._hint.set()
                    replaced = any(Path(name) in points for _, name in changes)
                    if replaced or await asyncio.to_thread(files.watch_points, self._folder, self._beside) != points:
                        break
            except (OSError, RuntimeError):
                # No inotify, no folder, no watches left: the polls see to it, and events may come back.
                await asyncio.sleep(_AGAIN_SECONDS)


class _Kept(msgspec.Struct):
    """A tree, apart from where it was read."""

    files: tuple[files.File, ...]
    digest: str
    commit: str | None


def _recall(path: Path, folder: Path) -> files.Tree | None:
    """The documents that :meth:`Reloader._keep` wrote; None where there are none."""
    try:
        kept = msgspec.msgpack.decode(path.read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError):
        return None
    return files.Tree(folder, kept.files, (), kept.digest, "", kept.commit)


def _desired(loaded: Loaded) -> Desired:
    return Desired(loaded.revision, loaded.snapshot is not None, loaded.problems, time.time())
