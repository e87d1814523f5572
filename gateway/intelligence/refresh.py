"""One refresh: for every candidate search, choose, sum up, keep. The only writer of the store.

Candidates are independent: one that fails keeps its older assessment and takes nothing from the others, and each is
kept as soon as it is there, so that a refresh that is killed leaves whole assessments and the next one completes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from gateway.config.model import Candidate, Intelligence, Router, Search
from gateway.intelligence.assessment import Assessment, Assessments, spell
from gateway.intelligence.fetch import Fetch, SearchError
from gateway.intelligence.queries import choose, queries
from gateway.intelligence.search import Found, Reader, Searcher, reader, searcher
from gateway.intelligence.store import StoreError
from gateway.intelligence.summarise import NoSummary, Summariser

#: Candidates at a time, and pages of each that are read whole.
CONCURRENCY, READ = 4, 3

Outcome = Literal["written", "kept", "failed", "would ask"]


class Task(msgspec.Struct, frozen=True):
    """One candidate of one router, as the configuration has it."""

    router: Router
    intelligence: Intelligence
    candidate: Candidate

    @property
    def key(self) -> tuple[str, str]:
        return self.router.name, self.candidate.id


class Result(msgspec.Struct, frozen=True):
    """What came of one task; ``cost`` is in USD, None where that is not known."""

    task: Task
    outcome: Outcome
    note: str
    sources: int = 0
    cost: float | None = 0.0


def tasks(routers: Iterable[Router]) -> list[Task]:
    """All candidates of routers that ask for assessments."""
    return [
        Task(router, router.intelligence, candidate)
        for router in routers
        if router.intelligence is not None
        for candidate in router.candidates
    ]


class Refresh:
    """One run. ``put`` keeps an assessment and may block; ``known`` are those that are kept already.

    A candidate whose assessment is younger than ``max_age`` seconds is left alone, unless ``force``.
    """

    def __init__(
        self,
        *,
        fetch: Fetch,
        summariser: Summariser,
        put: Callable[[Assessment], None],
        known: Assessments,
        search: Search | None,
        environ: Mapping[str, str],
        max_age: float,
        force: bool = False,
        dry_run: bool = False,
        told: Callable[[Result], None] = lambda result: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch
        self._summariser = summariser
        self._put = put
        self._known = known
        self._search = search
        self._environ = environ
        self._max_age = max_age
        self._force = force
        self._dry_run = dry_run
        self._told = told
        self._clock = clock
        self._room = asyncio.Semaphore(CONCURRENCY)
        #: A comparison is searched for once, whichever of its sides comes first.
        self._searches: dict[tuple[str, str], asyncio.Task[list[Found]]] = {}
        #: The store has one writer, and one thread at a time.
        self._writing = asyncio.Lock()

    async def run(self, wanted: Iterable[Task]) -> list[Result]:
        """What came of each, in their order."""
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self._one(task)) for task in wanted]
        return [each.result() for each in running]

    async def _one(self, task: Task) -> Result:
        async with self._room:
            result = await self._assess(task)
        self._told(result)
        return result

    async def _assess(self, task: Task) -> Result:
        known = self._known.get(task.key)
        age = None if known is None else self._clock() - known.generated
        if age is not None and age < self._max_age and not self._force:
            return Result(task, "kept", f"it is {spell(age)} old")
        asked = queries(task.router, task.candidate, time.gmtime(self._clock()).tm_year)
        name = task.intelligence.search
        if self._dry_run:
            return Result(task, "would ask", f"{name}, {len(asked)} searches")
        try:
            source = searcher(name, self._search, self._environ, self._fetch)
            pages = await self._pages(task, source, asked)
        except SearchError as error:
            return Result(task, "failed", f"{name}: {error}")
        try:
            summary = await self._summariser.summarise(task.router, task.candidate, task.intelligence.summarizer, pages)
        except NoSummary as error:
            return Result(task, "failed", str(error), cost=error.cost)
        try:
            async with self._writing:
                await asyncio.to_thread(self._put, summary.assessment)
        except StoreError as error:
            return Result(task, "failed", f"it cannot be kept: {error}", cost=summary.cost)
        note = f"{summary.assessment.confidence} confidence"
        if age is not None and age < self._max_age:
            note += f", searched again although it was {spell(age)} old"
        return Result(task, "written", note, len(summary.assessment.sources), summary.cost)

    async def _pages(self, task: Task, source: Searcher, asked: list[str]) -> list[Found]:
        """The pages that speak of the candidate. A search that fails fails the candidate: half of what is known of
        it could be the worse half.
        """
        results = [await self._searched(source, query) for query in asked]
        pages = choose(task.candidate, results)
        read = reader(self._search, self._environ, self._fetch) if source.name != "jina" else None
        if read is None:
            return pages
        return choose(task.candidate, [await self._read(read, pages[:READ]), *results])

    async def _searched(self, source: Searcher, query: str) -> list[Found]:
        key = source.name, query
        if key not in self._searches:
            self._searches[key] = asyncio.create_task(source.search(query))
        return await asyncio.shield(self._searches[key])

    @staticmethod
    async def _read(read: Reader, pages: list[Found]) -> list[Found]:
        return list(await asyncio.gather(*(read.read(page) for page in pages)))
