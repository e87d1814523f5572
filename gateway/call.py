"""One request on its way: what the server took in, where its answer goes, and what is known of it so far."""

from __future__ import annotations

from typing import Protocol

import msgspec

from gateway.chat import ChatRequest
from gateway.config.model import Client, Model, Router
from gateway.costs import cost
from gateway.errors import RelayError
from gateway.generation import Generation, Headers
from gateway.ledger import Entry
from gateway.routing.decide import Decision
from gateway.tracing import Attempt, Trace
from gateway.wire.protocol import Dialect

#: Tags that one request may bring with it.
MAX_TAGS = 16


class Sink(Protocol):
    """Where an answer goes; the server's end of one request."""

    started: bool

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head of a streamed answer."""

    async def write(self, data: bytes) -> None:
        """Send some of the body; returns when there is room for more."""

    async def finish(self) -> None:
        """End the body."""

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send an answer in one piece."""

    def interrupted(self) -> RelayError | None:
        """After a cancellation: what to tell the client, where the gateway itself ended the exchange; the cancellation
        is over then. None where the client left.
        """


class Call(msgspec.Struct, kw_only=True):
    """One request as the server took it in."""

    generation: Generation
    dialect: Dialect
    request: ChatRequest
    request_id: str
    #: The client whose key came with the request; None where the gateway is open.
    client: Client | None
    #: ``X-LLM-Relay-Session``.
    session: str | None
    #: Tags that the request's head carries (``X-LLM-Relay-Tags``).
    tags: tuple[str, ...]
    #: The client's raw headers; what travels on is chosen by the wire's allow-list.
    headers: Headers
    #: ``Via`` to send on, so that a loop of gateways ends.
    via: tuple[bytes, bytes]
    #: ``time.perf_counter()`` when the request's head arrived.
    started: float
    #: Where the request belongs to a trace, of the client's or of our own.
    trace: Trace | None = None

    @property
    def client_name(self) -> str:
        return self.client.name if self.client else ""

    @property
    def all_tags(self) -> tuple[str, ...]:
        """The client's tags, then those that the request brings."""
        return all_tags(self.client, self.tags + self.request.tags)


class State(msgspec.Struct):
    """What is known of a call while it runs: kept for the response's headers and for the account of it."""

    entry: Entry
    router: Router | None = None
    decision: Decision | None = None
    model: Model | None = None
    designator_seconds: float = 0.0
    upstream_seconds: float = 0.0
    session_key: bytes | None = None
    #: The request to a candidate that was sent last, where it belongs to a trace.
    attempt: Attempt | None = None

    def charge(self, generation: Generation) -> None:
        """What the answer cost, as far as its tokens are known; a part of an answer costs what it used so far."""
        entry = self.entry
        if self.model is None:
            return
        entry.cost = cost(self.model, entry)
        if entry.cost is not None and self.router is not None:
            entry.dearest_cost = generation.dearest[self.router.name].cost(entry)


def all_tags(client: Client | None, brought: tuple[str, ...]) -> tuple[str, ...]:
    """The tags of ``client``, then those that its request brought, as far as there is room for them."""
    own = client.tags if client is not None else ()
    return own + tuple(dict.fromkeys(brought))[:MAX_TAGS] if brought else own
