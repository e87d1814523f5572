"""The steps of one decision, watched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.chat import ChatRequest, Usage
from gateway.config.model import Candidate, Client, Router
from gateway.costs import cost
from gateway.errors import (
    BadRequest,
    UpstreamError,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamRejected,
)
from gateway.explain import assessments
from gateway.explain.assessments import Background
from gateway.explain.views import (
    AnswerView,
    AssessmentView,
    CandidateView,
    DecisionView,
    ErrorView,
    Explanation,
    FailoverView,
    PromptView,
    SessionView,
)
from gateway.generation import Generation
from gateway.metrics import Metrics
from gateway.rehearsal.recordings import NotRecorded, Recordings
from gateway.rehearsal.rehearse import Rehearsal, chat
from gateway.rehearsal.stage import Asking, Said
from gateway.routing.affinity import conversation_key, open_tool_loop
from gateway.routing.decide import Decision, Policy
from gateway.routing.designator import Miss, choose
from gateway.routing.eligible import BYTES_PER_TOKEN, Needs, needs, obstacle
from gateway.routing.health import Health
from gateway.sessions import Sessions
from gateway.upstream import Upstream

_DECISIONS = 1_000


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
    background: Background,
    *,
    asking: Asking = "never",
    recordings: Recordings | None = None,
    metrics: Metrics | None = None,
    health: Health | None = None,
    remembered: Sessions | None = None,
    client: Client | None = None,
    session: str | None = None,
) -> Explanation:
    """What becomes of ``request``; ``background`` is what is known of assessments.

    The other parameters are those of :class:`gateway.rehearsal.rehearse.Rehearsal`. Where nothing is recorded and the
    designator may not be asked (``asking`` is ``never``) there is no decision.
    """
    policy = generation.policies[router.name]
    rehearsal = Rehearsal(
        generation,
        policy,
        dial,
        recordings=recordings or Recordings(policy, {}, "the designator was not asked"),
        # The sandbox costs nothing.
        asking="always" if policy.router.designator.model.provider.sandbox else asking,
        metrics=metrics,
        health=health,
        remembered=remembered,
        client=client,
        session=session,
    )
    wanted, resting = needs(request), rehearsal.health.cooling()
    texts = generation.assessments.get(router.name, {})
    views = tuple(
        _candidate(each, wanted, resting, assessments.view(router, each.id, texts.get(each.id), background))
        for each in router.candidates
    )
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


def _candidate(
    candidate: Candidate, wanted: Needs, resting: frozenset[str], assessment: AssessmentView
) -> CandidateView:
    against = obstacle(candidate, wanted)
    if against is None and (candidate.id in resting or candidate.model.provider.name in resting):
        against = "rests after a rate limit"
    return CandidateView(candidate.id, candidate.purpose, against, assessment)


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
