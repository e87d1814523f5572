"""``POST /status/explain``: one decision, step by step, as the running gateway would make it."""

from __future__ import annotations

import time
from typing import Any

from litestar.handlers import ASGIRouteHandler

from gateway.config.model import Client, Snapshot
from gateway.errors import BadRequest, ModelNotFound
from gateway.explain.assessments import Background
from gateway.explain.steps import explain, request_of
from gateway.generation import Generation
from gateway.server.edge import Request, endpoint, fixed, json, reply
from gateway.server.services import Services
from gateway.wire import body as bodies

#: What the body says beside the request itself, whose fields are those of the OpenAI API.
_OWN = frozenset({"router", "ask", "live", "client", "session"})


def routes(services: Services) -> list[ASGIRouteHandler]:
    """For operators: it shows a router's prompt, and may ask the designator."""
    path, dialect = "/status/explain", fixed("openai")
    return [endpoint(services, path, _explain, methods={"POST"}, dialect=dialect, access="operator")]


async def _explain(services: Services, request: Request) -> None:
    """``router``, and ``ask`` or ``messages``; with ``"live": false`` no designator is asked outside the sandbox.

    ``client`` and ``session`` are what the request would come with; sessions are looked at, and nothing is remembered.
    """
    values = bodies.parse(await request.body(strict=True)).values
    generation = request.generation
    name, ask = _text(values, "router"), _text(values, "ask")
    if name is None:
        raise BadRequest("missing_router", "router must name the router to explain", param="router")
    router = generation.router(name)
    if router is None:
        raise ModelNotFound("there is no such router")
    live = values.get("live", True)
    if not isinstance(live, bool):
        raise BadRequest("invalid_live", "live must be true or false", param="live")
    explanation = await explain(
        generation,
        router,
        request_of(router.name, {key: value for key, value in values.items() if key not in _OWN}, ask),
        services.upstream,
        _background(services, generation),
        asking="always" if live else "never",
        metrics=services.metrics,
        health=services.health,
        remembered=services.sessions,
        client=_client(generation.snapshot, _text(values, "client")),
        session=_text(values, "session"),
    )
    await reply(request, json(explanation))


def _background(services: Services, generation: Generation) -> Background:
    trouble = services.feed.trouble
    unread = f"ChromaDB cannot be read now: {trouble}" if trouble else ""
    return Background(time.time(), services.feed.assessments(generation.snapshot), unread)


def _text(values: dict[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise BadRequest(f"invalid_{name}", f"{name} must be a string", param=name)
    return value


def _client(snapshot: Snapshot, name: str | None) -> Client | None:
    if name is None:
        return None
    for client in snapshot.clients:
        if client.name == name:
            return client
    raise BadRequest("invalid_client", "client must name a client of the configuration", param="client")
