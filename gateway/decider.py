"""Who answers a chat: the rules of :mod:`gateway.routing` with what they need from outside.

The rules are pure; here they meet the memory of earlier choices, the designator on the network and the providers'
health. Whatever goes wrong in here, there is a decision in time: the fallback's.
"""

from __future__ import annotations

import asyncio
import time

import msgspec

from gateway.call import Call, State
from gateway.chat import Answer, ChatRequest, Text, Usage
from gateway.config.model import Model, Router
from gateway.costs import believed, cost
from gateway.errors import (
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamResponseTooLarge,
    UpstreamTimeout,
)
from gateway.generation import Generation
from gateway.headers import Headers
from gateway.ledger import Outcome
from gateway.metrics import Metrics
from gateway.routing.affinity import conversation_key, open_tool_loop, tool_key
from gateway.routing.decide import Ask, Decision, FallbackReason, Policy, Remembered
from gateway.routing.health import Health
from gateway.sessions import Sessions
from gateway.upstream import Upstream
from gateway.wire import WIRES
from gateway.wire.anthropic.vocabulary import safe_id

#: How long a model that asked for a tool is remembered while the client runs it, in seconds.
TOOL_LOOP_TTL = 3600.0
#: The most bytes of a designator's answer.
MAX_DESIGNATION = 256 << 10

_OUTCOMES: dict[str, Outcome] = {
    "designated": "designated",
    "fallback_timeout": "timeout",
    "fallback_error": "error",
    "fallback_invalid": "invalid",
    "fallback_none": "none",
}


class Asked(msgspec.Struct):
    """One question to a designator, and what it took.

    Several requests of a session may wait for the same answer: one of them accounts for it.
    """

    designator: Model
    began: float
    outcome: Outcome | None = None
    #: None while there is no answer.
    seconds: float | None = None
    usage: Usage = Usage()
    accounted: bool = False

    def account(self, state: State) -> None:
        """Charge the request of ``state``, unless another one was."""
        if self.accounted:
            return
        self.accounted = True
        if self.seconds is None:
            self.seconds = time.perf_counter() - self.began
        entry, usage = state.entry, believed(self.usage)
        state.designator_seconds = self.seconds
        entry.designator = self.designator.id
        entry.designator_outcome = self.outcome
        if self.outcome == "open":
            return
        entry.designator_ms = self.seconds * 1000
        entry.designator_input, entry.designator_output = usage.input, usage.output
        entry.designator_cache_read, entry.designator_cache_write = usage.cache_read, usage.cache_write
        entry.designator_reasoning = usage.reasoning
        entry.designator_cost = cost(self.designator, usage)


