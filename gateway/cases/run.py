"""Runs the routers' tests."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from gateway.cases.judge import judge
from gateway.cases.report import Answered, CaseResult, Gates, Report, RouterResult, Run, StepResult
from gateway.config.files import shown
from gateway.config.model import Candidate, Router, RouterTest, Step, Turn
from gateway.errors import BadRequest
from gateway.generation import Generation
from gateway.intelligence.reading import Beside
from gateway.metrics import Metrics
from gateway.rehearsal import recordings
from gateway.rehearsal.recordings import Exchange, NotRecorded, Recordings, RecordingsUnreadable, first_words
from gateway.rehearsal.rehearse import Outcome, Rehearsal, chat
from gateway.rehearsal.stage import Asking, Said
from gateway.routing.decide import Policy
from gateway.upstream import Upstream

#: Tests that ask a designator at the same time.
_AT_ONCE = 4
_TITLE = 60

#: Told after every test: the router's name, how many of its tests are done, and how many there are.
Progress = Callable[[str, int, int], None]
_NOTHING = Beside()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to run tests."""

    asking: Asking = "never"
    #: Whether to write down what designators answer.
    record: bool = False
    repeat: int = 1
    #: Whether repeats name the candidates in other orders.
    permute: bool = False
    gates: Gates = Gates()


async def run(
    folder: Path,
    generation: Generation,
    routers: Iterable[Router],
    dial: Upstream,
    settings: Settings,
    progress: Progress = lambda router, done, total: None,
    beside: Beside = _NOTHING,
) -> Report:
    """What comes of the tests of ``routers``; ``dial`` is the way to designators that are asked.

    ``beside`` is where the assessments of ``generation`` are from. Raises OSError where recordings cannot be written.
    """
    metrics = Metrics(CollectorRegistry())
    results = []
    for router in routers:
        runner = _Runner(folder, generation, router, dial, settings, metrics)
        result = await runner.run(progress)
        results.append(msgspec.structs.replace(result, notes=beside.of(router.name)))
    return Report(generation.revision, tuple(results), settings.gates)


class _Runner:
    """Runs one router's tests."""

    def __init__(
        self,
        folder: Path,
        generation: Generation,
        router: Router,
        dial: Upstream,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self._folder = folder
        self._generation = generation
        self._router = router
        self._policy = generation.policies[router.name]
        self._dial = dial
        self._settings = settings
        self._metrics = metrics
        self._recordings: Recordings | None = None
        # The sandbox can always be asked. What is recorded of it all the same holds as anybody else's word.
        in_sandbox = router.designator.model.provider.sandbox
        if settings.record or not in_sandbox or recordings.path_of(folder, router.name).exists():
            try:
                self._recordings = recordings.load(folder, self._policy)
            except RecordingsUnreadable as error:
                self._recordings = Recordings(self._policy, {}, f"the recording cannot be read: {error}")

    async def run(self, progress: Progress) -> RouterResult:
        """All tests, in the router's order."""
        router, tests = self._router, self._router.tests
        room, done = asyncio.Semaphore(_AT_ONCE), 0

        async def one(test: RouterTest) -> CaseResult:
            nonlocal done
            async with room:
                result = await self._case(test)
            done += 1
            progress(router.name, done, len(tests))
            return result

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(test)) for test in tests]
        cases = tuple(task.result() for task in tasks)
        return RouterResult(
            router=router.name,
            file=shown(self._folder, router.file),
            designator=router.designator.model.id,
            prompt_digest=self._policy.digest,
            candidates=tuple(candidate.id for candidate in router.candidates),
            cases=cases,
            recorded=self._save(cases) if self._settings.record and self._recordings is not None else None,
        )

    def _save(self, cases: Iterable[CaseResult]) -> tuple[int, int]:
        """Write down what the first runs used: how much of it is new, and how much was there."""
        used = [step for case in cases for step in case.runs[0].steps if step.exchange is not None]
        exchanges = {step.exchange.user: step for step in used if step.exchange is not None}
        recordings.save(self._folder, self._policy, [step.exchange for step in used if step.exchange is not None])
        sources = [step.designator.source for step in exchanges.values() if step.designator is not None]
        return len(sources) - sources.count("recording"), sources.count("recording")

    async def _case(self, test: RouterTest) -> CaseResult:
        began = time.perf_counter()
        runs = [await self._run(test, 0)]
        if any(step.designator is not None and step.designator.source != "test" for step in runs[0].steps):
            runs += [await self._run(test, number) for number in range(1, self._settings.repeat)]
        first = next((turn for step in test.requests for turn in reversed(step.messages)), Turn(role="user"))
        return CaseResult(
            name=test.name or first_words(_text(first), _TITLE),
            line=test.line,
            reason=test.reason,
            runs=tuple(runs),
            seconds=time.perf_counter() - began,
        )

    async def _run(self, test: RouterTest, number: int) -> Run:
        """Run number ``number`` of a test; a repeat is nothing but another answer of the designator."""
        asking: Asking = self._settings.asking if number == 0 else "always"
        shuffled = self._shuffled(number) if self._settings.permute and number else None
        rehearsal = Rehearsal(
            self._generation,
            self._policy,
            self._dial,
            recordings=self._recordings,
            asking=asking,
            shuffled=shuffled,
            metrics=self._metrics,
        )
        history = _said(test.messages, []) if test.steps else []
        results: list[StepResult] = []
        for step in test.requests:
            rehearsal.clock.now += step.after
            before = results[-1].candidate if results else None
            messages = _said(step.messages, history)
            try:
                outcome = await self._ask(rehearsal, step, messages)
            except NotRecorded as error:
                command = recordings.recorder(self._folder, self._router.name)
                return Run(tuple(results), f"{self._router.name}: {error}; run: {command}", step.line)
            if outcome.answer is not None:
                history = [*messages, dict(outcome.answer)]
            result = _result(step, outcome, before)
            results.append(result)
            if trouble := _trouble(step, outcome):
                return Run(tuple(results), trouble, step.line)
        return Run(tuple(results))

    async def _ask(self, rehearsal: Rehearsal, step: Step, messages: list[dict[str, Any]]) -> Outcome:
        body: dict[str, Any] = {"model": self._router.name, "messages": messages}
        if step.tools:
            body["tools"] = step.tools
        if step.max_tokens is not None:
            body["max_tokens"] = step.max_tokens
        if step.json:
            body["response_format"] = {"type": "json_object"}
        try:
            request = chat(body)
        except BadRequest as error:
            return Outcome(None, None, error=error.code, status=error.status, message=error.message)
        return await rehearsal.ask(request, act=step.designator, fails=step.fails, calls=step.calls)

    def _shuffled(self, number: int) -> Policy:
        """The router with its candidates in another order: the same for the same ``number``, always."""
        before = list(self._router.candidates)
        after = list(before)
        # Nobody's secret, but equal orders on every machine.
        random.Random(f"{self._router.name} {number}").shuffle(after)
        if after == before:
            after = _turned(after, number)
        router = msgspec.structs.replace(self._router, candidates=tuple(after))
        return Policy(router, self._generation.assessments.get(router.name))


