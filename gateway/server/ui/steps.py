"""One request told from its row in the ledger: what happened, in order, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.ledger import Entry
from gateway.server.ui import look

Tone = Literal["good", "warn", "bad", "plain"]


@dataclass(frozen=True)
class Step:
    """A step; ``facts`` are labels and values."""

    title: str
    text: str
    tone: Tone = "plain"
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Span:
    """A part of the time that a request took, in percent of it; ``series`` numbers its colour."""

    name: str
    ms: float
    start: float
    width: float
    series: int


_DIALECTS = {"openai": "OpenAI", "anthropic": "Anthropic", "ollama": "Ollama"}
_REASONS = {
    "designated": "The designator named this candidate.",
    "session": "The conversation stays with the candidate that it has.",
    "tool_loop": "The result of a tool goes back to the model that asked for it.",
    "only_candidate": "Only this candidate could serve the request: nobody had to choose.",
    "failover": "The candidate that was chosen failed before its first content; this one took over.",
    "fallback_timeout": "The designator did not answer in time: the fallback answers.",
    "fallback_error": "The designator could not be asked: the fallback answers.",
    "fallback_invalid": "What the designator answered names no eligible candidate: the fallback answers.",
    "fallback_none": "The designator named nobody: the fallback answers.",
    "fallback_open": "The designator had failed too often and was not asked: the fallback answers.",
}
_OUTCOMES = {
    "designated": "It named a candidate.",
    "timeout": "It did not answer within its deadline.",
    "error": "It could not be reached, or refused.",
    "invalid": "Its answer named no eligible candidate.",
    "none": "It named nobody.",
    "open": "It was not asked: it had failed too often just before.",
}
_ENDS = {
    "complete": ("The answer is whole.", "good"),
    "client_left": ("The client left before the end.", "warn"),
    "upstream_cut": ("The provider broke off after the answer had begun.", "bad"),
    "error": ("There was no answer but an error.", "bad"),
}


def steps(entry: Entry) -> tuple[Step, ...]:
    """What happened, in order."""
    told = [_received(entry), _resolved(entry)]
    if entry.designator is not None:
        told.append(_asked(entry))
    if entry.decision is not None:
        told.append(_decided(entry))
    if entry.candidate is not None:
        told.append(_sent(entry))
    told += [_ended(entry), _accounted(entry)]
    return tuple(told)


def spans(entry: Entry) -> tuple[Span, ...]:
    """Where the time went: designator, waiting for the first content, the rest of the answer."""
    total = entry.total_ms
    if not total or total <= 0:
        return ()
    asked = min(entry.designator_ms or 0.0, total)
    first = total if entry.ttft_ms is None else min(max(entry.ttft_ms, asked), total)
    waiting = "until the first content" if entry.ttft_ms is not None else "candidate, without content"
    found, start = [], 0.0
    for series, (name, end) in enumerate((("designator", asked), (waiting, first), ("rest of the answer", total))):
        if end > start:
            width = round(100 * (end - start) / total, 2)
            found.append(Span(name, end - start, round(100 * start / total, 2), width, series))
        start = max(start, end)
    return tuple(found)


def _received(entry: Entry) -> Step:
    whose, _, rest = entry.dialect.partition(".")
    what = "embeddings" if rest.startswith("embed") else "a streamed answer" if entry.stream else "a whole answer"
    return Step(
        "Received",
        f"A request in {_DIALECTS.get(whose, whose)}'s dialect that asks for {what}.",
        facts=_facts(client=entry.client or "no client declared", tags=", ".join(entry.tags), trace=entry.trace_id),
    )


def _resolved(entry: Entry) -> Step:
    facts = _facts(revision=entry.revision, commit=entry.commit)
    if entry.router is not None:
        return Step("Router", f"It asks for the router {entry.router}.", facts=facts)
    if entry.candidate is not None:
        return Step("Model", f"It asks for the model {entry.candidate} directly.", facts=facts)
    return Step("Router", "It failed before it was known whom it asks for.", "bad", facts)


def _asked(entry: Entry) -> Step:
    outcome = entry.designator_outcome or ""
    return Step(
        "Designator",
        f"{entry.designator} was to choose. {_OUTCOMES.get(outcome, outcome)}".strip(),
        "good" if outcome == "designated" else "warn",
        _facts(
            took=None if entry.designator_ms is None else look.ms(entry.designator_ms),
            tokens=_tokens(entry.designator_input, entry.designator_output),
            cost=None if entry.designator_cost is None else look.usd(entry.designator_cost),
        ),
    )


def _decided(entry: Entry) -> Step:
    reason = entry.decision or ""
    chosen = entry.candidate if reason != "failover" else entry.failover_from
    tone: Tone = "warn" if reason.startswith("fallback_") or reason == "failover" else "good"
    return Step("Decision", _REASONS.get(reason, reason), tone, _facts(reason=reason, chosen=chosen))


def _sent(entry: Entry) -> Step:
    if entry.failover_from is not None:
        text = f"{entry.failover_from} failed first; then the request went to {entry.candidate}."
        return Step("Candidate", text, "warn", _facts(model=entry.provider_model))
    return Step("Candidate", f"The request went to {entry.candidate}.", facts=_facts(model=entry.provider_model))


def _ended(entry: Entry) -> Step:
    text, tone = _ENDS.get(entry.ended, (entry.ended, "plain"))
    return Step(
        "Answer",
        text,
        tone,  # type: ignore[arg-type]
        _facts(
            status=str(entry.status) if entry.status else "none sent",
            error=entry.code,
            **{
                "first content": None if entry.ttft_ms is None else f"after {look.ms(entry.ttft_ms)}",
                "end": None if entry.total_ms is None else f"after {look.ms(entry.total_ms)}",
                "gateway": None if entry.relay_ms is None else f"{look.ms(entry.relay_ms)} of it",
            },
        ),
    )


def _accounted(entry: Entry) -> Step:
    if entry.input is None and entry.output is None:
        return Step("Account", "How many tokens it took is not known.")
    text = "Without the designator, which is accounted apart."
    if entry.cost is None:
        text = "What it cost is not known: a price is missing."
    saving = None if entry.dearest_cost is None or entry.cost is None else entry.dearest_cost - entry.cost
    return Step(
        "Account",
        text,
        facts=_facts(
            tokens=_tokens(entry.input, entry.output),
            cached=None if entry.cache_read is None else f"{look.count(entry.cache_read)} read",
            reasoning=None if entry.reasoning is None else look.count(entry.reasoning),
            cost=None if entry.cost is None else look.usd(entry.cost),
            **{
                "on the dearest": None if entry.dearest_cost is None else look.usd(entry.dearest_cost),
                "saved": None if saving is None else look.usd(saving - (entry.designator_cost or 0.0)),
            },
        ),
    )


def _tokens(read: int | None, written: int | None) -> str | None:
    return None if read is None and written is None else f"{look.count(read)} in, {look.count(written)} out"


def _facts(**facts: str | None) -> tuple[tuple[str, str], ...]:
    return tuple((label, value) for label, value in facts.items() if value)