class Decider:
    """Decides for one worker."""

    def __init__(self, upstream: Upstream, sessions: Sessions, health: Health, metrics: Metrics) -> None:
        self.upstream = upstream
        self.sessions = sessions
        self.health = health
        self.metrics = metrics
        #: Questions that several requests may wait for, by the session's key.
        self._asked: dict[bytes, Asked] = {}

    async def decide(self, call: Call, policy: Policy, state: State) -> Decision:
        """The decision for one call; ``state`` learns what it took.

        Raises BadRequest where no candidate can serve what is asked, NoCandidate where none is available now.
        """
        router, request = policy.router, call.request
        unavailable = self.health.cooling()
        tool_call = open_tool_loop(request)
        if tool_call is not None:
            asker = await self._asker(call, router, tool_call)
            if asker is not None:
                decision = policy.decide(request, Remembered(asker, "tool_loop"), unavailable)
                if isinstance(decision, Decision) and decision.reason == "tool_loop":
                    return decision
        if router.strategy == "session":
            return await self._decide_session(call, policy, state)
        outcome = policy.decide(request, None, unavailable)
        return outcome if isinstance(outcome, Decision) else await self._decide_alone(call, policy, outcome, state)

    def moved(self, decision: Decision, router: Router, state: State) -> None:
        """Another candidate than the decided one answered: the session stays with that one."""
        if state.session_key is not None:
            self.sessions.put(state.session_key, router.name, decision.candidate.id, router.session_ttl)

    async def asked_for_tool(self, call: Call, router: Router, tool_call: str, model: Model) -> None:
        """``model`` asked for a tool: whoever brings its result comes back to it."""
        self.sessions.put(self._tool_key(call, router, tool_call), router.name, model.id, TOOL_LOOP_TTL)
        await self.sessions.settle()

    async def _decide_alone(self, call: Call, policy: Policy, ask: Ask, state: State) -> Decision:
        asked = Asked(policy.router.designator.model, time.perf_counter())
        try:
            return await self._designate(call, policy, ask, asked)
        finally:
            asked.account(state)

    async def _decide_session(self, call: Call, policy: Policy, state: State) -> Decision:
        router, request, sessions = policy.router, call.request, self.sessions
        key = state.session_key = conversation_key(call.client_name, router.name, request, call.session)
        unavailable = self.health.cooling()
        pinned = await sessions.get(key)
        outcome = policy.decide(request, Remembered(pinned, "session") if pinned else None, unavailable)
        if isinstance(outcome, Decision):
            if outcome.reason == "session":
                sessions.touch(key, router.name, outcome.candidate.id, router.session_ttl)
            else:
                sessions.put(key, router.name, outcome.candidate.id, router.session_ttl)
            return outcome
        ask, began, led = outcome, time.perf_counter(), False

        async def lead() -> tuple[Decision, Asked | None]:
            nonlocal led
            led = True
            # Another request of this session may have decided between our look and our turn.
            settled = None if pinned else await sessions.get(key)
            if settled is not None:
                sticky = policy.decide(request, Remembered(settled, "session"), unavailable)
                if isinstance(sticky, Decision):
                    return sticky, None
            question = self._asked[key] = Asked(router.designator.model, time.perf_counter())
            decision = await self._designate(call, policy, ask, question)
            # A fallback is nobody's choice: the next turn asks again.
            if decision.reason == "designated":
                sessions.put(key, router.name, decision.candidate.id, router.session_ttl, first=not pinned)
                await sessions.settle()
            return decision, question

        asked: Asked | None = None
        try:
            decision, asked = await sessions.claim(key, lead)
        finally:
            # Whoever comes back first accounts for the question, or whoever leaves last and so ends it.
            if not sessions.claimed(key):
                asked = self._asked.pop(key, asked)
            if asked is not None:
                asked.account(state)
        if led:
            return decision
        state.designator_seconds = time.perf_counter() - began
        if decision.reason != "designated" and decision.candidate in ask.eligible:
            return decision
        shared = policy.decide(request, Remembered(decision.candidate.id, "session"), unavailable)
        return shared if isinstance(shared, Decision) else await self._decide_alone(call, policy, shared, state)

    async def _designate(self, call: Call, policy: Policy, ask: Ask, asked: Asked) -> Decision:
        """Ask the designator. Whatever goes wrong, the fallback answers, within the designator's deadline."""
        designator = policy.router.designator
        model = designator.model
        resting = self.health.cooling()
        if model.id in resting or model.provider.name in resting or not self.health.allow(model.id, designator.timeout):
            asked.outcome = "open"
            return policy.fall_back(ask, "fallback_open")
        try:
            answer = await self._ask(call, model, ask.prompt, designator.timeout)
        except UpstreamError as error:
            self.metrics.upstream_error(model.provider.name, error.code)
            # The model alone rests: its provider's limits are per model, and the candidates still have theirs.
            self.health.note(model.id, error)
            decision = policy.fall_back(ask, _reason(error))
        else:
            asked.usage = answer.usage
            decision = policy.settle(ask, "".join(part.text for part in answer.parts if type(part) is Text))
        finally:
            asked.seconds = time.perf_counter() - asked.began
        if decision.reason in ("fallback_timeout", "fallback_error"):
            self.health.failed(model.id)
        else:
            self.health.ok(model.id)
        asked.outcome = _OUTCOMES[decision.reason]
        return decision

    async def _ask(self, call: Call, model: Model, prompt: ChatRequest, seconds: float) -> Answer:
        if call.trace is None:
            return await designate(self.upstream, call.generation, model, prompt, seconds, (call.via,))
        with call.trace.attempt(model, "designator") as attempt:
            headers = (call.via, *attempt.headers)
            answer = await designate(self.upstream, call.generation, model, prompt, seconds, headers)
            attempt.learn(answer)
            return answer

    async def _asker(self, call: Call, router: Router, tool_call: str) -> str | None:
        """Who asked for the tool. A provider may have given no id, and the client one that it made up."""
        asker = await self.sessions.get(self._tool_key(call, router, tool_call))
        if asker is None and tool_call:
            asker = await self.sessions.get(self._tool_key(call, router, ""))
        return asker

    def _tool_key(self, call: Call, router: Router, tool_call: str) -> bytes:
        """The key of an open tool loop; in a dialect without ids the conversation stands for the call."""
        if call.dialect.wire == "ollama" or not tool_call:
            tool_call = conversation_key(call.client_name, router.name, call.request, call.session).hex()
        # Anthropic's clients see, and bring back, ids in the alphabet of their API.
        return tool_key(call.client_name, router.name, safe_id(tool_call))


async def designate(
    upstream: Upstream, generation: Generation, model: Model, prompt: ChatRequest, seconds: float, headers: Headers
) -> Answer:
    """What the designator ``model`` answers to ``prompt`` within so many seconds. Raises UpstreamError."""
    deadline = asyncio.get_running_loop().time() + seconds
    wire = WIRES[model.provider.wire]
    path, body = wire.encode_request(prompt, generation.target(model))
    reply = await upstream.open(
        model.provider,
        path,
        body,
        accept=b"application/json",
        headers=headers,
        deadline=deadline,
        streamed=False,
    )
    try:
        return wire.decode_answer(await reply.read_json(MAX_DESIGNATION))
    finally:
        reply.close()


def _reason(error: UpstreamError) -> FallbackReason:
    """What the decision is called after a designator's failure."""
    if isinstance(error, UpstreamTimeout):
        return "fallback_timeout"
    if isinstance(error, UpstreamInvalidResponse | UpstreamResponseTooLarge):
        return "fallback_invalid"
    return "fallback_error"
