"""A request's trace as OpenTelemetry's spans: what they are called and what they say.

One SERVER span for the request, below it one CLIENT span for each request to a provider: the designator's, and one for
every candidate that was tried. Sources, as of November 2026:

- https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/client-inference.md: ``gen_ai.*``,
  the names of client spans, ``error.type``;
- https://opentelemetry.io/docs/specs/semconv/http/http-spans/: the server span, and when it is an error (4xx is not).

What the conventions have no name for is ``llm_relay.*``. No prompt, no answer, no key, no address of a client, and no
words of an error: a provider may quote the request in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from gateway import __version__
from gateway.chat import Answer, Usage
from gateway.costs import believed
from gateway.ledger import Entry
from gateway.tracecontext import TraceContext
from gateway.tracing import OTHER, Attempt, Recorded
from gateway.wire.protocol import Progress

Value = str | int | float | bool | tuple[str, ...]

#: What the conventions call a provider that is called otherwise here; all others keep their names.
_PROVIDERS = {"gemini": "gcp.gemini", "mistral": "mistral_ai", "xai": "x_ai"}
#: Characters kept of what a provider wrote, or a client: an error's code, the name of a model.
_FOREIGN_TEXT = 200
_PORTS = {"http": 80, "https": 443}
_SCOPE = InstrumentationScope("llm_relay", __version__)
_FAILED = Status(StatusCode.ERROR)


def spans(trace: Recorded, entry: Entry, resource: Resource) -> Iterator[ReadableSpan]:
    """The spans of a request that is over.

    Made as they are exported, without the SDK's own recording: that takes fifteen times as long, and has nothing to
    record of what is over.
    """
    state = tracestate(trace.parent)
    trace_id, flags = int(trace.trace_id, 16), TraceFlags(trace.flags)
    server = SpanContext(trace_id, int(trace.span_id, 16), False, flags, state)
    for attempt in trace.attempts:
        last = attempt is trace.attempts[-1]
        failed = _code_of(attempt, entry)
        yield ReadableSpan(
            f"{attempt.operation} {_short(attempt.model.name)}",
            SpanContext(trace_id, int(attempt.span_id, 16), False, flags, state),
            server,
            resource,
            _known(_of_attempt(trace, attempt, entry, last=last)),
            # The sandbox answers in this process.
            kind=SpanKind.INTERNAL if attempt.model.provider.sandbox else SpanKind.CLIENT,
            status=_FAILED if failed else Status(),
            start_time=_at(trace, attempt.began),
            end_time=_at(trace, trace.ended if attempt.ended is None else attempt.ended),
            instrumentation_scope=_SCOPE,
        )
    yield ReadableSpan(
        server_name(trace.http),
        server,
        remote(trace.parent, state),
        resource,
        _known(_of_request(trace, entry)),
        kind=SpanKind.SERVER,
        status=_FAILED if _is_failed(entry) else Status(),
        start_time=_at(trace, trace.started),
        end_time=_at(trace, trace.ended),
        instrumentation_scope=_SCOPE,
    )


def server_name(http: Mapping[str, str | int]) -> str:
    """What the server span is called."""
    method = http["http.request.method"]
    return f"{'HTTP' if method == OTHER else method} {http['http.route']}"


def remote(parent: TraceContext | None, state: TraceState | None) -> SpanContext | None:
    """The client's span, where it has one."""
    if parent is None:
        return None
    return SpanContext(int(parent.trace_id, 16), int(parent.parent_id, 16), True, TraceFlags(parent.flags), state)


def tracestate(parent: TraceContext | None) -> TraceState | None:
    """The client's ``tracestate``, where it has one."""
    return TraceState.from_header([parent.tracestate.decode()]) if parent and parent.tracestate else None


