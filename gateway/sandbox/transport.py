"""The sandbox in place of a network: an httpx transport."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import math
import struct
import zlib
from collections.abc import AsyncIterator

import httpx
import msgspec

from gateway.sandbox import wire
from gateway.sandbox.answers import NOTE, answer

#: The models that ``/models`` lists; any other name works too, as a plain echo.
MODELS = ("chat", "coder", "cut", "down", "fast", "slow", "writer")

_DIMENSIONS, _MAX_DIMENSIONS = 8, 1024
_JSON = (b"content-type", b"application/json")
_SSE = [(b"content-type", b"text/event-stream")]
_METHODS = {"chat/completions": "POST", "embeddings": "POST", "models": "GET"}


class SandboxTransport(httpx.AsyncBaseTransport):
    """Answers ``…/chat/completions``, ``…/embeddings`` and ``…/models``.

    ``slow`` is how many seconds the model of that name takes. A cancelled call ends at once and leaves nothing behind.
    """

    def __init__(self, *, slow: float = 3.0) -> None:
        self._slow = slow

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer to ``request``; only reading the answer of the model ``cut`` raises."""
        path = request.url.path
        name = next((name for name in _METHODS if path.endswith(f"/{name}")), None)
        if name is None:
            return _error(404, "There is no such path in the sandbox.")
        if request.method != _METHODS[name]:
            return _error(405, f"The sandbox answers {_METHODS[name]} here.")
        body = await request.aread()
        try:
            match name:
                case "chat/completions":
                    return await self._chat(body)
                case "embeddings":
                    return _json(200, _embeddings(wire.decode_embeddings(body)))
                case _:
                    return _json(200, _models())
        except msgspec.MsgspecError as error:
            return _error(400, f"The sandbox cannot read this request: {error}")

    async def _chat(self, body: bytes) -> httpx.Response:
        chat = wire.decode_chat(body)
        match chat.model:
            case "down":
                return _error(503, f"[sandbox/down] {NOTE} It is down on purpose.")
            case "slow":
                await asyncio.sleep(self._slow)
        reply = answer(chat, f"{zlib.crc32(body):08x}")
        cut = chat.model == "cut"
        if chat.stream:
            options = chat.stream_options
            events = wire.chunks(reply, usage=options is not None and options.include_usage is True)
            events = events[: len(events) // 2] if cut else events
            return httpx.Response(200, headers=_SSE, stream=_Events(events, cut=cut))
        whole = wire.whole(reply)
        return _json(200, whole, stream=_Events([whole[: len(whole) // 2]], cut=True) if cut else None)


class _Events(httpx.AsyncByteStream):
    """A body in pieces; ``cut`` breaks it off after them, as a lost connection does."""

    def __init__(self, events: list[bytes], *, cut: bool) -> None:
        self._events = events
        self._cut = cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for event in self._events:
            yield event
            # A stream that never suspends would starve every other request of this worker.
            await asyncio.sleep(0)
        if self._cut:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


def _json(status: int, body: bytes, *, stream: httpx.AsyncByteStream | None = None) -> httpx.Response:
    """A JSON body; ``stream`` is sent in place of it where it is to fail."""
    headers = [_JSON, (b"content-length", b"%d" % len(body))]
    return httpx.Response(status, headers=headers, stream=stream or httpx.ByteStream(body))


def _error(status: int, message: str) -> httpx.Response:
    return _json(status, wire.error(status, message))


def _models() -> bytes:
    models = [{"id": name, "object": "model", "created": wire.CREATED, "owned_by": "sandbox"} for name in MODELS]
    return wire.encode({"object": "list", "data": models})


def _embeddings(asked: wire.Embeddings) -> bytes:
    """One vector for a text or a list of token numbers, one each for several."""
    given = asked.input
    tokens = isinstance(given, list) and given and all(isinstance(each, int) for each in given)
    inputs = [given] if isinstance(given, str) or tokens else given
    size = min(max(asked.dimensions or _DIMENSIONS, 1), _MAX_DIMENSIONS)
    data = []
    for index, each in enumerate(inputs):
        vector = _vector(wire.encode(each), size)
        packed = asked.encoding_format == "base64"
        value = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode() if packed else vector
        data.append({"object": "embedding", "index": index, "embedding": value})
    count = sum(len(each.split()) if isinstance(each, str) else 1 for each in inputs)
    usage = {"prompt_tokens": count, "total_tokens": count}
    return wire.encode({"object": "list", "data": data, "model": asked.model, "usage": usage})


def _vector(text: bytes, size: int) -> list[float]:
    """A vector of length 1 that depends on nothing but ``text``. It has no meaning: near texts are not near."""
    raw = [byte - 127.5 for byte in hashlib.shake_128(text).digest(size)]
    length = math.sqrt(sum(value * value for value in raw))
    return [value / length for value in raw]
