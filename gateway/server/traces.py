"""Where a request's trace begins: at its client, or here."""

from __future__ import annotations

import time
from collections.abc import Mapping

from litestar.types import HTTPScope

from gateway.ledger import Entry
from gateway.server.services import Services
from gateway.tracecontext import TraceContext, found, parsed
from gateway.tracing import OTHER, Trace, Tracer

#: RFC 9110, section 9.1, and RFC 5789.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})


def follow(tracer: Tracer | None, scope: HTTPScope, head: Mapping[bytes, bytes], started: float) -> Trace | None:
    """The trace of a request that arrived at ``started``; None where neither its client nor the gateway traces it."""
    parent = head.get(b"traceparent")
    context = None if parent is None else parsed(parent, head.get(b"tracestate", b""))
    if tracer is not None:
        return _begin(tracer, context, scope, started)
    return None if context is None else Trace(context.trace_id, context.headers)


def note_refused(
    services: Services, scope: HTTPScope, request_id: str, status: int, code: str, *, started: float, traced: bool
) -> None:
    """Log, and with ``traced`` trace, a request that was refused before it could become a chat: it is in no ledger."""
    entry = Entry(time=time.time(), request_id=request_id, dialect="-", status=status, code=code, ended="error")
    context = found(scope["headers"])
    if context is not None:
        entry.trace_id = context.trace_id
    if traced and services.tracer is not None:
        trace = _begin(services.tracer, context, scope, started)
        entry.trace_id = trace.trace_id
        trace.over(entry)
    services.requests.add(entry)


def _begin(tracer: Tracer, parent: TraceContext | None, scope: HTTPScope, started: float) -> Trace:
    # HTTP server spans, https://opentelemetry.io/docs/specs/semconv/http/http-spans/
    http = {
        "http.request.method": scope["method"] if scope["method"] in _METHODS else OTHER,
        "http.route": scope["path_template"],
        "url.path": scope["path"],
        "url.scheme": scope["scheme"],
        "network.protocol.version": scope["http_version"],
    }
    return tracer.begin(parent, started, http)