def _of_request(trace: Recorded, entry: Entry) -> dict[str, Value | None]:
    code = _short(entry.code)
    return {
        **trace.http,
        "http.response.status_code": _sent_status(entry),
        "error.type": (code or OTHER) if _is_failed(entry) else None,
        "llm_relay.request_id": entry.request_id,
        "llm_relay.dialect": None if entry.dialect == "-" else entry.dialect,
        "llm_relay.client": entry.client or None,
        "llm_relay.router": entry.router,
        "llm_relay.candidate": _short(entry.candidate),
        "llm_relay.decision": entry.decision,
        "llm_relay.failover_from": entry.failover_from,
        "llm_relay.revision": entry.revision,
        "llm_relay.commit": entry.commit,
        "llm_relay.cost_usd": entry.cost,
        "llm_relay.error": code,
        "llm_relay.ended": entry.ended,
    }


def _of_attempt(trace: Recorded, attempt: Attempt, entry: Entry, *, last: bool) -> dict[str, Value | None]:
    model, progress = attempt.model, attempt.progress
    usage = Usage() if progress is None else believed(progress.usage)
    address, port = _address(model.provider.base_url)
    first = None
    if last and attempt.stream and entry.ttft_ms is not None:
        first = trace.started + entry.ttft_ms / 1000 - attempt.began
    return {
        "gen_ai.operation.name": attempt.operation,
        "gen_ai.provider.name": _PROVIDERS.get(model.provider.name, model.provider.name),
        "gen_ai.request.model": _short(model.name),
        "gen_ai.request.stream": attempt.stream or None,
        "gen_ai.response.model": _short(None if progress is None else progress.model),
        "gen_ai.response.finish_reasons": _finish(progress) if attempt.operation == "chat" else None,
        "gen_ai.response.time_to_first_chunk": first,
        "gen_ai.usage.input_tokens": usage.input,
        "gen_ai.usage.output_tokens": usage.output,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read,
        "gen_ai.usage.cache_write.input_tokens": usage.cache_write,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
        "server.address": address,
        "server.port": port,
        "error.type": _code_of(attempt, entry),
        "llm_relay.request_id": entry.request_id,
        "llm_relay.role": attempt.role,
        "llm_relay.model": _short(model.id),
        "llm_relay.router": entry.router,
        "llm_relay.revision": entry.revision,
        "llm_relay.decision": entry.decision if attempt.role == "candidate" and last else None,
        "llm_relay.designator.outcome": entry.designator_outcome if attempt.role == "designator" else None,
        "llm_relay.ended": "client_left" if last and entry.ended == "client_left" else None,
    }


def _finish(progress: Progress | Answer | None) -> tuple[str]:
    # One choice is asked for, and a reason that was expected and did not come is an error (note 18 of the page).
    return ("error",) if progress is None or progress.finish is None else (progress.finish,)


def _code_of(attempt: Attempt, entry: Entry) -> str | None:
    """The error that ended a request to a provider; None also where the client left."""
    if attempt.ended is None and entry.ended != "client_left":
        # Cut short by the gateway itself.
        return _short(entry.code)
    return _short(attempt.code)


def _sent_status(entry: Entry) -> int | None:
    """The HTTP status that the client was sent; None where it left before."""
    if entry.ttft_ms is not None:
        # Whatever came after the head of the answer could not change it any more.
        return 200
    return entry.status if entry.status not in (0, 499) else None


def _is_failed(entry: Entry) -> bool:
    return entry.ended in ("error", "upstream_cut") and (entry.ttft_ms is not None or entry.status >= 500)


@lru_cache(maxsize=256)
def _address(base_url: str) -> tuple[str | None, int | None]:
    """Host and port; neither for the sandbox."""
    url = urlsplit(base_url)
    port = url.port or _PORTS.get(url.scheme)
    return (url.hostname, port) if port else (None, None)


def _short(text: str | None) -> str | None:
    return text[:_FOREIGN_TEXT] if text else None


def _known(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value is not None}


def _at(trace: Recorded, moment: float) -> int:
    return trace.epoch + int(moment * 1e9)
