"""One conversation in rehearsal: requests, one after the other, and who would have answered them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry

from gateway.call import Call
from gateway.chat import ChatRequest
from gateway.config.model import Client
from gateway.errors import RelayError
from gateway.generation import Generation
from gateway.ledger import Entry
from gateway.metrics import Metrics
from gateway.rehearsal import stage
from gateway.rehearsal.recordings import Recordings
from gateway.rehearsal.stage import Asking, Candidates, Designators, Said
from gateway.relay import Relay
from gateway.routing.decide import Ask, Policy
from gateway.routing.health import Health
from gateway.sandbox import SandboxTransport
from gateway.sessions import Sessions
from gateway.upstream import Upstream
from gateway.wire import DIALECTS

_DIALECT = DIALECTS["openai"]
_VIA = (b"via", b"1.1 llm-relay")
#: Pins that one conversation may need: its own, and one a tool.
_SESSIONS = 1_000


class Outcome(msgspec.Struct, frozen=True):
    """What came of one request."""

    #: Who answered, and why; None where nobody did, of the reason also where nobody was decided on.
    candidate: str | None
    decision: str | None
    #: The turn that answers, as in the OpenAI API.
    answer: Mapping[str, Any] | None = None
    #: Code, HTTP status and message of the error that is the answer.
    error: str | None = None
    status: int = 200
    message: str = ""
    said: Said | None = None


class Clock:
    """Seconds that pass only when somebody says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Rehearsal:
    """One conversation with the router of ``policy``.

    ``dial`` is the way to designators that are asked; ``asking`` says when that is. ``shuffled`` is the same router
    with its candidates in another order, for designators that are asked. ``client`` and ``session`` are what a client
    would be known by. ``health`` and ``remembered`` are what a running gateway knows; nothing of it is changed.
    """

    def __init__(
        self,
        generation: Generation,
        policy: Policy,
        dial: Upstream,
        *,
        recordings: Recordings | None = None,
        asking: Asking = "never",
        shuffled: Policy | None = None,
        metrics: Metrics | None = None,
        health: Health | None = None,
        remembered: Sessions | None = None,
        client: Client | None = None,
        session: str | None = None,
    ) -> None:
        self.clock = Clock()
        memory = None if remembered is None else stage.Memory(remembered)
        self.sessions = Sessions(memory, capacity=_SESSIONS, clock=self.clock)
        self._generation = generation
        self._policy = policy
        self._shuffled = shuffled
        self._client = client
        self._session = session
        self.health = Health(self.clock) if health is None else _as_is(health, self.clock)
        self._candidates = Candidates()
        target = generation.target(policy.router.designator.model)
        self._designators = Designators(dial, target, recordings, asking)
        self._entries: list[Entry] = []
        self._relay = Relay(
            self._candidates,
            sessions=self.sessions,
            health=self.health,
            metrics=metrics or Metrics(CollectorRegistry()),
            accounts=(self._entries.append,),
        )
        self._relay.decider.upstream = self._designators

    async def ask(
        self,
        request: ChatRequest,
        *,
        act: str = "",
        fails: Mapping[str, int | str] | None = None,
        calls: str = "",
    ) -> Outcome:
        """What comes of ``request``, which is in OpenAI's dialect.

        ``act`` is what the designator does instead of being asked, ``fails`` which candidates fail and how, ``calls``
        the tool that the answer calls. Raises NotRecorded where the designator's answer is needed, is not recorded,
        and the designator may not be asked.
        """
        self._candidates.fails, self._candidates.calls = fails or {}, calls
        ask = self.question(request)
        instead = None if ask is None or self._shuffled is None else self._question(self._shuffled, request)
        self._designators.expect(ask, act=act, instead=instead)
        sink = stage.Client()
        call = Call(
            generation=self._generation,
            dialect=_DIALECT,
            request=request,
            request_id="rehearsal",
            client=self._client,
            session=self._session,
            tags=(),
            headers=[],
            via=_VIA,
            started=0.0,
        )
        await self._relay.chat(call, sink)
        return self._outcome(self._entries.pop(), sink)

    @property
    def said(self) -> Said | None:
        """What the designator was asked for the latest request, also where nobody knew its answer."""
        return self._designators.said

    def question(self, request: ChatRequest) -> Ask | None:
        """What a designator is asked about ``request`` where nothing is remembered; None where nothing is to choose."""
        return self._question(self._policy, request)

    def _question(self, policy: Policy, request: ChatRequest) -> Ask | None:
        try:
            outcome = policy.decide(request, None, self.health.cooling())
        except RelayError:
            return None
        return outcome if isinstance(outcome, Ask) else None

    def _outcome(self, entry: Entry, sink: stage.Client) -> Outcome:
        if entry.code is None:
            answer = msgspec.json.decode(sink.body)["choices"][0]["message"]
            return Outcome(entry.candidate, entry.decision, answer, said=self.said)
        told = msgspec.json.decode(sink.body)["error"]
        return Outcome(
            None, entry.decision, error=entry.code, status=entry.status, message=told["message"], said=self.said
        )


def _as_is(health: Health, clock: Clock) -> Health:
    """What a running gateway knows of who is not to be called now; it stays so while ``clock`` stands."""
    known = Health(clock)
    for name in health.cooling():
        known.cool(name, health.remaining(name))
    return known


def chat(body: Mapping[str, Any]) -> ChatRequest:
    """A request's body, as OpenAI's API takes it. Raises BadRequest."""
    return _DIALECT.decode_request(msgspec.json.encode(body))


def way_out() -> Upstream:
    """The way to designators that are asked: the network, or the sandbox in this process."""
    return Upstream(sandbox=SandboxTransport())
