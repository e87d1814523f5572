"""A relay with everything around it in one process: no server, no files, no clock but the test's.

Providers with a URL are dialled as in production, all others are played in this process (:class:`Tame`). What a client
would get is kept by a :class:`Recorder`::

    bad = model("bad/m", url=server.url)
    async with Kit(snapshot(router(bad, model("spare/m")))) as kit:
        got = await kit.ask("openai", stream=True)
        assert (got.status, got.decision) == (200, "failover")
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import httpx
from prometheus_client import CollectorRegistry

from gateway.call import Call
from gateway.config.model import Candidate, Client, Designator, Model, Provider, Router, Secret, Snapshot, Timers
from gateway.errors import RelayError
from gateway.generation import Generation, Headers
from gateway.ledger import Entry
from gateway.metrics import Metrics
from gateway.relay import Relay
from gateway.routing.health import Health
from gateway.sessions import Sessions
from gateway.upstream import Upstream
from gateway.wire import DIALECTS
from tests.server.scene import DONE, completion, delta, finish

KEY = "0123456789abcdef-secret"
#: Long enough for all that should succeed, short enough to be waited for.
PATIENT = Timers(connect=5.0, first_byte=5.0, idle=5.0, total=10.0)
REVISION = "0123456789ab"


class Clock:
    """Monotonic seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# --- a generation -----------------------------------------------------------------------------------------------------


def model(
    id: str,
    *,
    url: str | None = None,
    wire: Any = "openai",
    timers: Timers = PATIENT,
    key: str | None = KEY,
    **facts: Any,
) -> Model:
    """The model ``provider/name`` at ``url``; ``facts`` are further fields of :class:`Model`."""
    provider, _, name = id.partition("/")
    secret = None if key is None else Secret(key)
    return Model(
        id=id,
        name=name,
        provider=Provider(name=provider, wire=wire, base_url=url or f"sandbox://{provider}", key=secret, timers=timers),
        **facts,
    )


def router(*models: Model, designator: Model | None = None, timeout: float = 5.0, **fields: Any) -> Router:
    """The router ``smart``, whose fallback is the first model; its designator is ``judge/m`` unless told otherwise."""
    candidates = tuple(Candidate(model=each, purpose=f"Purpose of {each.id}") for each in models)
    return Router(
        name="smart",
        designator=Designator(model=designator or model("judge/m"), timeout=timeout),
        candidates=candidates,
        fallback=candidates[0],
        **fields,
    )


def snapshot(*routers: Router, models: Iterable[Model] = (), clients: tuple[Client, ...] = ()) -> Snapshot:
    """A generation with these routers, and with all models that they and ``models`` name."""
    known = [candidate.model for each in routers for candidate in each.candidates]
    known += [each.designator.model for each in routers]
    known += models
    return Snapshot(
        revision=REVISION,
        routers={each.name: each for each in routers},
        models={each.id: each for each in known},
        providers={each.provider.name: each.provider for each in known},
        clients=clients,
    )


# --- the client's side ------------------------------------------------------------------------------------------------


class Recorder:
    """A client that takes all it gets (:class:`gateway.call.Sink`)."""

    def __init__(self) -> None:
        self.started = False
        self.status = 0
        self.head: Headers = []
        #: What was written, piece by piece.
        self.pieces: list[bytes] = []
        #: The body was brought to its end.
        self.ended = False
        #: Set by every write.
        self.wrote = asyncio.Event()

    async def start(self, status: int, headers: Headers) -> None:
        assert not self.started
        self.started = True
        self.status, self.head = status, headers

    async def write(self, data: bytes) -> None:
        assert self.started
        assert not self.ended
        assert data
        self.pieces.append(data)
        self.wrote.set()

    async def finish(self) -> None:
        assert self.started
        assert not self.ended
        self.ended = True

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        await self.start(status, headers)
        self.pieces.append(body)
        await self.finish()

    def interrupted(self) -> RelayError | None:
        return None

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def headers(self) -> dict[str, str]:
        """The response's headers; one that comes twice fails the test."""
        found = {name.decode(): value.decode() for name, value in self.head}
        assert len(found) == len(self.head)
        return found

    @property
    def decision(self) -> str | None:
        return self.headers.get("x-llm-relay-decision")

    @property
    def routed_to(self) -> str | None:
        return self.headers.get("x-llm-relay-routed-to")

    @property
    def code(self) -> str | None:
        return self.headers.get("x-llm-relay-error")


