"""The application: every route in one place."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException

from gateway.errors import InternalError, MethodNotAllowed, NotFound, RelayError
from gateway.relay import error_headers
from gateway.server import chats, embeddings, listings, operations
from gateway.server.edge import by_path
from gateway.server.services import Services


def build(services: Services) -> Litestar:
    """The ASGI application over ``services``, which start and stop with it."""
    return Litestar(
        route_handlers=[
            *chats.routes(services),
            *embeddings.routes(services),
            *listings.routes(services),
            *operations.routes(services),
        ],
        on_startup=[services.start],
        on_shutdown=[services.stop],
        exception_handlers={HTTPException: _http_error, Exception: _defect},
        openapi_config=None,
        logging_config=None,
    )


def _http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What the framework itself refuses: a path or a method that no route has."""
    if error.status_code == 405:
        return _answer(request, MethodNotAllowed("that path has no such method"))
    if error.status_code == 404:
        return _answer(request, NotFound("no such path"))
    return _answer(request, InternalError("the gateway failed"))


def _defect(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    return _answer(request, InternalError("the gateway failed"))


def _answer(request: Request[Any, Any, Any], error: RelayError) -> Response[bytes]:
    status, body = by_path(request.scope).encode_error(error, "")
    headers = {name.decode(): value.decode() for name, value in error_headers(error)}
    return Response(body, status_code=status, media_type="application/json", headers=headers)
