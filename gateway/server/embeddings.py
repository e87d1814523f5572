"""The endpoints that answer embeddings."""

from __future__ import annotations

from litestar.handlers import ASGIRouteHandler

from gateway.embed import embed
from gateway.server.edge import Handler, Request, endpoint, fixed, reply
from gateway.server.services import Services
from gateway.wire import embeddings
from gateway.wire.embeddings import EmbeddingDialect


def routes(services: Services) -> list[ASGIRouteHandler]:
    """OpenAI's endpoint, Ollama's, and Ollama's older one."""
    return [
        endpoint(services, "/v1/embeddings", _embed("openai", strict=True), methods={"POST"}, dialect=fixed("openai")),
        endpoint(services, "/api/embed", _embed("ollama", strict=False), methods={"POST"}, dialect=fixed("ollama")),
        endpoint(
            services,
            "/api/embeddings",
            _embed("ollama.embeddings", strict=False),
            methods={"POST"},
            dialect=fixed("ollama"),
        ),
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
        )
        await reply(request, body, headers=headers)

    return handle
