"""What the designator reads of candidates from the web, and why it does not."""

from __future__ import annotations

import msgspec

from gateway.config.model import Router
from gateway.explain.views import AssessmentView
from gateway.intelligence.assessment import TITLE, Assessment, Assessments, Source, clean, spell
from gateway.intelligence.lockfile import FOLDER
from gateway.routing.designator import assessed

#: Characters of an address and of a date.
_ADDRESS, _DATE = 2_000, 40


class Background(msgspec.Struct, frozen=True):
    """What is known of assessments where a decision is explained; the generation has the texts that are read."""

    #: Seconds since 1970.
    now: float
    known: Assessments = {}
    #: Why nothing is known from ChromaDB; empty where it was read.
    unread: str = ""


def view(router: Router, candidate: str, text: str | None, background: Background) -> AssessmentView:
    """What there is of one candidate; ``text`` is what the generation has for the designator."""
    if router.intelligence is None:
        return AssessmentView(None, "the router has no intelligence block")
    known = background.known.get((router.name, candidate))
    if text is not None:
        read = AssessmentView(assessed(text))
        return read if known is None or known.text != text else _with_facts(read, known, background.now)
    if known is not None:
        gone = background.now - known.expires
        why = f"it expired {spell(gone)} ago" if gone >= 0 else "it has just been read; the next generation has it"
        return _with_facts(AssessmentView(None, why), known, background.now)
    if router.intelligence.source == "file":
        return AssessmentView(None, f"{FOLDER}/{router.name}.yaml has none")
    return AssessmentView(None, background.unread or "ChromaDB has none")


def _with_facts(view: AssessmentView, known: Assessment, now: float) -> AssessmentView:
    """``view`` and what stands behind it. Pages chose their titles and addresses: nothing unseen is left in them."""
    return msgspec.structs.replace(
        view,
        confidence=known.confidence,
        sources=tuple(
            Source(clean(each.url, _ADDRESS), clean(each.title, TITLE), clean(each.date, _DATE))
            for each in known.sources
        ),
        summarizer=clean(known.summarizer, TITLE),
        generated_at=known.generated_at,
        expires_at=known.expires_at,
        age=now - known.generated,
        left=known.expires - now,
    )