def question(dialect: str, *, model: str, stream: bool, text: str = "Hello", **fields: Any) -> bytes:
    """A request of one turn."""
    body: dict[str, Any] = {"model": model, "stream": stream}
    if dialect in ("ollama.generate", "openai.completions"):
        body["prompt"] = text
    else:
        body["messages"] = [{"role": "user", "content": text}]
    if dialect == "anthropic":
        body["max_tokens"] = 100
    return json.dumps({**body, **fields}).encode()


# --- the relay --------------------------------------------------------------------------------------------------------

Play = Callable[[Any], httpx.Response]


class Tame(httpx.AsyncBaseTransport):
    """Providers that behave: ``judge`` names :attr:`choice`, every other one answers with its own name."""

    def __init__(self, choice: str) -> None:
        #: What the designator answers.
        self.choice = choice
        #: Who behaves in another way: from a request's body to the answer.
        self.plays: dict[str, Play] = {}
        #: The bodies of the requests so far, by the provider's name.
        self.asked: dict[str, list[Any]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.host
        body = json.loads(await request.aread())
        self.asked.setdefault(name, []).append(body)
        if name in self.plays:
            return self.plays[name](body)
        if name == "judge":
            return answered(completion(self.choice))
        if body.get("stream"):
            return answered(delta(name) + finish() + DONE, content_type="text/event-stream")
        return answered(completion(name))

    def calls(self, provider: str) -> int:
        """How many requests it got so far."""
        return len(self.asked.get(provider, ()))


def answered(body: str | bytes, status: int = 200, content_type: str = "application/json") -> httpx.Response:
    """An answer of a tame provider."""
    return httpx.Response(status, content=body, headers={"content-type": content_type})


class Kit:
    """One worker's relay over ``snapshot``. The designator names ``choice``, at first the fallback of the router."""

    def __init__(
        self, snapshot: Snapshot, *, choice: str | None = None, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        routers = list(snapshot.routers.values())
        self.tame = Tame(choice or (routers[0].fallback.id if routers else ""))
        self.clock = Clock()
        self.health = Health(self.clock)
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.metrics.bind(snapshot)
        #: The account of every request so far.
        self.entries: list[Entry] = []
        self.generation = Generation(snapshot)
        self.upstream = Upstream(sandbox=self.tame, ssl_context=ssl_context)
        self.relay = Relay(
            self.upstream,
            sessions=Sessions(None, capacity=1000),
            health=self.health,
            metrics=self.metrics,
            accounts=(self.metrics.record, self.entries.append),
        )

    async def ask(
        self,
        dialect: str = "openai",
        *,
        model: str = "smart",
        stream: bool = False,
        recorder: Recorder | None = None,
        headers: Headers | None = None,
        client: Client | None = None,
        tags: tuple[str, ...] = (),
        **fields: Any,
    ) -> Recorder:
        """One chat from its bytes to its account; ``tags`` are the head's, ``fields`` go into the request's body."""
        spoken = DIALECTS[dialect]
        got = recorder or Recorder()
        call = Call(
            generation=self.generation,
            dialect=spoken,
            request=spoken.decode_request(question(dialect, model=model, stream=stream, **fields)),
            request_id="0123456789abcdef01234567",
            client=client,
            session=None,
            tags=tags,
            headers=headers or [],
            via=(b"via", b"1.1 llm-relay"),
            started=time.perf_counter(),
        )
        await self.relay.chat(call, got)
        return got

    def metric(self, name: str, **labels: str) -> float:
        """A metric's sample; 0 where there is none."""
        self.metrics.settle()
        return self.registry.get_sample_value(f"llm_relay_{name}", labels) or 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.upstream.aclose()
