"""A collector: OTLP over HTTP, https://opentelemetry.io/docs/specs/otlp/#otlphttp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as RawSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.faultserver import FaultServer, Request, Script, answer


@dataclass(frozen=True)
class Span:
    """A span as it arrived; ids are hex, ``parent`` is empty for a root."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    begin: int
    end: int
    failed: bool
    state: str
    attributes: dict[str, Any]
    resource: dict[str, Any]

    @property
    def role(self) -> str:
        """``designator`` or ``candidate``; empty for the span of the client's request."""
        return str(self.attributes.get("llm_relay.role", ""))


class Collector(FaultServer):
    """Keeps what it is sent; what :attr:`instead` holds it does in place of an answer."""

    def __init__(self) -> None:
        super().__init__(respond=self._take)
        self.spans: list[Span] = []
        self.instead: Script = ()

    def environ(self) -> dict[str, str]:
        """The variables of a gateway that sends spans here, soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    async def trace(self, request_id: str, attempts: int) -> tuple[Span, list[Span]]:
        """The span of a request, and those of its ``attempts`` in the order of their beginning."""

        def of_it() -> list[Span]:
            return [span for span in self.spans if span.attributes.get("llm_relay.request_id") == request_id]

        await self.until(lambda: any(span.kind == "SERVER" for span in of_it()))
        [server] = (span for span in of_it() if span.kind == "SERVER")
        others = sorted((span for span in of_it() if span is not server), key=lambda span: span.begin)
        assert len(others) == attempts
        return server, others

    def _take(self, request: Request) -> Script:
        if self.instead:
            return self.instead
        assert request.target == "/v1/traces"
        assert request.headers["content-type"] == "application/x-protobuf"
        for group in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            resource = _values(group.resource.attributes)
            self.spans += [_span(span, resource) for scope in group.scope_spans for span in scope.spans]
        return [answer(b"", content_type="application/x-protobuf")]


def _span(span: RawSpan, resource: dict[str, Any]) -> Span:
    assert not span.status.message
    return Span(
        name=span.name,
        kind=RawSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        begin=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=span.status.code == Status.StatusCode.STATUS_CODE_ERROR,
        state=span.trace_state,
        attributes=_values(span.attributes),
        resource=resource,
    )


def _values(pairs: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    pair: KeyValue
    for pair in pairs:
        found[pair.key] = _value(pair.value)
    return found


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None
