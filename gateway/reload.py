"""Hot reload with the last good generation.

What is on disk is *desired*, what serves is *applied*. A change on disk is read as a whole once it has come to rest,
checked as a whole, and swapped in with one assignment; anything wrong with it leaves the applied generation alone and
shows in :attr:`Holder.desired`, the log and the metrics. Steps above the line marked in :meth:`Reloader.apply` may
fail, steps below may not.

Events of the file system are only hints: a watched folder that is removed and made again goes deaf without an error,
network file systems tell nothing, editors tell too much. The truth is a fingerprint of the resolved tree, taken after
a hint and every second, and the content itself every few seconds, since two contents may share a fingerprint.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import watchfiles

from gateway.config import files
from gateway.config.load import Loaded, Loader
from gateway.config.model import Snapshot
from gateway.config.problems import Problem
from gateway.generation import Generation

log = logging.getLogger("llm_relay.reload")

#: Two fingerprints so many seconds apart must agree before a change is read.
REST_SECONDS = 0.25
#: Between two looks that nobody asked for.
POLL_SECONDS = 1.0
#: Every so many polls the content is read, whatever the fingerprint says.
CONTENT_POLLS = 5


class Desired(msgspec.Struct, frozen=True):
    """What is on disk, applied or not."""

    revision: str
    ok: bool
    #: Errors, and warnings too.
    problems: tuple[Problem, ...]
    seen_at: float


class Holder:
    """The generation that serves, and the one that is wanted."""

    def __init__(self, generation: Generation, desired: Desired) -> None:
        #: Taken once by each request, and replaced by a single assignment.
        self.current = generation
        self.desired = desired
        self.applied_at = time.time()


class ConfigurationError(Exception):
    """The configuration is refused as a whole; ``problems`` say why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


class Reloader:
    """Keeps a :class:`Holder` in step with a folder.

    After every reading that changed something ``applied`` is called with the generation that now serves what is on
    disk, or ``refused``. Both are called on the event loop and must not fail. ``check`` may find problems that depend
    on how this gateway was started.
    """

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        *,
        applied: Callable[[Generation], None] = lambda generation: None,
        refused: Callable[[], None] = lambda: None,
        check: Callable[[Snapshot], tuple[Problem, ...]] = lambda snapshot: (),
        polling: bool = False,
    ) -> None:
        self._folder = folder
        self._loader = Loader(environ)
        self._applied = applied
        self._refused = refused
        self._check = check
        self._polling = polling
        self._hint = asyncio.Event()
        self._stop = asyncio.Event()
        self._fingerprint = ""
        self._seen = ""
        self.holder: Holder

    def load(self) -> Holder:
        """The first generation. Raises ConfigurationError where there is none to serve."""
        self._fingerprint = files.fingerprint(self._folder)
        loaded = self._checked(self._loader.load(self._folder))
        if loaded.snapshot is None:
            raise ConfigurationError(loaded.problems)
        self._seen = loaded.revision
        self.holder = Holder(Generation(loaded.snapshot), _desired(loaded))
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
                    await asyncio.wait_for(self._hint.wait(), POLL_SECONDS)
                self._hint.clear()
                polls += 1
                try:
                    await self._look(content=polls % CONTENT_POLLS == 0)
                except Exception:
                    log.exception("looking at the configuration failed; the running generation goes on")
        finally:
            if hints is not None:
                hints.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await hints

    def stop(self) -> None:
        """End :meth:`run`."""
        self._stop.set()
        self._hint.set()

    async def _look(self, *, content: bool) -> None:
        fingerprint = await asyncio.to_thread(files.fingerprint, self._folder)
        if fingerprint == self._fingerprint and not content:
            return
        while fingerprint != self._fingerprint and not self._stop.is_set():
            await asyncio.sleep(REST_SECONDS)
            resting = await asyncio.to_thread(files.fingerprint, self._folder)
            if resting == fingerprint:
                break
            fingerprint = resting
        tree = await asyncio.to_thread(files.read, self._folder)
        if await asyncio.to_thread(files.fingerprint, self._folder) != fingerprint:
            # It moved while it was read: come again.
            self._hint.set()
            return
        self._fingerprint = fingerprint
        if tree.revision == self._seen:
            return
        loaded = self._checked(await asyncio.to_thread(self._loader.compile, tree))
        self._seen = loaded.revision
        await self.apply(loaded)

    async def apply(self, loaded: Loaded) -> None:
        """Swap ``loaded`` in, or refuse it as a whole."""
        desired = _desired(loaded)
        if loaded.snapshot is None:
            self.holder.desired = desired
            for problem in desired.problems:
                log.error("%s", problem, extra={"problem": problem.code})
            log.error("revision %s is refused; %s goes on serving", loaded.revision, self.holder.current.revision)
            self._refused()
            return
        if loaded.revision == self.holder.current.revision:
            self.holder.desired = desired
            log.info("revision %s is back; it never stopped serving", loaded.revision)
            self._applied(self.holder.current)
            return
        generation = await asyncio.to_thread(Generation, loaded.snapshot)
        # --- nothing below this line may fail ---
        self.holder.current = generation
        self.holder.desired = desired
        self.holder.applied_at = time.time()
        for problem in desired.problems:
            log.warning("%s", problem, extra={"problem": problem.code})
        log.info("revision %s is live with %d routers", generation.revision, len(generation.snapshot.routers))
        self._applied(generation)

    def _checked(self, loaded: Loaded) -> Loaded:
        found = self._check(loaded.snapshot) if loaded.snapshot is not None else ()
        if not found:
            return loaded
        return msgspec.structs.replace(loaded, snapshot=None, problems=(*loaded.problems, *found))

    async def _listen(self) -> None:
        """Turn the file system's events into hints, for as long as it sends any."""
        while not self._stop.is_set():
            points = await asyncio.to_thread(_watch_points, self._folder)
            try:
                async for _ in watchfiles.awatch(
                    *points, stop_event=self._stop, recursive=False, debounce=50, step=10, watch_filter=None
                ):
                    self._hint.set()
                    if await asyncio.to_thread(_watch_points, self._folder) != points:
                        break
            except (OSError, RuntimeError):
                # No inotify, no folder, no watches left: the polls see to it, and events may come back.
                await asyncio.sleep(POLL_SECONDS)


def _watch_points(folder: Path) -> list[Path]:
    """The folders whose events concern ``folder``: itself, its targets, and the parents of every symlink on the way.

    git-sync re-points a symlink, and Kubernetes swaps ``..data`` inside the folder; neither touches the target.
    """
    points: set[Path] = set()
    place = folder.absolute()
    for _ in range(8):
        if place.parent.is_dir():
            points.add(place.parent)
        if not place.is_symlink():
            break
        place = place.parent / place.readlink()
    real = folder.resolve()
    if real.is_dir():
        points.add(real)
    return sorted(points)


def _desired(loaded: Loaded) -> Desired:
    return Desired(loaded.revision, loaded.snapshot is not None, loaded.problems, time.time())
