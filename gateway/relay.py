"""One chat: decide, send, account.

The relay knows neither HTTP server nor sockets: it takes a :class:`Call`, talks to providers through
:class:`~gateway.upstream.Upstream` and writes the answer to a :class:`Sink`. Every rule about *when* something may be
tried again lives here: before the first content of an answer another candidate may serve, after it never.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from gateway.call import Call, Sink, State
from gateway.chat import Answer, ToolCall
from gateway.config.model import Model, Router
from gateway.costs import believed
from gateway.decider import Decider
from gateway.errors import (
    BadRequest,
    NoCandidate,
    RelayError,
    UpstreamError,
    UpstreamFailed,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamResponseTooLarge,
)
from gateway.generation import Headers
from gateway.heads import answer_headers, error_headers
from gateway.ledger import Entry
from gateway.metrics import Metrics
from gateway.routing.health import Health
from gateway.samples import Samples
from gateway.sessions import Sessions
from gateway.upstream import Reply, Upstream, conceal
from gateway.wire import WIRES
from gateway.wire.protocol import MAX_EVENT_BYTES, Progress, Watch, Wire
from gateway.wire.translated import Translated

#: The most bytes of an answer that is not streamed.
MAX_ANSWER = 32 << 20
#: How long a provider may take to end its response after the wire's terminator, in seconds.
TAIL_SECONDS = 1.0
#: A loop over data that is already here must let others run once in a while.
WRITES_PER_TURN = 16

_JSON = (b"content-type", b"application/json")


class Relay:
    """Serves chats over one set of providers and one state."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        sessions: Sessions,
        health: Health,
        metrics: Metrics,
        accounts: Sequence[Callable[[Entry], None]],
        samples: Samples | None = None,
    ) -> None:
        self.upstream = upstream
        self.decider = Decider(upstream, sessions, health, metrics)
        self.health = health
        self.metrics = metrics
        #: Told of every request once it is over; none of them may fail or wait.
        self.accounts = accounts
        #: Where samples go, of routers that record any; None: nowhere.
        self.samples = samples

    # --- one call ---------------------------------------------------------------------------------------------------

    async def chat(self, call: Call, sink: Sink) -> None:
        """Serve one chat, whatever happens to it. A client that leaves shows as a cancellation."""
        state = State(
            Entry(
                time=time.time(),
                request_id=call.request_id,
                client=call.client_name,
                tags=call.all_tags,
                revision=call.generation.revision,
                commit=call.generation.snapshot.commit,
                dialect=call.dialect.name,
                stream=call.request.stream,
            )
        )
        entry = state.entry
        if call.trace is not None:
            entry.trace_id = call.trace.trace_id
        self.metrics.inflight.inc()
        try:
            await self._serve(call, sink, state)
        except RelayError as error:
            await self._fail(call, sink, state, error)
        except asyncio.CancelledError:
            interruption = sink.interrupted()
            if interruption is None:
                entry.status, entry.ended, entry.code = 499, "client_left", "client_left"
                raise
            await self._fail(call, sink, state, interruption)
        finally:
            # Synchronous, because a client that leaves cancels the task.
            self.metrics.inflight.dec()
            entry.total_ms = round((time.perf_counter() - call.started) * 1000, 3)
            waited = (state.designator_seconds + state.upstream_seconds) * 1000
            entry.relay_ms = round(max(0.0, (entry.ttft_ms or entry.total_ms) - waited), 3)
            state.charge(call.generation)
            self.account(entry)
            if call.trace is not None:
                call.trace.over(entry)

    def account(self, entry: Entry) -> None:
        """Tell everybody who keeps account that a request is over."""
        if len(entry.tags) > 1:
            entry.tags = tuple(dict.fromkeys(entry.tags))
        for account in self.accounts:
            account(entry)

    async def _serve(self, call: Call, sink: Sink, state: State) -> None:
        found = call.generation.resolve(call.request.model, call.client)
        if isinstance(found, Router):
            state.router = found
            state.entry.router = found.name
            state.entry.tags = found.tags + state.entry.tags
            await self._route(call, sink, state, found)
            return
        model = found
        if model.provider.name in self.health.cooling():
            raise self._cooling((model,))
        await self._attempt(call, sink, state, model)

    async def _route(self, call: Call, sink: Sink, state: State, router: Router) -> None:
        policy = call.generation.policies[router.name]
        try:
            decision = await self.decider.decide(call, policy, state)
        except NoCandidate:
            raise self._cooling([candidate.model for candidate in router.candidates]) from None
        if router.record is not None and self.samples is not None:
            entry = state.entry
            self.samples.offer(entry.request_id, entry.time, call.generation.revision, policy, call.request, decision)
        failed: RelayError | None = None
        tried: set[str] = set()
        while True:
            state.decision = decision
            state.entry.decision = decision.reason
            tried.add(decision.candidate.id)
            try:
                await self._attempt(call, sink, state, decision.candidate.model)
            except UpstreamError as error:
                following = None if sink.started else policy.next(decision, error, self.health.cooling())
                if following is None:
                    raise
                failed = error
            except BadRequest as error:
                # Its wire cannot say what is asked; nobody was called, and another candidate's wire may well.
                failed = failed or error
                following = policy.instead(decision, tried, self.health.cooling())
                if following is None:
                    raise failed from None
            else:
                break
            state.entry.failover_from = state.entry.failover_from or decision.candidate.id
            decision = following
        if decision.reason == "failover":
            self.decider.moved(decision, router, state)

    def _cooling(self, models: Sequence[Model]) -> RelayError:
        """Every candidate is cooling down: the answer that says when to come again."""
        waits = [max(self.health.remaining(model.provider.name), self.health.remaining(model.id)) for model in models]
        wait = min((wait for wait in waits if wait), default=0.0)
        return UpstreamRateLimited("every candidate is cooling down after a rate limit", retry_after=wait)

    # --- send -------------------------------------------------------------------------------------------------------

    async def _attempt(self, call: Call, sink: Sink, state: State, model: Model) -> None:
        """Let ``model`` answer. Raises an UpstreamError with nothing sent while another candidate may still try."""
        state.model = model
        state.entry.candidate = model.id
        provider, dialect, request = model.provider, call.dialect, call.request
        wire = WIRES[provider.wire]
        same = dialect.wire == wire.name
        if not same:
            dialect.check_translatable(request)
        extra = [call.via]
        if same and wire.forward_headers:
            for name, value in call.headers:
                if name.decode("latin-1") in wire.forward_headers and (kept := wire.filter_header(name, value)):
                    extra.append((name, kept))
        path, body = wire.encode_request(request, call.generation.target(model))
        if call.trace is not None:
            state.attempt = call.trace.attempt(model, stream=request.stream)
            extra += state.attempt.headers
        began = time.perf_counter()
        try:
            accept = wire.stream_type.encode() if request.stream else b"application/json"
            reply = await self.upstream.open(
                provider, path, body, accept=accept, headers=extra, streamed=request.stream
            )
            try:
                if request.stream and (reply.content_type in wire.stream_types or not _is_json(reply)):
                    await self._stream(call, sink, state, model, wire, same, reply, began)
                else:
                    await self._whole(call, sink, state, model, wire, same, reply, began)
            finally:
                reply.close()
        except UpstreamError as error:
            error.message = conceal(provider, error.message)
            self.note(provider.name, error)
            if not sink.started:
                # What was used for an answer that did not come is not charged.
                self._learn(state, Progress())
            if state.attempt is not None:
                state.attempt.fail(error)
            raise
        finally:
            if not sink.started:
                state.upstream_seconds += time.perf_counter() - began

    def note(self, provider: str, error: UpstreamError) -> None:
        """Learn from a provider's failure."""
        if not isinstance(error, UpstreamRejected):
            self.metrics.upstream_error(provider, error.code)
            self.health.note(provider, error)

    async def _whole(
        self,
        call: Call,
        sink: Sink,
        state: State,
        model: Model,
        wire: Wire,
        same: bool,
        reply: Reply,
        began: float,
    ) -> None:
        body = await reply.read_json(MAX_ANSWER)
        dialect, request = call.dialect, call.request
        if same and not request.stream:
            progress = wire.watch_answer(body)
            out, returned = body, _returned(wire, reply)
        else:
            answer = wire.decode_answer(body)
            progress = _progress_of(answer)
            returned = []
            if request.stream:
                # A provider that was asked for a stream and answers in one piece: the client gets its stream.
                encoder = dialect.encoder(request, model.id, call.request_id, state.entry.time)
                out = b"".join(map(encoder.encode, answer.events())) + encoder.close()
            else:
                out = dialect.encode_answer(answer, request, model.id, call.request_id, state.entry.time)
        state.upstream_seconds += time.perf_counter() - began
        self._learn(state, progress)
        if progress.tool_call_id is not None:
            await self._keep_tool_loop(call, state, model, progress.tool_call_id)
        content_type = (b"content-type", dialect.stream_type) if request.stream else _JSON
        headers = answer_headers(call, state)
        headers += returned
        headers.append(content_type)
        entry = state.entry
        entry.status, entry.ended = 200, "complete"
        entry.ttft_ms = round((time.perf_counter() - call.started) * 1000, 3)
        await sink.whole(200, headers, out)

    async def _stream(
        self,
        call: Call,
        sink: Sink,
        state: State,
        model: Model,
        wire: Wire,
        same: bool,
        reply: Reply,
        began: float,
    ) -> None:
        if reply.content_type not in wire.stream_types:
            raise UpstreamInvalidResponse(f"{model.provider.name}: not a stream of its wire")
        machine: Watch
        if same:
            machine = wire.watch(call.request)
        else:
            encoder = call.dialect.encoder(call.request, model.id, call.request_id, state.entry.time)
            machine = Translated(wire.decoder(), encoder)
        progress = machine.progress
        held: list[bytes] = []
        size = writes = 0
        kept = False
        try:
            while True:
                chunk = await reply.chunk()
                out = machine.feed(chunk) if chunk else machine.close()
                begun = progress.content or progress.finish is not None
                if progress.fresh:
                    progress.fresh = False
                    if begun:
                        reply.progress()
                if not begun:
                    held.append(out)
                    size += len(out)
                    if size > MAX_EVENT_BYTES:
                        raise UpstreamResponseTooLarge(f"{model.provider.name}: too much comes before the answer")
                    out = b""
                elif not sink.started:
                    state.upstream_seconds += time.perf_counter() - began
                    state.entry.ttft_ms = round((time.perf_counter() - call.started) * 1000, 3)
                    headers = answer_headers(call, state)
                    if same:
                        headers += _returned(wire, reply)
                    headers.append((b"content-type", call.dialect.stream_type))
                    await sink.start(200, headers)
                    out = b"".join((*held, out))
                    held.clear()
                if progress.tool_call_id is not None and not kept:
                    kept = True
                    await self._keep_tool_loop(call, state, model, progress.tool_call_id)
                if out:
                    await sink.write(out)
                    writes += 1
                    if writes % WRITES_PER_TURN == 0:
                        await asyncio.sleep(0)
                if progress.failure is not None:
                    raise UpstreamFailed(f"{model.provider.name}: {progress.failure.message}")
                if progress.broken is not None:
                    raise progress.broken
                if not chunk:
                    break
                if progress.complete:
                    reply.hurry(TAIL_SECONDS)
        except UpstreamError:
            # All is here but the end of the HTTP message: the client misses nothing.
            if not progress.complete:
                raise
        finally:
            self._learn(state, progress)
        entry = state.entry
        entry.status, entry.ended = 200, "complete"
        await sink.finish()

    async def _keep_tool_loop(self, call: Call, state: State, model: Model, tool_call: str) -> None:
        """Before the client learns of the call, since it may bring the result at once."""
        if state.router is not None:
            await self.decider.asked_for_tool(call, state.router, tool_call, model)

    # --- answer and account -----------------------------------------------------------------------------------------

    async def _fail(self, call: Call, sink: Sink, state: State, error: RelayError) -> None:
        """Give the client the error: as a response while that can be, else inside its stream."""
        entry = state.entry
        entry.code = error.code
        if sink.started:
            entry.status = error.status
            entry.ended = "upstream_cut" if isinstance(error, UpstreamError) else "error"
            encoder = call.dialect.encoder(call.request, "", call.request_id, state.entry.time)
            await sink.write(encoder.error(error))
            await sink.finish()
            return
        status, body = call.dialect.encode_error(error, call.request_id)
        entry.status, entry.ended = status, "error"
        headers = answer_headers(call, state)
        headers.append(_JSON)
        headers += error_headers(error)
        await sink.whole(status, headers, body)

    def _learn(self, state: State, progress: Progress) -> None:
        entry, usage = state.entry, believed(progress.usage)
        entry.provider_model = progress.model
        entry.input, entry.output = usage.input, usage.output
        entry.cache_read, entry.cache_write = usage.cache_read, usage.cache_write
        entry.reasoning = usage.reasoning
        if state.attempt is not None:
            state.attempt.learn(progress)


def _is_json(reply: Reply) -> bool:
    return reply.content_type == "application/json" or reply.content_type.endswith("+json")


def _returned(wire: Wire, reply: Reply) -> Headers:
    allowed = wire.return_headers
    return [(name, value) for name, value in reply.headers if name.decode("latin-1") in allowed]


def _progress_of(answer: Answer) -> Progress:
    call = next((part.id for part in answer.parts if type(part) is ToolCall), None)
    return Progress(
        content=True, complete=True, finish=answer.finish, usage=answer.usage, model=answer.model, tool_call_id=call
    )
