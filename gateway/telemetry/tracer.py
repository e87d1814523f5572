"""OpenTelemetry's SDK in one worker: which traces are recorded, and how their spans get out.

Samplers, resource, batches and exporters are the SDK's own, and so are their variables
(https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/). Spans leave on the SDK's thread;
what its queue cannot hold is lost, and no request ever waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanKind, set_span_in_context

from gateway import __version__
from gateway.ledger import Entry
from gateway.telemetry.spans import remote, server_name, spans, tracestate
from gateway.tracecontext import RANDOM, SAMPLED, TraceContext
from gateway.tracing import Recorded, new_trace_id

#: Seconds that a worker waits at its end for a collector that takes its time.
FLUSH_SECONDS = 3.0
#: Seconds between two log lines about the same misery.
LOG_EVERY = 60.0
#: Whose words about a collector that cannot be reached are many.
_TALKERS = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")


class SDKTracer:
    """Records what the sampler chooses, and hands it to ``exporters`` (``otlp``, ``console``).

    Raises ValueError or OSError where a variable of the SDK's has a value that it does not take.
    """

    def __init__(self, exporters: Sequence[str]) -> None:
        for name in _TALKERS:
            logging.getLogger(name).addFilter(_Seldom())
        # What the variables say of resource and sampler is read here; it makes no span.
        provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._resource, self._sampler = provider.resource, provider.sampler
        self._processors = [BatchSpanProcessor(_exporter(name)) for name in exporters]

    def begin(self, parent: TraceContext | None, started: float, http: Mapping[str, str | int]) -> Recorded:
        """A request arrived at ``started``; ``parent`` is what its client says of the trace."""
        trace_id = new_trace_id() if parent is None else parent.trace_id
        context = Context()
        if (span := remote(parent, tracestate(parent))) is not None:
            context = set_span_in_context(NonRecordingSpan(span), context)
        chosen = self._sampler.should_sample(context, int(trace_id, 16), server_name(http), SpanKind.SERVER, http)
        sampled = chosen.decision is Decision.RECORD_AND_SAMPLE
        flags = RANDOM if parent is None else parent.flags & RANDOM
        return Recorded(
            trace_id,
            parent=parent,
            flags=flags | SAMPLED if sampled else flags,
            started=started,
            http=http,
            done=self._export if sampled else None,
        )

    async def aclose(self) -> None:
        """Export what is left, within :data:`FLUSH_SECONDS`."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            for processor in self._processors:
                processor.shutdown()  # type: ignore[no-untyped-call]
            loop.call_soon_threadsafe(done.set)

        # No executor: the process would wait for its threads at the end.
        threading.Thread(target=shut_down, daemon=True).start()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await done.wait()
        except TimeoutError:
            logging.getLogger("llm_relay.traces").warning("the collector did not take the last spans in time")

    def _export(self, trace: Recorded, entry: Entry) -> None:
        for span in spans(trace, entry, self._resource):
            for processor in self._processors:
                processor.on_end(span)


class _Seldom(logging.Filter):
    """Lets a message through once in :data:`LOG_EVERY` seconds, whatever it is filled with."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._last.get(record.msg, -LOG_EVERY) < LOG_EVERY:
            return False
        self._last[record.msg] = now
        return True


def _exporter(name: str) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter(formatter=lambda span: span.to_json(indent=None) + "\n")
    return OTLPSpanExporter()


def _resource() -> Resource:
    """What the variables say of this service, and who it is where they do not."""
    resource = Resource.create()
    own = {SERVICE_VERSION: __version__} if SERVICE_VERSION not in resource.attributes else {}
    # What the specification has a service called that was not given a name.
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        own[SERVICE_NAME] = "llm-relay"
    return resource.merge(Resource(own))
