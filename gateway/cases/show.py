"""A report for people, for programs, and for CI."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from gateway.cases.report import CaseResult, Report, RouterResult, Run, StepResult
from gateway.cases.text import text
from gateway.config.problems import Problem, Severity
from gateway.config.report import render

#: What XML 1.0 has no way to say (its production 2, Char).
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def show(report: Report, style: str) -> str:
    """``text``, ``json``, ``junit`` or ``github``. Raises KeyError on another style."""
    return _STYLES[style](report)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _json(report: Report) -> str:
    value = {
        "ok": report.ok,
        "revision": report.revision,
        "gates": report.gates,
        "routers": [_router(report, router) for router in report.routers],
    }
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"


def _router(report: Report, router: RouterResult) -> dict[str, Any]:
    return {
        "router": router.router,
        "file": router.file,
        "designator": router.designator,
        "prompt_digest": router.prompt_digest,
        "passed": router.count("passed"),
        "failed": router.count("failed"),
        "errors": router.count("error"),
        "accuracy": router.accuracy,
        "flip_rate": router.flip_rate,
        "verdicts": list(report.verdicts(router).values()),
        "notes": [{"severity": note.severity, "text": note.text} for note in router.notes],
        "confusion": router.confusion,
        "tests": [_case(case) for case in router.cases],
    }


def _case(case: CaseResult) -> dict[str, Any]:
    return {
        "name": case.name,
        "line": case.line,
        "reason": case.reason,
        "status": case.status,
        "flip_rate": case.flips / len(case.repeats) if case.repeats else None,
        "runs": [_run(run) for run in case.runs],
    }


def _run(run: Run) -> dict[str, Any]:
    return {"status": run.status, "trouble": run.trouble, "steps": [_step(step) for step in run.steps]}


def _step(step: StepResult) -> dict[str, Any]:
    return {
        "line": step.step.line,
        "ask": step.ask,
        "candidate": step.candidate,
        "decision": step.decision,
        "error": step.error,
        "findings": step.findings,
        "designator": step.designator,
    }


# --- JUnit ------------------------------------------------------------------------------------------------------------


def _junit(report: Report) -> str:
    """JUnit's XML, as CI systems read it; https://github.com/testmoapp/junitxml says what they have in common.

    A test that may fail, because only the accuracy counts, is skipped where it does, so that a file without failures
    and exit status 0 always come together.
    """
    root = ET.Element("testsuites", name="llm-relay test")
    for router in report.routers:
        suite = ET.SubElement(root, "testsuite", name=router.router, file=router.file)
        if router.notes:
            properties = ET.SubElement(suite, "properties")
            for note in router.notes:
                ET.SubElement(properties, "property", name=note.severity, value=_possible(note.text))
        names = [case.name for case in router.cases]
        for case in router.cases:
            # Many readers know a test by its name alone.
            name = case.name if names.count(case.name) == 1 else f"{case.name} (line {case.line})"
            _junit_case(ET.SubElement(suite, "testcase", _attributes(router, name, case)), case, report.tolerant)
        for name, verdict in report.verdicts(router).items():
            gate = ET.SubElement(suite, "testcase", classname=router.router, name=name)
            ET.SubElement(gate, "failure", message=verdict, type="gate")
        _count(suite, [suite], router.cases)
    _count(root, list(root), [case for router in report.routers for case in router.cases])
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _attributes(router: RouterResult, name: str, case: CaseResult) -> dict[str, str]:
    return {
        "classname": router.router,
        "name": _possible(name),
        "file": router.file,
        "line": str(case.line),
        "time": f"{case.seconds:.3f}",
    }


def _junit_case(element: ET.Element, case: CaseResult, tolerant: bool) -> None:
    run = case.runs[0]
    if run.trouble is not None:
        ET.SubElement(element, "error", message=_possible(run.trouble), type="trouble")
    elif run.status == "failed":
        said = [f"expected {finding.expected}, got {finding.got}" for step in run.steps for finding in step.findings]
        tag = "skipped" if tolerant else "failure"
        found = ET.SubElement(element, tag, message=_possible(said[0]), type="expectation")
        found.text = _possible("\n".join([*said, *([case.reason] if case.reason else [])]))


def _count(element: ET.Element, suites: list[ET.Element], cases: Sequence[CaseResult]) -> None:
    for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(name, str(sum(1 for suite in suites for _ in suite.iter(tag))))
    element.set("time", f"{sum(case.seconds for case in cases):.3f}")


def _possible(text: str) -> str:
    return _IMPOSSIBLE.sub("\ufffd", text)


# --- GitHub -----------------------------------------------------------------------------------------------------------


def _github(report: Report) -> str:
    """What GitHub shows beside the lines of a pull request, then the text for its log."""
    found = [problem for router in report.routers for problem in _problems(router, report.tolerant)]
    return render(found, "github") + text(report)


def _problems(router: RouterResult, tolerant: bool) -> Iterator[Problem]:
    for note in router.notes:
        yield Problem(router.file, 1, 1, router.router, "assessments", note.text, severity=note.severity)
    for case in router.cases:
        run = case.runs[0]
        if run.trouble is not None:
            yield Problem(router.file, run.line, 1, case.name, "test", run.trouble)
        for step in run.steps:
            for finding in step.findings:
                message = f"expected {finding.expected}, got {finding.got}"
                severity: Severity = "warning" if tolerant else "error"
                yield Problem(router.file, step.step.line, 1, case.name, "test", message, case.reason, severity)


_STYLES: dict[str, Callable[[Report], str]] = {"text": text, "json": _json, "junit": _junit, "github": _github}
