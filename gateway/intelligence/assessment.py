"""One candidate as the web sees it, within one router: statements, each with its sources."""

from __future__ import annotations

import hashlib
import re
import time
from calendar import timegm
from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

Confidence = Literal["low", "medium", "high"]
CONFIDENCES: tuple[Confidence, ...] = get_args(Confidence)
#: The lists of statements, in the order in which they are shown.
PARTS = ("strengths", "weaknesses", "best_for", "avoid_for")

#: Characters of the assessment, of one statement, of a source's title.
LONGEST, STATEMENT, TITLE = 500, 160, 200
#: Statements of one kind.
MOST = 5

#: All that is no plain text: control and format characters, separators of lines, halves of characters, noncharacters.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\uffff]"
    "|[\U000e0000-\U000e007f]"
)
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """A page; ``date`` is what the search provider says of its age, often nothing."""

    url: str
    title: str
    date: str = ""


class Statement(msgspec.Struct, frozen=True):
    """What somebody said, and where: positions in :attr:`Assessment.sources`, from 0, never empty."""

    text: str
    sources: tuple[int, ...]


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of one candidate of one router. Times are RFC 3339 in UTC."""

    router: str
    candidate: str
    assessment: Statement
    strengths: tuple[Statement, ...] = ()
    weaknesses: tuple[Statement, ...] = ()
    best_for: tuple[Statement, ...] = ()
    avoid_for: tuple[Statement, ...] = ()
    confidence: Confidence
    sources: tuple[Source, ...]
    summarizer: str
    generated_at: str
    expires_at: str

    @property
    def digest(self) -> str:
        """16 hex digits over all of it."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:16]

    @property
    def generated(self) -> float:
        """Seconds since 1970."""
        return seconds(self.generated_at)

    @property
    def expires(self) -> float:
        """Seconds since 1970."""
        return seconds(self.expires_at)

    @property
    def text(self) -> str:
        """What a designator reads: plain text of bounded length."""
        parts = [self.assessment.text]
        for label, statements in (("Best for", self.best_for), ("Avoid for", self.avoid_for)):
            if statements:
                parts.append(f"{label}: {'; '.join(statement.text for statement in statements[:3])}.")
        return clean(" ".join(parts), 2 * LONGEST)

    @property
    def flaw(self) -> str:
        """Why it cannot be used; empty where it can. What was stored or reviewed by others is checked again."""
        statements = [self.assessment, *(each for part in PARTS for each in getattr(self, part))]
        if not all(each.text and each.sources for each in statements):
            return "a statement has no text or no source"
        if not all(0 <= index < len(self.sources) for each in statements for index in each.sources):
            return "a statement points to a source that is not there"
        try:
            return "" if self.generated <= self.expires else "it expires before it was made"
        except ValueError:
            return "a time is not written as 2026-01-31T12:00:00Z"


#: By router and candidate.
Assessments = dict[tuple[str, str], Assessment]


def by_key(assessments: Iterable[Assessment]) -> Assessments:
    """Sorted, so that equal contents are equal in every way."""
    found = {(each.router, each.candidate): each for each in assessments}
    return dict(sorted(found.items()))


def clean(text: str, limit: int) -> str:
    """Foreign text on one line: without anything unseen, at most ``limit`` characters, the end marked where cut."""
    # Much more than is kept need not be looked at.
    text = " ".join(_UNSEEN.sub(" ", text[: 20 * limit + 1000]).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def spell(age: float) -> str:
    """A time span (seconds) for people, in its largest unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if age >= size:
            return f"{age / size:.0f}{unit}"
    return f"{max(age, 0):.0f}s"


def timestamp(now: float) -> str:
    """``now`` (seconds since 1970) in RFC 3339."""
    return time.strftime(_TIME, time.gmtime(now))


def seconds(text: str) -> float:
    """The reverse of :func:`timestamp`. Raises ValueError."""
    return float(timegm(time.strptime(text, _TIME)))
