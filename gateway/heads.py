"""The response headers that are the gateway's own."""

from __future__ import annotations

import math
import time

from gateway.call import Call, State
from gateway.errors import RelayError, UpstreamRejected
from gateway.generation import Headers


def answer_headers(call: Call, state: State) -> Headers:
    """The headers that every answer to a chat carries, errors included."""
    now = time.perf_counter()
    relay = now - call.started - state.designator_seconds - state.upstream_seconds
    timing = "designator;dur=%.1f, upstream;dur=%.1f, relay;dur=%.1f" % (  # noqa: UP031 - three times as fast
        state.designator_seconds * 1000,
        state.upstream_seconds * 1000,
        relay * 1000 if relay > 0 else 0.0,
    )
    own = [(b"x-request-id", call.request_id.encode()), (b"server-timing", timing.encode())]
    router, decision, model = state.router, state.decision, state.model
    if router is None:
        return [*own, (b"x-llm-relay-revision", call.generation.revision_header)]
    if decision is None or model is None:
        revision = (b"x-llm-relay-revision", call.generation.revision_header)
        return [*own, (b"x-llm-relay-router", router.name.encode()), revision]
    return [*call.generation.decided_headers(router, model, decision.reason), *own]


def error_headers(error: RelayError) -> Headers:
    """The headers that belong to an error alone."""
    headers: Headers = []
    if not isinstance(error, UpstreamRejected):
        headers.append((b"x-llm-relay-error", error.code.encode()))
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after))).encode()))
    return headers
