"""What can be asked for, in every dialect; routers stand beside models, before them."""

from __future__ import annotations

from litestar.handlers import ASGIRouteHandler

from gateway.config.model import Client, Model, Router
from gateway.errors import BadRequest, NotFound
from gateway.server.edge import Request, by_version, endpoint, fixed, reply
from gateway.server.services import Services
from gateway.wire import body as bodies
from gateway.wire import listing

#: What ``/api/version`` says: the version of Ollama whose API this is, since clients switch features by it.
OLLAMA_VERSION = "0.13.0"


def routes(services: Services) -> list[ASGIRouteHandler]:
    """The listings of Ollama's API, and those that OpenAI's and Anthropic's share a path for."""
    read, ollama = {"GET", "HEAD"}, fixed("ollama")
    return [
        endpoint(services, "/", _root, methods=read, dialect=ollama, access="open"),
        endpoint(services, "/api/version", _version, methods=read, dialect=ollama, access="open"),
        endpoint(services, "/api/tags", _tags, methods=read, dialect=ollama),
        endpoint(services, "/api/ps", _ps, methods=read, dialect=ollama),
        endpoint(services, "/api/show", _show, methods={"POST"}, dialect=ollama),
        endpoint(services, "/v1/models", _models, methods=read, dialect=by_version, below=True),
    ]


async def _root(services: Services, request: Request) -> None:
    # Clients look for this very sentence.
    await reply(request, b"Ollama is running", content_type=b"text/plain; charset=utf-8")


async def _version(services: Services, request: Request) -> None:
    await reply(request, listing.ollama_version(OLLAMA_VERSION))


async def _tags(services: Services, request: Request) -> None:
    await reply(request, listing.ollama_tags(_entries(services, request)))


async def _ps(services: Services, request: Request) -> None:
    routers = (entry for entry in _entries(services, request) if entry.router)
    await reply(request, listing.ollama_ps(routers))


async def _show(services: Services, request: Request) -> None:
    values = bodies.parse(await request.body(strict=False)).values
    # "name" is how older clients say it.
    name = values.get("model") or values.get("name")
    if not isinstance(name, str):
        raise BadRequest("missing_model", "model must be a string", param="model")
    await reply(request, listing.ollama_show(_one(services, request, name)))


async def _models(services: Services, request: Request) -> None:
    """All of them, or the one whose name follows in the path."""
    path = request.scope["path"]
    if not path.startswith("/"):
        raise NotFound("no such path")
    anthropic = by_version(request.scope).name == "anthropic"
    if name := path.strip("/"):
        entry = _one(services, request, name)
        body = listing.anthropic_model(entry) if anthropic else listing.openai_model(entry)
    else:
        entries = _entries(services, request)
        body = listing.anthropic_models(entries) if anthropic else listing.openai_models(entries)
    await reply(request, body)


def _entries(services: Services, request: Request) -> list[listing.Entry]:
    snapshot, created = request.generation.snapshot, services.holder.applied_at
    client: Client | None = request.client
    allowed = None if client is None else client.routers
    entries = [
        _router(router, created) for router in snapshot.routers.values() if allowed is None or router.name in allowed
    ]
    if allowed is None:
        entries += [_model_entry(model, created) for model in snapshot.models.values()]
    return entries


def _one(services: Services, request: Request, name: str) -> listing.Entry:
    found, created = request.generation.resolve(name, request.client), services.holder.applied_at
    return _router(found, created) if isinstance(found, Router) else _model_entry(found, created)


def _model_entry(model: Model, created: float) -> listing.Entry:
    return listing.Entry(id=model.id, context=model.context, capabilities=model.capabilities, created=created)


def _router(router: Router, created: float) -> listing.Entry:
    """A router can do what one of its candidates can: the others are not asked for that."""
    models = [candidate.model for candidate in router.candidates]
    windows = [model.context for model in models]
    context = None if None in windows else max(window for window in windows if window is not None)
    known = frozenset().union(*(model.capabilities or () for model in models))
    return listing.Entry(
        id=router.name,
        router=True,
        description=router.description,
        context=context,
        capabilities=known,
        created=created,
    )
