"""What operators and their machines ask for: probes, metrics, status."""

from __future__ import annotations

import time
from typing import Any

from litestar.handlers import ASGIRouteHandler

from gateway.config.model import Router
from gateway.config.units import spell_share
from gateway.intelligence.assessment import Assessment
from gateway.server.edge import Request, by_path, endpoint, json, reply
from gateway.server.services import Services


def routes(services: Services) -> list[ASGIRouteHandler]:
    """Probes and metrics are open, as is usual; status is for operators."""
    read = {"GET", "HEAD"}
    return [
        endpoint(services, "/livez", _live, methods=read, dialect=by_path, access="open"),
        endpoint(services, "/readyz", _ready, methods=read, dialect=by_path, access="open"),
        endpoint(services, "/metrics", _metrics, methods=read, dialect=by_path, access="open"),
        endpoint(services, "/status", _status, methods=read, dialect=by_path, access="operator"),
    ]


async def _live(services: Services, request: Request) -> None:
    await reply(request, b"ok\n", content_type=b"text/plain; charset=utf-8")


async def _ready(services: Services, request: Request) -> None:
    # A worker serves from its first generation on, and a refused change does not make it less ready.
    await reply(request, b"ready\n", content_type=b"text/plain; charset=utf-8")


async def _metrics(services: Services, request: Request) -> None:
    accept = next((value for name, value in request.headers if name == b"accept"), b"")
    services.metrics.sessions.set(len(services.sessions))
    content_type, body = services.metrics.render(accept.decode("latin-1"))
    await reply(request, body, content_type=content_type.encode())


async def _status(services: Services, request: Request) -> None:
    await reply(request, json(status(services)))


def status(services: Services) -> dict[str, Any]:
    """Desired versus applied, and what is applied. Secrets have no place in it."""
    holder = services.holder
    snapshot, desired = holder.current.snapshot, holder.desired
    # Lockfiles are no part of a generation, but they are wanted like one.
    beside = services.feed.problems
    return {
        "revision": snapshot.revision,
        "commit": snapshot.commit,
        "applied_at": _rfc3339(holder.applied_at),
        "desired": {
            "revision": desired.revision,
            "ok": desired.ok and not beside,
            "seen_at": _rfc3339(desired.seen_at),
            "problems": (*desired.problems, *beside),
        },
        "routers": [_router(services, router) for router in snapshot.routers.values()],
    }


def _router(services: Services, router: Router) -> dict[str, Any]:
    policy = services.holder.current.policies[router.name]
    assessments = services.feed.known(router)
    return {
        "name": router.name,
        "description": router.description,
        "purpose": router.purpose,
        "file": router.file,
        "line": router.line,
        "strategy": router.strategy,
        "tags": list(router.tags),
        "designator": {"model": router.designator.model.id, "timeout_ms": round(router.designator.timeout * 1000)},
        "prompt_digest": policy.digest,
        **_intelligence(services, router),
        **_record(router),
        "candidates": [
            {
                "model": candidate.id,
                "purpose": candidate.purpose,
                "fallback": candidate == router.fallback,
                **_assessment(assessments.get(candidate.id)),
            }
            for candidate in router.candidates
        ],
    }


def _intelligence(services: Services, router: Router) -> dict[str, Any]:
    """Where a router's assessments come from, and why they cannot be read now."""
    if router.intelligence is None:
        return {}
    source = router.intelligence.source
    trouble = services.feed.trouble if source == "chroma" else ""
    return {"intelligence": {"source": source, "trouble": trouble}}


def _record(router: Router) -> dict[str, Any]:
    """Whether samples of the router's requests are kept, how many and for how long."""
    if router.record is None:
        return {}
    return {"record": {"sample": spell_share(router.record.sample), "days": router.record.days}}


def _assessment(known: Assessment | None) -> dict[str, Any]:
    """What the web says of a candidate, with its sources; an expired one is shown, and not used any more."""
    if known is None:
        return {}
    shown = {
        "text": known.text,
        "confidence": known.confidence,
        "sources": known.sources,
        "summarizer": known.summarizer,
        "generated_at": known.generated_at,
        "expires_at": known.expires_at,
        "used": time.time() < known.expires,
    }
    return {"assessment": shown}


def _rfc3339(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
