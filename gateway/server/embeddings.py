"""The endpoints that answer embeddings."""

from __future__ import annotations

from litestar.handlers import ASGIRouteHandler

from gateway.embed import embed
from gateway.server.edge import Handler, Request, endpoint, fixed, reply
from gateway.server.services import Services
from gateway.wire import embeddings
from gateway.wire.embeddings import EmbeddingDialect

#: Path, dialect, whether a JSON content type is required, and the dialect of errors.
_ENDPOINTS: tuple[tuple[str, EmbeddingDialect, bool, str], ...] = (
    ("/v1/embeddings", "openai", True, "openai"),
    ("/api/embed", "ollama", False, "ollama"),
    ("/api/embeddings", "ollama.embeddings", False, "ollama"),
)


def routes(services: Services) -> list[ASGIRouteHandler]:
    """OpenAI's endpoint, Ollama's, and Ollama's older one."""
    return [
        endpoint(services, path, _embed(dialect, strict=strict), methods={"POST"}, dialect=fixed(errors), traced=True)
        for path, dialect, strict, errors in _ENDPOINTS
    ]


def _embed(dialect: EmbeddingDialect, *, strict: bool) -> Handler:
    async def handle(services: Services, request: Request) -> None:
        wanted = embeddings.decode_request(dialect, await request.body(strict=strict))
        headers, body = await embed(
            services.relay,
            request.generation,
            request.client,
            wanted,
            request_id=request.request_id,
            tags=request.tags(),
            via=request.via(),
            started=request.started,
            trace=request.trace(services.tracer),
        )
        await reply(request, body, headers=headers)

    return handle
