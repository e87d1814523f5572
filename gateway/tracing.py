"""The trace that a request belongs to, as far as the request itself must know of it.

Where tracing is off, a client's trace context goes on to the providers as it came (:class:`Trace`). Where it is on
(:mod:`gateway.telemetry`), every request to a provider has a span of its own, whose id it must carry: so ids are drawn
beforehand, times are noted, and everything else is worked out after the answer (:class:`Recorded`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Literal, Protocol, Self

import msgspec

from gateway.chat import Answer
from gateway.config.model import Model
from gateway.errors import RelayError
from gateway.ledger import Entry
from gateway.tracecontext import TraceContext, written
from gateway.wire.protocol import Progress

Headers = tuple[tuple[bytes, bytes], ...]
#: The conventions' name for what has none: an error, or a method that HTTP does not know.
OTHER = "_OTHER"
#: What a request to a provider is for: to decide, or to answer.
Role = Literal["designator", "candidate"]
Operation = Literal["chat", "embeddings"]


class Attempt(msgspec.Struct):
    """One request to a provider. As a context manager it notes its end, and the error that ended it."""

    model: Model
    role: Role
    operation: Operation
    stream: bool
    #: What the request carries.
    headers: Headers
    #: 16 hex digits; empty where there is no span.
    span_id: str = ""
    #: ``time.perf_counter()``; the end is None while it is under way.
    began: float = 0.0
    ended: float | None = None
    #: What is known of the answer.
    progress: Progress | Answer | None = None
    #: The error's code, where it failed.
    code: str | None = None

    def learn(self, progress: Progress | Answer) -> None:
        """All of the answer that will come has come."""
        self.progress = progress
        self.ended = time.perf_counter()

    def fail(self, error: RelayError) -> None:
        """It ends here, with an error."""
        self.code = error.code
        self.ended = time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, RelayError):
            self.fail(error)


class Trace:
    """A trace of somebody else's: ``headers`` are passed on, and nothing is added."""

    __slots__ = ("_headers", "trace_id")

    def __init__(self, trace_id: str, headers: Headers) -> None:
        #: 32 hex digits.
        self.trace_id = trace_id
        self._headers = headers

    def attempt(
        self, model: Model, role: Role = "candidate", *, operation: Operation = "chat", stream: bool = False
    ) -> Attempt:
        """A request to the provider of ``model`` begins."""
        return Attempt(model, role, operation, stream, self._headers)

    def over(self, entry: Entry) -> None:
        """The client's request is over, and accounted in ``entry``, which says how it ended."""


class Recorded(Trace):
    """A trace that this gateway has a part in; ``done`` is told of it when the request is over.

    Times are of ``time.perf_counter()``; ``started`` is the request's arrival. ``http`` is what is known of the request
    itself. A trace that is not to be recorded (``done`` is None) still goes on: the providers learn that it is none.
    """

    __slots__ = ("_done", "_state", "attempts", "ended", "epoch", "flags", "http", "parent", "span_id", "started")

    def __init__(
        self,
        trace_id: str,
        *,
        parent: TraceContext | None,
        flags: int,
        started: float,
        http: Mapping[str, str | int],
        done: Callable[[Recorded, Entry], None] | None,
    ) -> None:
        super().__init__(trace_id, ())
        self.parent = parent
        self.span_id = new_span_id()
        self.flags = flags
        self.started = self.ended = started
        #: Nanoseconds since 1970 at the zero of ``time.perf_counter()``: one clock for all spans of the trace.
        self.epoch = time.time_ns() - time.perf_counter_ns()
        self.http = http
        self.attempts: list[Attempt] = []
        self._done = done
        self._state: Headers = ((b"tracestate", parent.tracestate),) if parent and parent.tracestate else ()

    def attempt(
        self, model: Model, role: Role = "candidate", *, operation: Operation = "chat", stream: bool = False
    ) -> Attempt:
        span_id = new_span_id()
        headers = ((b"traceparent", written(self.trace_id, span_id, self.flags)), *self._state)
        attempt = Attempt(model, role, operation, stream, headers, span_id, time.perf_counter())
        if self._done is not None:
            self.attempts.append(attempt)
        return attempt

    def over(self, entry: Entry) -> None:
        self.ended = time.perf_counter()
        if self._done is not None:
            self._done(self, entry)


class Tracer(Protocol):
    """Records traces, in one worker."""

    def begin(self, parent: TraceContext | None, started: float, http: Mapping[str, str | int]) -> Trace:
        """A request arrived at ``started``; ``parent`` is what its client says of the trace."""

    async def aclose(self) -> None:
        """Export what is left, in a bounded time."""


def new_trace_id() -> str:
    """32 hex digits, not all zeros."""
    return f"{random.randrange(1, 1 << 128):032x}"


def new_span_id() -> str:
    """16 hex digits, not all zeros."""
    return f"{random.randrange(1, 1 << 64):016x}"
