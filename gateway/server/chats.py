"""The endpoints that answer chats, in every dialect."""

from __future__ import annotations

import time

from litestar.handlers import ASGIRouteHandler

from gateway.call import Call
from gateway.config.model import Router
from gateway.relay import MAX_ANSWER
from gateway.routing.eligible import needs
from gateway.server.edge import Handler, Request, endpoint, fixed, json, reply
from gateway.server.services import Services
from gateway.wire import DIALECTS, anthropic, ollama
from gateway.wire.forward import forward
from gateway.wire.protocol import Dialect

#: Path and dialect of every chat endpoint.
PATHS = {
    "/api/chat": "ollama",
    "/api/generate": "ollama.generate",
    "/v1/chat/completions": "openai",
    "/v1/completions": "openai.completions",
    "/v1/messages": "anthropic",
}


def routes(services: Services) -> list[ASGIRouteHandler]:
    """One route per endpoint."""
    chats = [
        endpoint(services, path, _chat(DIALECTS[name]), methods={"POST"}, dialect=fixed(name), traced=True)
        for path, name in PATHS.items()
    ]
    count = endpoint(services, "/v1/messages/count_tokens", _count_tokens, methods={"POST"}, dialect=fixed("anthropic"))
    return [*chats, count]


def _chat(dialect: Dialect) -> Handler:
    async def chat(services: Services, request: Request) -> None:
        chat_request = dialect.decode_request(await request.body(strict=dialect.strict_content_type))
        if not chat_request.messages:
            # Ollama's clients ask for nothing to have a model loaded; here every model is.
            await reply(request, ollama.load_answer(chat_request, time.time()))
            return
        call = Call(
            generation=request.generation,
            dialect=dialect,
            request=chat_request,
            request_id=request.request_id,
            client=request.client,
            session=request.session(),
            tags=request.tags(),
            headers=request.headers,
            via=request.via(),
            started=request.started,
            trace=request.trace(services.tracer),
        )
        await services.relay.chat(call, request.exchange)

    return chat


async def _count_tokens(services: Services, request: Request) -> None:
    """Exact where the model's own provider counts, else the estimate that routing goes by."""
    body = await request.body(strict=True)
    wanted = anthropic.DIALECT.decode_count(body)
    found = request.generation.resolve(wanted.model, request.client)
    if isinstance(found, Router) or found.provider.wire != "anthropic":
        await reply(request, json({"input_tokens": needs(wanted).tokens}))
        return
    # No model generates anything here: there is no span, and the client's context goes on as it came.
    trace = request.trace(None)
    headers = () if trace is None else trace.attempt(found).headers
    upstream = await services.relay.upstream.open(
        found.provider,
        "/v1/messages/count_tokens",
        forward(wanted.fields, found.name),
        accept=b"application/json",
        headers=(request.via(), *headers),
        streamed=False,
    )
    try:
        await reply(request, await upstream.read_json(MAX_ANSWER))
    finally:
        upstream.close()
