"""What came of the routers' tests, as data.

A test may be run several times. The first time decides whether it has passed; all times count for the accuracy, and
those after the first for the flips: how often another candidate was chosen than the first time.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec

from gateway.config.model import Step
from gateway.intelligence.reading import Note
from gateway.rehearsal.recordings import Exchange
from gateway.rehearsal.stage import Source

Status = Literal["passed", "failed", "error"]


class Finding(msgspec.Struct, frozen=True):
    """An expectation that was not met."""

    expected: str
    got: str


class Answered(msgspec.Struct, frozen=True):
    """What a designator said for one step; without text, ``failure`` says why."""

    source: Source
    text: str | None
    failure: str | None
    #: Tokens of the answer and its prompt, where somebody counted them.
    input: int | None = None
    output: int | None = None


class StepResult(msgspec.Struct, frozen=True):
    """What came of one request."""

    step: Step
    #: The beginning of what was asked.
    ask: str
    candidate: str | None
    decision: str | None
    error: str | None
    findings: tuple[Finding, ...]
    #: None where no designator was asked.
    designator: Answered | None = None
    #: What the designator read, and answered.
    exchange: Exchange | None = None


class Run(msgspec.Struct, frozen=True):
    """One run of a test; ``trouble`` says why it could not be judged."""

    steps: tuple[StepResult, ...]
    trouble: str | None = None
    #: Where the trouble is.
    line: int = 0

    @property
    def status(self) -> Status:
        """Whether all went as expected."""
        if self.trouble is not None:
            return "error"
        return "failed" if any(step.findings for step in self.steps) else "passed"

    @property
    def chosen(self) -> list[str | None]:
        """Who answered, step by step."""
        return [step.candidate for step in self.steps]


class CaseResult(msgspec.Struct, frozen=True):
    """All runs of one test, the one with the names in the router's own order first."""

    name: str
    line: int
    reason: str
    runs: tuple[Run, ...]
    seconds: float

    @property
    def status(self) -> Status:
        """What the first run came to."""
        return self.runs[0].status

    @property
    def repeats(self) -> list[Run]:
        """The runs after the first that can be compared with it."""
        if self.status == "error":
            return []
        return [run for run in self.runs[1:] if run.status != "error"]

    @property
    def flips(self) -> int:
        """How many of the repeats chose otherwise."""
        return sum(run.chosen != self.runs[0].chosen for run in self.repeats)


class RouterResult(msgspec.Struct, frozen=True):
    """All tests of one router."""

    router: str
    #: As the user named the folder.
    file: str
    designator: str
    prompt_digest: str
    candidates: tuple[str, ...]
    cases: tuple[CaseResult, ...]
    #: How many answers of the designator were recorded anew, and how many were kept; None where nothing was written.
    recorded: tuple[int, int] | None = None
    #: Where a gateway's designator reads something else.
    notes: tuple[Note, ...] = ()

    def count(self, status: Status) -> int:
        """How many tests came to ``status``."""
        return sum(case.status == status for case in self.cases)

    @property
    def accuracy(self) -> float | None:
        """The part of all runs that went as expected; None without any."""
        statuses = [run.status for case in self.cases for run in case.runs]
        return statuses.count("passed") / len(statuses) if statuses else None

    @property
    def repeats(self) -> int:
        """How many runs were compared with another."""
        return sum(len(case.repeats) for case in self.cases)

    @property
    def flip_rate(self) -> float | None:
        """The part of the repeats that chose otherwise; None where nothing was repeated."""
        return sum(case.flips for case in self.cases) / self.repeats if self.repeats else None

    @property
    def confusion(self) -> dict[str, Counter[str]]:
        """By expected candidate how often which one answered; the keys are in the order of the candidates.

        Where one of several was expected and another one answered, the first of them counts as expected.
        """
        found: dict[str, Counter[str]] = {id: Counter() for id in self.candidates}
        for case in self.cases:
            for step in (step for run in case.runs for step in run.steps):
                if step.step.expect and step.candidate is not None:
                    right = step.candidate in step.step.expect
                    found[step.candidate if right else step.step.expect[0]][step.candidate] += 1
        return {expected: counts for expected, counts in found.items() if counts}


class Gates(msgspec.Struct, frozen=True):
    """What is enough; None: every test must pass, and flips do not matter."""

    min_accuracy: float | None = None
    max_flips: float | None = None


class Report(msgspec.Struct, frozen=True):
    """What came of everything."""

    revision: str
    routers: tuple[RouterResult, ...]
    gates: Gates = Gates()

    def verdicts(self, router: RouterResult) -> dict[str, str]:
        """The gates that a router does not pass, by name, in words."""
        found = {}
        least, most = self.gates.min_accuracy, self.gates.max_flips
        if least is not None and router.accuracy is not None and router.accuracy < least:
            found["accuracy"] = f"accuracy {router.accuracy:.3g} is under {least:g}"
        if most is not None and router.flip_rate is not None and router.flip_rate > most:
            found["flips"] = f"flip rate {router.flip_rate:.3g} is over {most:g}"
        return found

    @property
    def tolerant(self) -> bool:
        """Whether a test may fail while the accuracy is high enough."""
        return self.gates.min_accuracy is not None

    @property
    def ok(self) -> bool:
        """Whether all of it is good enough. A test that could not be judged never is."""
        return not any(
            router.count("error") or (router.count("failed") and not self.tolerant) or self.verdicts(router)
            for router in self.routers
        )
