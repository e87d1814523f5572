"""An explanation for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gateway.config.units import spell_duration
from gateway.explain.views import (
    AnswerView,
    AssessmentView,
    CandidateView,
    Explanation,
    FailoverView,
    PromptView,
    SessionView,
)
from gateway.intelligence.assessment import spell
from gateway.rehearsal.recordings import quoted
from gateway.rehearsal.stage import Source
from gateway.routing.eligible import Needs

_SOURCES: Mapping[Source, str] = {
    "test": "",
    "recording": ", as recorded",
    "sandbox": ", in the sandbox",
    "live": ", asked just now",
    "nobody": "",
}
_AFTER = {
    "upstream_error": "fails",
    "upstream_rate_limited": "cannot be reached, or limits the rate",
    "context_length_exceeded": "finds the prompt too long",
}


def render(explanation: Explanation) -> str:
    """The explanation in words."""
    blocks = [
        [f"{explanation.router} ({explanation.file}:{explanation.line}), revision {explanation.revision}"],
        ["Needs", *_needs_lines(explanation.needs)],
        ["Candidates", *_candidate_lines(explanation.candidates)],
        ["Assessments", *_assessments(explanation.candidates)],
        ["Memory", *_session_lines(explanation.session)],
    ]
    if explanation.prompt is not None:
        blocks.append(_prompt_lines(explanation.prompt))
    if explanation.answer is not None:
        blocks.append([f"Answer{_SOURCES[explanation.answer.source]}", *_answer_lines(explanation.answer)])
    if explanation.decision is not None:
        decision = explanation.decision
        blocks.append(["Decision", f"  {decision.candidate} ({decision.reason})"])
        blocks.append(["Failover", *_failover_lines(explanation.failover)])
    if explanation.error is not None:
        error = explanation.error
        blocks.append(["Refused", f"  {error.status} {error.code}: {error.message}"])
    return "\n\n".join("\n".join(lines) for lines in blocks) + "\n"


def _needs_lines(wanted: Needs) -> list[str]:
    abilities = [name for name in ("vision", "tools", "json", "audio", "pdf") if getattr(wanted, name)]
    facts = [f"about {wanted.tokens:,} tokens of prompt"]
    if wanted.output:
        facts.append(f"up to {wanted.output:,} of answer")
    return [f"  {', '.join([*facts, *abilities])}"]


def _candidate_lines(views: Sequence[CandidateView]) -> list[str]:
    width = max(len(view.model) for view in views)
    return [f"  {view.model:<{width}}  {'eligible' if view.obstacle is None else view.obstacle}" for view in views]


def _assessments(views: Sequence[CandidateView]) -> Iterator[str]:
    reasons = {view.assessment.missing for view in views}
    if len(reasons) == 1 and not any(view.assessment.text or view.assessment.sources for view in views):
        # What is true of all of them is said once.
        yield f"  none: {reasons.pop()}"
        return
    for view in views:
        yield from _assessment(view.model, view.assessment)


def _assessment(model: str, view: AssessmentView) -> Iterator[str]:
    facts = [f"none: {view.missing}"] if view.missing is not None else []
    if view.confidence is not None:
        facts.append(f"{view.confidence} confidence")
    if view.age is not None and view.left is not None:
        facts.append(f"{spell(view.age)} old")
        facts += [f"expires in {spell(view.left)}"] if view.left > 0 else []
    yield f"  {model}: {', '.join(facts) or 'another one has been read since'}"
    if view.text is not None:
        yield f"    {quoted(view.text)}"
    for number, source in enumerate(view.sources, 1):
        dated = f" ({source.date})" if source.date else ""
        yield f"    [{number}] {source.title or source.url}{dated}{f' {source.url}' if source.title else ''}"


def _session_lines(view: SessionView) -> list[str]:
    lines = []
    if view.tool_call is not None:
        lines.append("  a tool's result goes back to the model that asked for it, where that is remembered")
    if view.strategy != "session":
        lines.append(f"  strategy {view.strategy}: every request is decided anew")
    elif view.remembered is not None:
        lines.append(f"  session {view.key}: stays with {view.remembered}")
    else:
        lines.append(f"  session {view.key}: new; who is designated is remembered for {spell_duration(view.ttl or 0)}")
    return lines


def _prompt_lines(view: PromptView) -> list[str]:
    price = "its price is unknown" if view.usd_per_1000 is None else f"${view.usd_per_1000:.4g} per 1,000 decisions"
    return [
        f"Prompt {view.digest} for {view.designator}, within {spell_duration(view.timeout)}",
        f"  about {view.tokens:,} tokens; {price}",
        "  system:",
        *(f"    {line}".rstrip() for line in view.system.splitlines()),
        "  user:",
        f"    {view.user}",
    ]


def _answer_lines(view: AnswerView) -> list[str]:
    if view.text is None:
        return [f"  none: {view.failure}{'; --live asks' if view.source == 'nobody' else ''}"]
    shown = quoted(view.text)
    if view.names is not None:
        return [f"  {shown}", f"  names {view.names}"]
    read = "names nobody" if view.miss == "none" else "names no eligible candidate"
    return [f"  {shown}", f"  {read}: the fallback answers"]


def _failover_lines(views: Sequence[FailoverView]) -> list[str]:
    return [f"  if it {_AFTER[view.code]}: {view.candidate or 'the client gets the error'}" for view in views]
