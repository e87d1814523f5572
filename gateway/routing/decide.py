"""The decision: pure, so that a router's tests run offline and a decision can be explained without making it.

::

    decide(request, remembered) ──┬── Decision: nothing to ask
                                  └── Ask ── the caller asks the designator ──┬── settle(ask, its answer) ── Decision
                                                                              └── fall_back(ask, why) ────── Decision
    next(decision, error) ── one more Decision, or None: the error is the answer
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping, Sequence
from typing import Literal

import msgspec

from gateway.chat import ChatRequest, Effort, Message, ResponseFormat, Text
from gateway.config.model import Candidate, Router
from gateway.errors import (
    BadRequest,
    NoCandidate,
    UpstreamAuthFailed,
    UpstreamConnectFailed,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTLSFailed,
)
from gateway.routing.designator import (
    ANSWER_FIELD,
    Brief,
    Miss,
    choose,
    in_brief,
    structured,
    system_prompt,
    user_prompt,
)
from gateway.routing.eligible import Needs, needs, obstacle

FallbackReason = Literal["fallback_timeout", "fallback_error", "fallback_invalid", "fallback_none", "fallback_open"]
#: The values of ``X-LLM-Relay-Decision``.
Reason = Literal["designated", "session", "tool_loop", "only_candidate", "failover"] | FallbackReason

#: ``ChatRequest.dialect`` of the gateway's own requests: no client's, so that every wire writes them from the hub.
HUB = "hub"

#: Tokens for an answer that is one name; a model that may think first needs room for that too.
_ANSWER_TOKENS = 64
_REASONING_TOKENS = 2_048

#: Errors that say something about the whole provider, not about one model or one exchange.
_PROVIDER_WIDE = (
    UpstreamConnectFailed,
    UpstreamTLSFailed,
    UpstreamAuthFailed,
    UpstreamRateLimited,
    UpstreamOverloaded,
)


class Excerpt(msgspec.Struct, frozen=True):
    """All of a request that a decision is made from: enough to decide it again where the request itself is gone."""

    needs: Needs
    #: Of whoever was eligible then; who is eligible is decided anew.
    brief: Brief


class Remembered(msgspec.Struct, frozen=True):
    """The choice that an earlier request of the same session or tool loop got."""

    #: A model id.
    candidate: str
    kind: Literal["session", "tool_loop"]


class Ask(msgspec.Struct, frozen=True):
    """Several candidates can serve: the designator is to choose."""

    #: The request for the designator: whole, not streamed.
    prompt: ChatRequest
    #: The candidates that may be chosen, in file order; never fewer than two.
    eligible: tuple[Candidate, ...]


class Decision(msgspec.Struct, frozen=True):
    """The candidate that answers, and why."""

    candidate: Candidate
    reason: Reason
    #: All candidates that could serve when this was decided, in file order.
    eligible: tuple[Candidate, ...]


class Policy:
    """One router's decisions within one generation; everything that requests share is prepared here.

    ``assessments`` are texts by candidate id. ``digest`` (12 hex digits) changes with every byte of ``system``: it
    tells which prompt a recorded answer of the designator belongs to.
    """

    def __init__(self, router: Router, assessments: Mapping[str, str] | None = None) -> None:
        self.router = router
        self.system = system_prompt(router, assessments or {})
        self.digest = hashlib.blake2b(self.system.encode(), digest_size=6).hexdigest()
        self._message = Message("system", (Text(self.system),))
        self._by_id = {candidate.id: candidate for candidate in router.candidates}
        self._structured = structured(router.designator)
        self._format_of_all = self._format(router.candidates)
        # Reasoning models refuse a temperature, or take only their default.
        reasoning = "reasoning" in (router.designator.model.capabilities or ())
        self._effort = Effort(level="minimal", enabled=False) if reasoning else None
        self._max_tokens = _REASONING_TOKENS if reasoning else _ANSWER_TOKENS
        self._temperature = None if reasoning else 0.0

    def decide(
        self, request: ChatRequest, remembered: Remembered | None, unavailable: Container[str] = ()
    ) -> Ask | Decision:
        """A Decision where there is nothing to choose, an Ask otherwise.

        ``unavailable`` holds names of providers and ids of models that are not to be called now. A ``remembered``
        candidate that has left the router, cannot serve this request or is unavailable is not remembered any more.

        Raises BadRequest (``no_candidate``) where no candidate can serve what is asked, NoCandidate where one could
        but none is available.
        """
        wanted = needs(request)
        able = self._able(wanted)
        eligible = _available(able, unavailable)
        if not eligible:
            raise NoCandidate(f"All candidates of {self.router.name} that can serve this request are unavailable now.")
        if remembered is not None:
            for candidate in eligible:
                if candidate.model.id == remembered.candidate:
                    return Decision(candidate, remembered.kind, eligible)
        if len(eligible) == 1:
            return Decision(eligible[0], "only_candidate", eligible)
        return Ask(self._prompt(in_brief(request, wanted, eligible), eligible), eligible)

    def decide_again(self, excerpt: Excerpt) -> Ask | Decision:
        """As :meth:`decide` with nothing remembered and everybody available. Raises BadRequest (``no_candidate``)."""
        eligible = self._able(excerpt.needs)
        if len(eligible) == 1:
            return Decision(eligible[0], "only_candidate", eligible)
        names = tuple(candidate.id for candidate in eligible)
        return Ask(self._prompt(msgspec.structs.replace(excerpt.brief, eligible=names), eligible), eligible)

    def settle(self, ask: Ask, text: str) -> Decision:
        """What the designator's answer ``text`` decides: the candidate it names, or the fallback."""
        chosen = choose(text, ask.eligible)
        if isinstance(chosen, Miss):
            return self.fall_back(ask, "fallback_none" if chosen.reason == "none" else "fallback_invalid")
        return Decision(chosen, "designated", ask.eligible)

    def fall_back(self, ask: Ask, reason: FallbackReason) -> Decision:
        """The router's fallback, or the first eligible candidate where the fallback cannot serve."""
        fallback = self.router.fallback.id
        for candidate in ask.eligible:
            if candidate.id == fallback:
                return Decision(candidate, reason, ask.eligible)
        return Decision(ask.eligible[0], reason, ask.eligible)

    def next(self, decision: Decision, error: UpstreamError, unavailable: Container[str] = ()) -> Decision | None:
        """The candidate to try after ``decision`` ended in ``error``, once; None where the error is the answer.

        A prompt that was too long goes only to a candidate whose context is larger or unknown; any other rejection is
        the client's to mend. After an error of a whole provider, candidates of other providers come first.
        """
        if decision.reason == "failover":
            return None
        failed = decision.candidate
        rest = [candidate for candidate in decision.eligible if candidate.id != failed.id]
        if isinstance(error, UpstreamRejected) and _too_long(error):
            rest = [candidate for candidate in rest if _larger(candidate.model.context, failed.model.context)]
        elif not error.failover:
            return None
        left = _available(tuple(rest), unavailable)
        if not left:
            return None
        provider = failed.model.provider.name
        if isinstance(error, _PROVIDER_WIDE):
            left = tuple(sorted(left, key=lambda candidate: candidate.model.provider.name == provider))
        return Decision(left[0], "failover", decision.eligible)

    def instead(self, decision: Decision, tried: Container[str], unavailable: Container[str] = ()) -> Decision | None:
        """The candidate to ask in place of the decided one, whose wire cannot say what the request asks: a picture by
        its URL, say. ``tried`` are the ids of all candidates that are out of question. None where nobody is left.
        """
        rest = tuple([candidate for candidate in decision.eligible if candidate.id not in tried])
        left = _available(rest, unavailable)
        return Decision(left[0], "failover", decision.eligible) if left else None

    def _able(self, wanted: Needs) -> tuple[Candidate, ...]:
        candidates = self.router.candidates
        able = tuple([candidate for candidate in candidates if obstacle(candidate, wanted) is None])
        if able:
            return able
        reasons = "; ".join(f"{candidate.id} {obstacle(candidate, wanted)}" for candidate in candidates)
        raise BadRequest("no_candidate", f"No candidate of {self.router.name} can serve this request: {reasons}.")

    def _prompt(self, brief: Brief, eligible: tuple[Candidate, ...]) -> ChatRequest:
        everyone = len(eligible) == len(self.router.candidates)
        return ChatRequest(
            dialect=HUB,
            model=self.router.designator.model.id,
            messages=(self._message, Message("user", (Text(user_prompt(brief)),))),
            fields={},
            max_tokens=self._max_tokens,
            temperature=self._temperature,
            response_format=self._format_of_all if everyone else self._format(eligible),
            effort=self._effort,
        )

    def _format(self, eligible: Sequence[Candidate]) -> ResponseFormat | None:
        if self._structured == "none":
            return None
        if self._structured == "json":
            return ResponseFormat("json")
        schema = {
            "type": "object",
            "properties": {ANSWER_FIELD: {"type": "string", "enum": [candidate.id for candidate in eligible]}},
            "required": [ANSWER_FIELD],
            "additionalProperties": False,
        }
        return ResponseFormat("json_schema", schema=schema, name="choice", strict=True)


def question(model: str, system: str, user: str) -> str:
    """A digest of all that a designator reads: its ``model``, the instructions and the request in brief."""
    found = hashlib.blake2b(model.encode(), digest_size=16)
    for text in (system, user):
        found.update(b"\0" + text.encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def _available(candidates: tuple[Candidate, ...], unavailable: Container[str]) -> tuple[Candidate, ...]:
    if not unavailable:
        return candidates
    return tuple(
        candidate
        for candidate in candidates
        if candidate.id not in unavailable and candidate.model.provider.name not in unavailable
    )


def _too_long(error: UpstreamRejected) -> bool:
    return error.status == 413 or error.code == "context_length_exceeded"


def _larger(context: int | None, than: int | None) -> bool:
    return context is None or than is None or context > than
