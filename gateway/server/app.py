"""The application: every route in one place."""

from __future__ import annotations

import logging
from typing import Any

from litestar import Litestar, Request, Response
from litestar.background_tasks import BackgroundTask
from litestar.exceptions import HTTPException

from gateway.errors import BadRequest, InternalError, NotFound, RelayError
from gateway.server import chats, embeddings, explain, listings, operations, ui
from gateway.server.edge import by_path, new_request_id, refusal
from gateway.server.exchange import drop_body
from gateway.server.listener import drop_silent_clients
from gateway.server.services import Services

log = logging.getLogger("llm_relay.server")


def build(services: Services) -> Litestar:
    """The ASGI application over ``services``, which start and stop with it."""
    return Litestar(
        route_handlers=[
            *chats.routes(services),
            *embeddings.routes(services),
            *listings.routes(services),
            *operations.routes(services),
            *explain.routes(services),
            *ui.routes(services),
        ],
        on_startup=[services.start, lambda: drop_silent_clients(services.settings.port)],
        on_shutdown=[services.stop],
        exception_handlers={HTTPException: _http_error, Exception: _defect},
        openapi_config=None,
        logging_config=None,
    )


def _http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What the framework itself refuses: a path that no route has, and a Host that is none."""
    if error.status_code == 404:
        return _answer(request, NotFound("no such path"))
    if error.status_code == 400:
        return _answer(request, BadRequest("invalid_host", "the request's Host header is malformed"))
    return _defect(request, error)


def _defect(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    log.error("a request failed before it reached its route: a defect", exc_info=error)
    return _answer(request, InternalError("the gateway failed"))


def _answer(request: Request[Any, Any, Any], error: RelayError) -> Response[bytes]:
    headers, status, body = refusal(by_path(request.scope), error, new_request_id())
    return Response(
        body,
        status_code=status,
        headers={name.decode(): value.decode() for name, value in headers},
        background=BackgroundTask(drop_body, request.receive),
    )
