"""From a router's tests as written to tests that can be run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import UNSET, UnsetType, structs

from gateway.config import testing
from gateway.config.model import RouterTest, Step, Turn
from gateway.config.problems import Place, Report, did_you_mean, show
from gateway.config.prose import prose
from gateway.config.units import duration

#: A picture of one pixel.
_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg=="
)
#: What a test with steps says in its steps only.
_OF_STEPS = ("ask", "image", "designator", "fails", "expect", "reject", "decision", "error")
_WRITTEN = {"reject": "not"}
_EXPECTATIONS = ("expect", "reject", "decision", "error", "stays")

_Written = testing.RouterTest | testing.Step


def among(reference: str, place: Place, ids: Mapping[str, str], report: Report, *, at_key: bool = False) -> str:
    """The candidate's id that ``reference`` means, with a problem where it means none; ``ids`` are by lower case."""
    found = ids.get(reference.lower())
    if found is None:
        listed = f"use one of {', '.join(list(ids.values())[:10])}"
        remedy = did_you_mean(reference, ids.values(), listed)
        report.add(place, "E306", f"{show(reference)} is not a candidate", remedy, at_key=at_key)
    return found or reference


def compile_test(test: testing.RouterTest, place: Place, ids: Mapping[str, str], report: Report) -> RouterTest:
    """The test, with everything that is wrong with it in ``report``. ``ids`` are the candidates', by lower case."""
    compiler = _Compiler(test, ids, report)
    steps: tuple[Step, ...] = ()
    if test.steps is UNSET:
        compiler.check_one_of(test, place, ("ask", "messages"))
        if not _expects(test):
            report.add(place, "E205", '"expect" is missing', "add it, or not, decision or error")
    else:
        for field in _OF_STEPS:
            if getattr(test, field) is not UNSET:
                shown = _WRITTEN.get(field, field)
                message = f"{shown} and steps exclude each other"
                report.add(place / shown, "E209", message, "move it into a step", at_key=True)
        if not any(_expects(step) for step in test.steps):
            report.add(place / "steps", "E205", "no step expects anything", "add expect, not, decision, error or stays")
        steps = tuple(compiler.steps(test.steps, place / "steps"))
    return RouterTest(
        **structs.asdict(compiler.step(test, place)),
        name=prose(test.name, place / "name", report),
        reason=prose(test.reason, place / "reason", report),
        steps=steps,
    )


def _expects(written: _Written) -> bool:
    return any(getattr(written, field, UNSET) is not UNSET for field in _EXPECTATIONS)


class _Compiler:
    """Compiles the requests of one test; a step has the tools and limits of its test unless it says otherwise."""

    def __init__(self, test: testing.RouterTest, ids: Mapping[str, str], report: Report) -> None:
        self._test = test
        self._ids = ids
        self._report = report

    def steps(self, steps: list[testing.Step], place: Place) -> Iterator[Step]:
        """The steps of a conversation."""
        called = False
        for index, step in enumerate(steps):
            here = place / index
            self.check_one_of(step, here, ("ask", "messages", "result"))
            if step.result is not UNSET and not called:
                remedy = "say in an earlier step which tool the model calls: calls: NAME"
                self._report.add(here / "result", "E205", "no step before calls a tool", remedy, at_key=True)
            if step.stays is not UNSET and index == 0:
                self._report.add(here / "stays", "W408", "without effect: no step is before", "remove it", at_key=True)
            called = called or step.calls is not UNSET
            yield self.step(step, here)

    def step(self, written: _Written, place: Place) -> Step:
        """One request, what happens meanwhile, and what is to come of it."""
        self._check_exclusions(written, place)
        step = written if isinstance(written, testing.Step) else testing.Step()
        expect = self._several(written.expect, place / "expect")
        reject = self._several(written.reject, place / "not")
        for id in sorted(set(expect) & set(reject)):
            self._report.add(place / "not", "E209", f"{show(id)} is expected too", "remove one", at_key=True)
        return Step(
            messages=_turns(written),
            tools=tuple(map(_tool, written.tools or self._test.tools or ())),
            max_tokens=written.max_tokens or self._test.max_tokens or None,
            json=bool(self._test.json if written.json is UNSET else written.json),
            designator=self._act(written.designator, place / "designator"),
            fails=self._failures(written.fails or {}, place / "fails"),
            expect=expect,
            reject=reject,
            decision=written.decision or None,
            error=written.error or "",
            after=duration(step.after) if step.after else 0.0,
            calls=step.calls or "",
            stays=None if step.stays is UNSET else step.stays,
            line=place.line,
        )

    def check_one_of(self, written: _Written, place: Place, fields: tuple[str, ...]) -> None:
        """Take down that none of ``fields`` is written, or more than one."""
        found = [field for field in fields if getattr(written, field) is not UNSET]
        if not found:
            self._report.add(place, "E205", f'"{fields[0]}" is missing', f"add it, or {' or '.join(fields[1:])}")
        for field in found[1:]:
            message = f"{found[0]} and {field} exclude each other"
            self._report.add(place / field, "E209", message, "remove one", at_key=True)

    def _check_exclusions(self, written: _Written, place: Place) -> None:
        if written.image and written.ask is UNSET:
            self._report.add(place / "image", "E209", "image belongs to ask", "write ask, or a part", at_key=True)
        if written.error is UNSET:
            return
        for field in _EXPECTATIONS:
            if field != "error" and getattr(written, field, UNSET) is not UNSET:
                shown = _WRITTEN.get(field, field)
                message = f"error and {shown} exclude each other"
                self._report.add(place / shown, "E209", message, "remove one", at_key=True)

    def _several(self, written: str | list[str] | UnsetType, place: Place) -> tuple[str, ...]:
        if written is UNSET:
            return ()
        if isinstance(written, str):
            return (among(written, place, self._ids, self._report),)
        return tuple(among(each, place / index, self._ids, self._report) for index, each in enumerate(written))

    def _act(self, written: str | UnsetType, place: Place) -> str:
        if written is UNSET or written in testing.DESIGNATOR_ACTS:
            return written or ""
        words = {word: word for word in testing.DESIGNATOR_ACTS}
        return among(written, place, {**words, **self._ids}, self._report)

    def _failures(self, written: Mapping[str, int | str], place: Place) -> dict[str, int | str]:
        return {among(id, place / id, self._ids, self._report, at_key=True): how for id, how in written.items()}


def _turns(written: _Written) -> tuple[Turn, ...]:
    if isinstance(written, testing.Step) and written.result is not UNSET:
        return (Turn(role="tool", content=written.result),)
    if written.ask is UNSET:
        return tuple(map(_turn, written.messages or ()))
    if not written.image:
        return (Turn(role="user", content=written.ask),)
    picture = {"type": "image_url", "image_url": {"url": _PIXEL}}
    return (Turn(role="user", content=({"type": "text", "text": written.ask}, picture)),)


def _turn(written: testing.Turn) -> Turn:
    content: str | tuple[Mapping[str, Any], ...] | None
    if written.content is UNSET:
        content = None
    else:
        content = written.content if isinstance(written.content, str) else tuple(written.content)
    return Turn(
        role=written.role,
        content=content,
        tool_calls=tuple(written.tool_calls or ()),
        tool_call_id=written.tool_call_id or "",
    )


def _tool(written: str | dict[str, Any]) -> Mapping[str, Any]:
    return {"type": "function", "function": {"name": written}} if isinstance(written, str) else written
