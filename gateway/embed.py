"""Embeddings: one model, one call, nothing to decide.

Vectors of different models have nothing in common, so a router cannot stand for one: embeddings are asked of a model.
"""

from __future__ import annotations

import asyncio
import time

from gateway.call import all_tags
from gateway.chat import Usage
from gateway.config.model import Client, Model, Router
from gateway.costs import believed, cost
from gateway.errors import BadRequest, RelayError, UpstreamError
from gateway.generation import Generation, Headers
from gateway.ledger import Entry
from gateway.relay import MAX_ANSWER, Relay
from gateway.tracing import Trace
from gateway.wire import embeddings
from gateway.wire.protocol import Progress


async def embed(
    relay: Relay,
    generation: Generation,
    client: Client | None,
    request: embeddings.EmbeddingRequest,
    *,
    request_id: str,
    tags: tuple[str, ...],
    via: tuple[bytes, bytes],
    started: float,
    trace: Trace | None = None,
) -> tuple[Headers, bytes]:
    """The answer to ``request``: headers and body. Raises a RelayError; accounted either way.

    ``tags`` are those of the request's head.
    """
    entry = Entry(
        time=time.time(),
        request_id=request_id,
        client=client.name if client else None,
        tags=all_tags(client, tags + request.tags),
        revision=generation.revision,
        commit=generation.snapshot.commit,
        dialect=f"{request.dialect}.embed",
        trace_id=None if trace is None else trace.trace_id,
    )
    try:
        body = await _embed(relay, generation, client, request, via, entry, trace)
        entry.status = 200
    except RelayError as error:
        entry.status, entry.code, entry.ended = error.status, error.code, "error"
        error.accounted = True
        raise
    except asyncio.CancelledError:
        entry.status, entry.code, entry.ended = 499, "client_left", "client_left"
        raise
    finally:
        entry.total_ms = (time.perf_counter() - started) * 1000
        relay.account(entry)
        if trace is not None:
            trace.over(entry)
    return [(b"x-llm-relay-revision", generation.revision_header)], body


async def _embed(
    relay: Relay,
    generation: Generation,
    client: Client | None,
    request: embeddings.EmbeddingRequest,
    via: tuple[bytes, bytes],
    entry: Entry,
    trace: Trace | None,
) -> bytes:
    model = generation.resolve(request.model, client)
    if isinstance(model, Router):
        raise BadRequest("unsupported", "a router answers chats only; ask a model for embeddings", param="model")
    entry.candidate = model.id
    provider = model.provider
    path, body = embeddings.encode_request(request, provider.wire, model.name)
    attempt = None if trace is None else trace.attempt(model, operation="embeddings")
    headers = (via,) if attempt is None else (via, *attempt.headers)
    try:
        reply = await relay.upstream.open(
            provider, path, body, accept=b"application/json", headers=headers, streamed=False
        )
        try:
            answer = await reply.read_json(MAX_ANSWER)
        finally:
            reply.close()
        if embeddings.passes_through(request, provider.wire):
            usage, entry.provider_model = embeddings.watch_answer(answer)
        else:
            embedded = embeddings.decode_answer(answer, len(request.input or ()))
            usage, entry.provider_model = embedded.usage, embedded.model
            answer = embeddings.encode_answer(request, embedded, model.id)
    except UpstreamError as error:
        relay.note(provider.name, error)
        if attempt is not None:
            attempt.fail(error)
        raise
    _charge(entry, model, usage)
    if attempt is not None:
        attempt.learn(Progress(usage=usage, model=entry.provider_model))
    return answer


def _charge(entry: Entry, model: Model, usage: Usage) -> None:
    entry.input = believed(usage).input
    # A vector is no text: nothing is written.
    entry.output = None if entry.input is None else 0
    entry.cost = cost(model, entry)
