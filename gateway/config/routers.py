"""From a router as written to a router that serves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import UNSET

from gateway.config import documents
from gateway.config.expectations import among, compile_test
from gateway.config.model import Candidate, Designator, Intelligence, Record, Router
from gateway.config.problems import Place, Report, Steps, show
from gateway.config.prose import prose
from gateway.config.providers import bounded
from gateway.config.references import Models
from gateway.config.units import duration, share

#: A decision that takes longer than this is no decision; a session that rests longer is none.
MAX_DESIGNATOR = 60.0
MAX_TTL = 30 * 24 * 3600.0


def model_references(value: dict[str, Any]) -> Iterator[tuple[Steps, str]]:
    """Where a router refers to models, also if the document is not valid; as far as there is text at these places."""
    for steps in (("designator", "model"), ("intelligence", "summarizer")):
        block = value.get(steps[0])
        if isinstance(block, dict) and isinstance(block.get(steps[1]), str):
            yield steps, block[steps[1]]
    candidates = value.get("candidates")
    for index, candidate in enumerate(candidates if isinstance(candidates, list) else ()):
        if isinstance(candidate, dict) and isinstance(candidate.get("model"), str):
            yield ("candidates", index, "model"), candidate["model"]


def compile_router(
    document: documents.RouterDocument, place: Place, file: str, models: Models, report: Report
) -> Router | None:
    """The router, with everything that is wrong with its meaning in ``report``; None if it cannot serve."""
    designator = _designator(document, place, models, report)
    candidates = _candidates(document, place, models, report)
    ids = {entry.model.lower(): entry.model for entry in document.candidates}
    fallback = _fallback(document, place, ids, candidates, report)
    tests = tuple(compile_test(test, place / "tests" / index, ids, report) for index, test in enumerate(document.tests))
    intelligence = _intelligence(document, place, models, report)
    ttl = duration("1h")
    if document.session is not UNSET:
        ttl = bounded(document.session.ttl, MAX_TTL, place / "session" / "ttl", report)
        if document.strategy != "session":
            report.add(place / "session", "W408", "without effect: the strategy is per_request", _STRATEGY, at_key=True)
    if designator is None or fallback is None:
        return None
    return Router(
        name=document.name,
        designator=designator,
        candidates=tuple(candidates.values()),
        fallback=fallback,
        strategy=document.strategy,
        session_ttl=ttl,
        description=prose(document.description, place / "description", report),
        purpose=prose(document.purpose, place / "purpose", report),
        tags=tuple(dict.fromkeys(document.tags)),
        file=file,
        line=(place / "name").line,
        tests=tests,
        intelligence=intelligence,
        record=_record(document),
    )


_STRATEGY = "write 'strategy: session', or remove the block"


def _designator(document: documents.RouterDocument, place: Place, models: Models, report: Report) -> Designator | None:
    here = place / "designator"
    timeout = bounded(document.designator.timeout, MAX_DESIGNATOR, here / "timeout", report)
    model = models.resolve(document.designator.model, here / "model", router=document.name)
    return None if model is None else Designator(model=model, timeout=timeout)


def _candidates(
    document: documents.RouterDocument, place: Place, models: Models, report: Report
) -> dict[str, Candidate]:
    """The candidates by their id in lower case."""
    found: dict[str, Candidate] = {}
    first: dict[str, int] = {}
    purposes: dict[str, int] = {}
    for index, entry in enumerate(document.candidates):
        here = place / "candidates" / index
        folded = entry.model.lower()
        if folded in first:
            other = (place / "candidates" / first[folded]).line
            report.add(here / "model", "E305", f"{show(entry.model)} is a candidate already", f"see line {other}")
            continue
        first[folded] = index
        model = models.resolve(entry.model, here / "model", router=document.name)
        purpose = prose(entry.purpose, here / "purpose", report)
        if not purpose:
            report.add(here, "W407", "the candidate has no purpose", "say what it is best for")
        elif purpose.casefold() in purposes:
            message = f"the same purpose as candidates[{purposes[purpose.casefold()]}]"
            report.add(here / "purpose", "W409", message, "say what distinguishes the two")
        purposes.setdefault(purpose.casefold(), index)
        if model is not None:
            found[folded] = Candidate(model=model, purpose=purpose)
    if len(document.candidates) == 1:
        message = "with one candidate there is nothing to decide"
        report.add(place / "candidates", "W401", message, "add another", at_key=True)
    return found


def _fallback(
    document: documents.RouterDocument,
    place: Place,
    ids: dict[str, str],
    candidates: dict[str, Candidate],
    report: Report,
) -> Candidate | None:
    if document.fallback is UNSET:
        return next(iter(candidates.values()), None)
    among(document.fallback, place / "fallback", ids, report)
    return candidates.get(document.fallback.lower())


def _intelligence(
    document: documents.RouterDocument, place: Place, models: Models, report: Report
) -> Intelligence | None:
    entry = document.intelligence
    if entry is UNSET:
        return None
    model = models.resolve(entry.summarizer, place / "intelligence" / "summarizer", router=document.name)
    return None if model is None else Intelligence(search=entry.search, summarizer=model, source=entry.source)


def _record(document: documents.RouterDocument) -> Record | None:
    entry = document.record
    return None if entry is UNSET else Record(sample=share(entry.sample), days=entry.days)
