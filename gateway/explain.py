"""One decision, step by step. Nothing is sent to a candidate.

The steps are those of the gateway itself, watched in a rehearsal (:mod:`gateway.rehearsal`); what is told beside them
comes from the same pure functions that decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.chat import ChatRequest, Usage
from gateway.config.model import Candidate, Client, Router, Strategy
from gateway.config.units import spell_duration
from gateway.costs import cost
from gateway.errors import (
    BadRequest,
    UpstreamError,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamRejected,
)
from gateway.generation import Generation
from gateway.metrics import Metrics
from gateway.rehearsal.recordings import NotRecorded, Recordings, quoted
from gateway.rehearsal.rehearse import Rehearsal, chat
from gateway.rehearsal.stage import Asking, Said, Source
from gateway.routing.affinity import conversation_key, open_tool_loop
from gateway.routing.decide import Decision, Policy
from gateway.routing.designator import Miss, choose
from gateway.routing.eligible import BYTES_PER_TOKEN, Needs, needs, obstacle
from gateway.routing.health import Health
from gateway.sessions import Sessions
from gateway.upstream import Upstream

_DECISIONS = 1_000


class CandidateView(msgspec.Struct, frozen=True):
    """A candidate, and what speaks against it; None where nothing does."""

    model: str
    purpose: str
    obstacle: str | None


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

    source: Source
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


def request_of(router: str, given: object, ask: str | None) -> ChatRequest:
    """The request to explain: ``given`` messages, or a whole body as in the OpenAI API, and ``ask`` behind them.

    Raises BadRequest.
    """
    body: dict[str, Any] = {"messages": given} if isinstance(given, list) else {}
    if isinstance(given, dict):
        body = dict(given)
    elif not body and given is not None:
        raise BadRequest("not_an_object", "give a list of messages, or a request's body")
    messages = body.get("messages", [])
    if ask is not None and isinstance(messages, list):
        messages = [*messages, {"role": "user", "content": ask}]
    return chat({**body, "model": router, "messages": messages, "stream": False})


async def explain(
    generation: Generation,
    router: Router,
    request: ChatRequest,
    dial: Upstream,
    *,
    asking: Asking = "never",
    recordings: Recordings | None = None,
    metrics: Metrics | None = None,
    health: Health | None = None,
    remembered: Sessions | None = None,
    client: Client | None = None,
    session: str | None = None,
) -> Explanation:
    """What becomes of ``request``; the other parameters are those of :class:`gateway.rehearsal.rehearse.Rehearsal`.

    Where nothing is recorded and the designator may not be asked (``asking`` is ``never``) there is no decision.
    """
    policy = generation.policies[router.name]
    rehearsal = Rehearsal(
        generation,
        policy,
        dial,
        recordings=recordings or Recordings(policy, {}, "the designator was not asked"),
        asking=asking,
        metrics=metrics,
        health=health,
        remembered=remembered,
        client=client,
        session=session,
    )
    wanted, resting = needs(request), rehearsal.health.cooling()
    views = tuple(_candidate(candidate, wanted, resting) for candidate in router.candidates)
    memory = await _session(rehearsal, router, request, "" if client is None else client.name, session)
    outcome, unknown = None, None
    try:
        outcome = await rehearsal.ask(request)
    except NotRecorded as why:
        unknown = str(why)
    said = rehearsal.said
    decision = error = None
    if outcome is not None and outcome.error is not None:
        error = ErrorView(outcome.error, outcome.status, outcome.message)
    elif outcome is not None:
        decision = DecisionView(outcome.candidate or "", outcome.decision or "")
    return Explanation(
        router=router.name,
        file=router.file,
        line=router.line,
        revision=generation.revision,
        needs=wanted,
        candidates=views,
        session=memory,
        prompt=None if said is None else _prompt(policy, said),
        answer=None if said is None else _answer(said, unknown),
        decision=decision,
        error=error,
        failover=() if decision is None else _failover(policy, decision, views, resting),
    )


def _candidate(candidate: Candidate, wanted: Needs, resting: frozenset[str]) -> CandidateView:
    against = obstacle(candidate, wanted)
    if against is None and (candidate.id in resting or candidate.model.provider.name in resting):
        against = "rests after a rate limit"
    return CandidateView(candidate.id, candidate.purpose, against)


async def _session(
    rehearsal: Rehearsal, router: Router, request: ChatRequest, client: str, session: str | None
) -> SessionView:
    tool_call = open_tool_loop(request)
    if router.strategy != "session":
        return SessionView(router.strategy, None, None, None, tool_call)
    key = conversation_key(client, router.name, request, session)
    return SessionView(router.strategy, key.hex(), router.session_ttl, await rehearsal.sessions.get(key), tool_call)


def _prompt(policy: Policy, said: Said) -> PromptView:
    designator, prompt = policy.router.designator, said.ask.prompt
    tokens = needs(prompt).tokens
    answer = said.text or max((candidate.id for candidate in said.ask.eligible), key=len)
    written = max(1, len(answer.encode()) // BYTES_PER_TOKEN)
    return PromptView(
        designator=designator.model.id,
        timeout=designator.timeout,
        digest=policy.digest,
        system=prompt.messages[0].text,
        user=prompt.messages[-1].text,
        tokens=tokens,
        usd_per_1000=cost(designator.model, Usage(input=tokens * _DECISIONS, output=written * _DECISIONS)),
    )


def _answer(said: Said, unknown: str | None) -> AnswerView:
    if said.text is None:
        return AnswerView(said.source, None, said.failure or unknown)
    named = choose(said.text, said.ask.eligible)
    if isinstance(named, Miss):
        return AnswerView(said.source, said.text, None, miss=named.reason)
    return AnswerView(said.source, said.text, None, names=named.id)


def _failover(
    policy: Policy, decided: DecisionView, views: Sequence[CandidateView], resting: frozenset[str]
) -> tuple[FailoverView, ...]:
    by_id: Mapping[str, Candidate] = {candidate.id: candidate for candidate in policy.router.candidates}
    eligible = tuple(by_id[view.model] for view in views if view.obstacle is None)
    decision = Decision(by_id[decided.candidate], "designated", eligible)
    too_long = UpstreamRejected(413, "", kind="context_length_exceeded", body=b"", content_type="")
    errors: tuple[UpstreamError, ...] = (UpstreamFailed(""), UpstreamRateLimited(""), too_long)
    following = [policy.next(decision, error, resting) for error in errors]
    return tuple(
        FailoverView(error.code, None if each is None else each.candidate.id)
        for error, each in zip(errors, following, strict=True)
    )


# --- for people -------------------------------------------------------------------------------------------------------

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
