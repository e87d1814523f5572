"""A report for people."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.cases.report import Answered, CaseResult, Report, RouterResult, Run
from gateway.rehearsal.recordings import first_words, quoted

_SOURCES = {
    "test": "as the test says",
    "recording": "recorded",
    "sandbox": "from the sandbox",
    "live": "just now",
    "nobody": "",
}
_LONGEST_ANSWER = 100


def text(report: Report) -> str:
    """Everything that is wrong, then a line and the confusion of every router."""
    blocks = [_router(report, router) for router in report.routers]
    return "\n".join(["\n".join(lines) + "\n" for lines in blocks] + [_total(report)])


def _router(report: Report, router: RouterResult) -> list[str]:
    lines = [line for case in router.cases for line in _case(router, case, report.tolerant)]
    notes = [f"  {'note' if note.severity == 'info' else note.severity}: {note.text}" for note in router.notes]
    if not router.cases:
        return [f"{router.router} ({router.file}): no tests", *notes]
    passed, count = router.count("passed"), len(router.cases)
    facts = [f"{passed} of {count} {'test' if count == 1 else 'tests'} passed"]
    if router.accuracy is not None and (router.accuracy < 1 or report.gates.min_accuracy is not None):
        facts.append(f"accuracy {router.accuracy:.2f}")
    if router.flip_rate is not None:
        facts.append(f"flip rate {router.flip_rate:.2f} in {router.repeats} repeats")
    lines.append(f"{router.router} ({router.file}, designator {router.designator}): {', '.join(facts)}")
    lines += [f"  FAILED: {verdict}" for verdict in report.verdicts(router).values()]
    lines += _confusion(router)
    if router.recorded is not None:
        new, known = router.recorded
        lines.append(f"  recorded: {new} {'answer' if new == 1 else 'answers'} new, {known} kept")
    return lines + notes


def _total(report: Report) -> str:
    routers = report.routers
    count, passed = sum(len(router.cases) for router in routers), sum(router.count("passed") for router in routers)
    failed, errors = sum(router.count("failed") for router in routers), sum(router.count("error") for router in routers)
    facts = [f"{passed} passed"]
    facts += [f"{number} {word}" for number, word in ((failed, "failed"), (errors, "could not be judged")) if number]
    verdict = "ok" if report.ok else "FAILED"
    return f"{count} {'test' if count == 1 else 'tests'}: {', '.join(facts)}: {verdict}\n"


def _case(router: RouterResult, case: CaseResult, tolerant: bool) -> Iterator[str]:
    run = case.runs[0]
    title = quoted(case.name)
    if run.trouble is not None:
        yield f"{router.file}:{run.line}: ERROR {title}"
        yield f"  {run.trouble}"
    elif run.status == "failed":
        yield from _failure(router, case, run, title, "missed" if tolerant else "FAILED")
    if case.flips:
        chosen = [step for repeat in case.repeats for step in repeat.chosen]
        others = sorted({f"{candidate}" for candidate in chosen} - set(map(str, run.chosen)))
        to = f", to {' and '.join(others)}" if others else ""
        yield f"{router.file}:{case.line}: flips {title}: {case.flips} of {len(case.repeats)} repeats{to}"


def _failure(router: RouterResult, case: CaseResult, run: Run, title: str, word: str) -> Iterator[str]:
    for number, step in enumerate(run.steps, 1):
        if not step.findings:
            continue
        where = f", step {number}" if len(run.steps) > 1 else ""
        yield f"{router.file}:{step.step.line}: {word} {title}{where}"
        yield from (f"  expected  {finding.expected}" for finding in step.findings)
        yield f"  got       {step.findings[0].got}"
        if step.designator is not None:
            yield f"  answered  {_answered(step.designator)}"
        if case.reason:
            yield f"  why       {case.reason}"


def _answered(answered: Answered) -> str:
    if answered.text is None:
        return f"nothing: {answered.failure}"
    return f"{quoted(first_words(answered.text, _LONGEST_ANSWER))}, {_SOURCES[answered.source]}"


def _confusion(router: RouterResult) -> Iterator[str]:
    """A row an expected candidate, a column one that answered; candidates are numbered as the router lists them."""
    confusion = router.confusion
    if not confusion:
        return
    numbers = {id: str(number) for number, id in enumerate(router.candidates, 1)}
    answered = [id for id in router.candidates if any(counts[id] for counts in confusion.values())]
    shown = [id for id in router.candidates if id in confusion or id in answered]
    head = "expected, and who answered:"
    labels = {id: f"{numbers[id]} {id}" for id in shown}
    wide = max(len(head), *map(len, labels.values()))
    widths = {id: max(len(numbers[id]), *(len(str(counts[id])) for counts in confusion.values())) for id in shown}
    yield f"  {head:<{wide}}  " + "  ".join(f"{numbers[id]:>{widths[id]}}" for id in shown)
    for expected in shown:
        counts = confusion.get(expected)
        cells = [f"{(counts and counts[id]) or '·':>{widths[id]}}" for id in shown]
        yield f"  {labels[expected]:<{wide}}  " + "  ".join(cells)
