"""One request on its way: what the server took in, where its answer goes, and what is known of it so far."""

from __future__ import annotations

from typing import Protocol

import msgspec

from gateway.chat import ChatRequest
from gateway.config.model import Client, Model, Router
from gateway.errors import RelayError
from gateway.generation import Generation, Headers
from gateway.ledger import Entry
from gateway.routing.decide import Decision
from gateway.wire.protocol import Dialect


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
    #: Tags that the request's headers carry.
    tags: tuple[str, ...]
    #: The client's raw headers; what travels on is chosen by the wire's allow-list.
    headers: Headers
    #: ``Via`` to send on, so that a loop of gateways ends.
    via: tuple[bytes, bytes]
    #: ``time.perf_counter()`` when the request's head arrived.
    started: float

    @property
    def client_name(self) -> str:
        return self.client.name if self.client else ""


class State(msgspec.Struct):
    """What is known of a call while it runs: kept for the response's headers and for the account of it."""

    entry: Entry
    router: Router | None = None
    decision: Decision | None = None
    model: Model | None = None
    designator_seconds: float = 0.0
    upstream_seconds: float = 0.0
    session_key: bytes | None = None
