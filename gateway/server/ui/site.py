"""The site: which path is which page, and what goes out with each of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl

from litestar.handlers import ASGIRouteHandler

from gateway.errors import NotFound, RelayError
from gateway.generation import Headers
from gateway.heads import error_headers
from gateway.server.edge import Refusal, Request, by_path, endpoint, reply
from gateway.server.services import Services
from gateway.server.ui import configuration, look, overview, routers, traffic, usage
from gateway.server.ui.view import Download, Elsewhere, Page, View

#: No page needs anything from elsewhere, and none may be shown inside another one.
SECURITY: Headers = [
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_HTML = b"text/html; charset=utf-8"
#: What somebody may have looked at is nobody else's, not even a cache's.
_FRESH: Headers = [(b"cache-control", b"no-store")]
#: An asset's address changes with its content.
_KEPT: Headers = [(b"cache-control", b"private, max-age=31536000, immutable")]

_STATIC = Path(__file__).parent / "static"
_ASSETS = {"ui.css": b"text/css; charset=utf-8", "refresh.js": b"text/javascript; charset=utf-8"}

Answer = Page | Download | Elsewhere
_PAGES: dict[str, Callable[[View], Answer]] = {
    "": overview.overview,
    "routers": routers.routers,
    "decisions": traffic.decisions,
    "usage": usage.usage,
    "usage.csv": usage.export,
    "usage.json": usage.export,
    "config": configuration.configuration,
}
_BELOW: dict[str, Callable[[View, str], Answer]] = {"routers": routers.router, "decisions": traffic.decision}
_PATH = re.compile(r"^(?:/[A-Za-z0-9._-]+){0,2}/?$")


def routes(services: Services) -> list[ASGIRouteHandler]:
    """For operators, as status is."""
    read = {"GET", "HEAD"}
    return [
        endpoint(
            services, "/ui", _serve, methods=read, dialect=by_path, access="operator", below=True, page=_error_page
        )
    ]


async def _serve(services: Services, request: Request) -> None:
    path = request.scope["path"]
    if not _PATH.match(path) and path != "":
        raise NotFound("there is no such page")
    first, _, rest = path.strip("/").partition("/")
    if first == "static":
        await _asset(request, rest)
        return
    query = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), max_num_fields=32))
    view = View(services, request.generation, query, path.strip("/"))
    # The ledger is a file, and a page takes a while to write: neither may keep requests waiting.
    answer = await asyncio.to_thread(_answer, view, first, rest)
    headers = [*SECURITY, *_FRESH]
    match answer:
        case str():
            await reply(request, answer.encode(), content_type=_HTML, headers=headers)
        case Download():
            headers.append((b"content-disposition", f'attachment; filename="{answer.name}"'.encode()))
            await reply(request, answer.body, content_type=answer.content_type, headers=headers)
        case Elsewhere():
            headers.append((b"location", answer.path.encode()))
            await request.exchange.whole(303, headers, b"")


def _answer(view: View, first: str, rest: str) -> str | Download | Elsewhere:
    if rest:
        below = _BELOW.get(first)
        answer = None if below is None else below(view, rest)
    else:
        page = _PAGES.get(first)
        answer = None if page is None else page(view)
    if answer is None:
        raise NotFound("there is no such page")
    return look.render(answer, view) if isinstance(answer, Page) else answer


async def _asset(request: Request, name: str) -> None:
    content_type = _ASSETS.get(name)
    if content_type is None:
        raise NotFound("there is no such page")
    body = await asyncio.to_thread((_STATIC / name).read_bytes)
    await reply(request, body, content_type=content_type, headers=[*SECURITY, *_KEPT])


async def _error_page(error: RelayError, request_id: str) -> Refusal:
    headers: Headers = [
        (b"content-type", _HTML),
        (b"x-request-id", request_id.encode()),
        *SECURITY,
        *_FRESH,
        *error_headers(error),
    ]
    if error.status == 401:
        # Browsers ask for a name, which does not matter, and a password: an operator's key.
        headers.append((b"www-authenticate", b'Basic realm="LLM Relay", charset="UTF-8"'))
    page = await asyncio.to_thread(look.render_error, error)
    return headers, error.status, page.encode()
