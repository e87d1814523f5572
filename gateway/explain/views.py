"""What is told of one decision, as data; its JSON is that of ``llm-relay explain`` and ``POST /status/explain``."""

from __future__ import annotations

import msgspec

from gateway.config.model import Strategy
from gateway.intelligence.assessment import Confidence, Source
from gateway.rehearsal.stage import Source as AnswerSource
from gateway.routing.eligible import Needs


class AssessmentView(msgspec.Struct, frozen=True):
    """What the designator reads of a candidate that comes from the web, or why it reads nothing.

    The other fields tell of the assessment behind it, also of one that is not read because it has expired. They are
    empty where none is known, or where it has been replaced since the generation was made.
    """

    #: As it stands in the prompt.
    text: str | None
    #: Why there is no text.
    missing: str | None = None
    confidence: Confidence | None = None
    sources: tuple[Source, ...] = ()
    #: The model that wrote it.
    summarizer: str | None = None
    #: RFC 3339.
    generated_at: str | None = None
    expires_at: str | None = None
    #: Seconds since it was written, and until it expires: negative where it has.
    age: float | None = None
    left: float | None = None


class CandidateView(msgspec.Struct, frozen=True):
    """A candidate, and what speaks against it; None where nothing does."""

    model: str
    purpose: str
    obstacle: str | None
    assessment: AssessmentView


class SessionView(msgspec.Struct, frozen=True):
    """How the conversation is recognised, and who is remembered for it."""

    strategy: Strategy
    #: The key of the conversation as hex digits; None where the strategy needs none.
    key: str | None
    #: Seconds that it is remembered.
    ttl: float | None
    #: A model id.
    remembered: str | None
    #: The tool call whose result the request brings; None outside a tool loop.
    tool_call: str | None


class PromptView(msgspec.Struct, frozen=True):
    """What the designator reads. Tokens are estimated."""

    designator: str
    #: Seconds.
    timeout: float
    digest: str
    system: str
    user: str
    tokens: int
    #: USD for a thousand decisions like this one; None where a price is unknown.
    usd_per_1000: float | None


class AnswerView(msgspec.Struct, frozen=True):
    """What the designator said: ``text``, or why there is none, and what the text names."""

    source: AnswerSource
    text: str | None
    failure: str | None
    #: A model id; None where no eligible candidate is named.
    names: str | None = None
    #: Why that is: ``invalid`` or ``none``.
    miss: str | None = None


class DecisionView(msgspec.Struct, frozen=True):
    """Who answers, and why."""

    candidate: str
    reason: str


class ErrorView(msgspec.Struct, frozen=True):
    """What the client gets instead of an answer."""

    code: str
    status: int
    message: str


class FailoverView(msgspec.Struct, frozen=True):
    """Who is tried, once, after the decided candidate ended in the error ``code``; None: the error is the answer."""

    code: str
    candidate: str | None


class Explanation(msgspec.Struct, frozen=True):
    """One request, from what it needs to who would be tried next."""

    router: str
    file: str
    line: int
    revision: str
    needs: Needs
    candidates: tuple[CandidateView, ...]
    session: SessionView
    #: None where nobody is asked.
    prompt: PromptView | None
    answer: AnswerView | None
    #: None where the designator's answer is not known, or the request is refused.
    decision: DecisionView | None
    error: ErrorView | None
    failover: tuple[FailoverView, ...]