def _turned(candidates: list[Candidate], number: int) -> list[Candidate]:
    at = 1 + number % max(1, len(candidates) - 1)
    return candidates[at:] + candidates[:at]


def _result(step: Step, outcome: Outcome, before: str | None) -> StepResult:
    said = outcome.said
    ask = _text(step.messages[-1]) if step.messages else ""
    return StepResult(
        step=step,
        ask=first_words(ask, _TITLE),
        candidate=outcome.candidate,
        decision=outcome.decision,
        error=outcome.error,
        findings=tuple(judge(step, outcome, before)),
        designator=None if said is None else _answered(said),
        exchange=None if said is None else _exchange(said, ask),
    )


def _answered(said: Said) -> Answered:
    return Answered(said.source, said.text, said.failure, said.usage.input, said.usage.output)


def _exchange(said: Said, ask: str) -> Exchange | None:
    """What is worth recording: an answer, and none that the test's author made up."""
    if said.source not in ("live", "sandbox", "recording") or said.text is None:
        return None
    return Exchange(ask, said.ask.prompt.messages[-1].text, said.text)


def _trouble(step: Step, outcome: Outcome) -> str | None:
    """A designator that was asked and did not answer proves nothing, even if the fallback is who was expected."""
    said = outcome.said
    if said is None or said.failure is None or said.source != "live" or step.decision == outcome.decision:
        return None
    return f"the designator did not answer: {said.failure}"


def _said(turns: Iterable[Turn], history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``history`` and ``turns`` as in the OpenAI API. A tool answers the latest call, unless it says which."""
    messages = list(history)
    for turn in turns:
        message: dict[str, Any] = {"role": turn.role}
        if turn.content is not None:
            message["content"] = turn.content
        if turn.tool_calls:
            message["tool_calls"] = turn.tool_calls
        if turn.role == "tool":
            calls = [call.get("id") for earlier in messages for call in earlier.get("tool_calls") or ()]
            message["tool_call_id"] = turn.tool_call_id or (calls[-1] if calls else "")
        messages.append(message)
    return messages


def _text(turn: Turn) -> str:
    """The plain text of a turn."""
    if turn.content is None or isinstance(turn.content, str):
        return turn.content or ""
    return "\n".join(str(part.get("text", "")) for part in turn.content if part.get("type") == "text")
