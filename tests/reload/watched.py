"""A folder of documents and a reloader that watches it, without a server around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gateway.config.model import Snapshot
from gateway.config.problems import Problem
from gateway.generation import Generation
from gateway.reload import Holder, Reloader
from tests.faultserver import PATIENCE

#: Seconds between two polls: where there are events, nothing is found without them here.
POLLS = {"events": 60.0, "polling": 0.03}


class Watched:
    """A folder and the reloader that watches it."""

    def __init__(
        self,
        folder: Path,
        *,
        polling: bool = False,
        poll: float = 60.0,
        rest: float = 0.05,
        kept: Path | None = None,
        check: Callable[[Snapshot], tuple[Problem, ...]] = lambda snapshot: (),
    ) -> None:
        #: The description of the router ``smart``, or None without one, for every reload; "refused" for a refused one.
        self.told: list[str | None] = []
        self._changed = asyncio.Event()
        self._reloader = Reloader(
            folder,
            {},
            applied=lambda generation: self._note(shown(generation)),
            refused=lambda: self._note("refused"),
            polling=polling,
            poll=poll,
            rest=rest,
            kept=kept,
            check=check,
        )
        self.holder: Holder = self._reloader.load()
        self._running = asyncio.create_task(self._reloader.run())

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until ``true`` is; it is asked again at every reload."""
        async with asyncio.timeout(PATIENCE):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def shows(self, description: str) -> None:
        """Wait until this is what serves."""
        await self.until(lambda: shown(self.holder.current) == description and self.holder.desired.ok)

    async def refused(self, code: str) -> None:
        """Wait until what is on disk has a problem with this code."""
        await self.until(lambda: not self.holder.desired.ok and code in self.codes)

    @property
    def codes(self) -> set[str]:
        """The codes of the problems with what is on disk."""
        return {problem.code for problem in self.holder.desired.problems}

    async def stop(self) -> None:
        self._reloader.stop()
        await self._running

    def _note(self, told: str | None) -> None:
        self.told.append(told)
        self._changed.set()


def shown(generation: Generation) -> str | None:
    router = generation.router("smart")
    return router.description if router is not None else None


def document(description: str, name: str = "smart", **more: str) -> str:
    lines = [f"name: {name}", f"description: {description}", *(f"{key}: {value}" for key, value in more.items())]
    lines += ["designator: {model: sandbox/d}", "candidates:"]
    lines += ["  - {model: sandbox/a, purpose: Code}", "  - {model: sandbox/b, purpose: Text}"]
    return "\n".join([*lines, ""])


def replace(path: Path, text: str) -> None:
    """As an editor or a checkout does: with one rename."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    temporary.rename(path)


class Watch(Protocol):
    """Opens a folder in one of the two ways of watching."""

    def __call__(self, folder: Path, *, rest: float = 0.05) -> Watched: ...
