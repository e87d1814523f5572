"""Ollama's wire and its two dialects, as the tables of :mod:`gateway.wire` want them."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.chat import Answer, ChatRequest
from gateway.errors import RelayError, UpstreamError
from gateway.wire.ollama import answer as answers
from gateway.wire.ollama import errors, provider, request, stream
from gateway.wire.ollama.encoder import Encoder, Shape
from gateway.wire.protocol import Progress, Target


class OllamaWire:
    """An Ollama server, or Ollama's cloud (:class:`gateway.wire.protocol.Wire`)."""

    name = "ollama"
    stream_type = "application/x-ndjson"
    # Some releases, and proxies in front of them, name every answer JSON.
    stream_types = frozenset({"application/x-ndjson", "application/json", "text/plain", ""})
    forward_headers: frozenset[str] = frozenset()
    return_headers: frozenset[str] = frozenset()

    def auth_headers(self, key: str | None) -> list[tuple[bytes, bytes]]:
        """A bearer token where there is a key: Ollama's cloud and proxies want one, a local server has none."""
        return [(b"authorization", b"Bearer " + key.encode())] if key else []

    def filter_header(self, name: bytes, value: bytes) -> bytes | None:
        """Nothing travels on."""
        return None

    def encode_request(self, request: ChatRequest, target: Target) -> tuple[str, bytes]:
        """See :func:`gateway.wire.ollama.provider.encode_request`."""
        return provider.encode_request(request, target)

    def decoder(self) -> stream.Decoder:
        """A machine for one streamed answer."""
        return stream.Decoder()

    def watch(self, request: ChatRequest) -> stream.Watch:
        """A machine that passes one streamed answer on."""
        return stream.Watch()

    def decode_answer(self, body: bytes) -> Answer:
        """A whole answer."""
        return answers.decode_answer(body)

    def watch_answer(self, body: bytes) -> Progress:
        """What must be known of a whole answer that passes through."""
        return answers.watch_answer(body)

    def decode_error(self, status: int, body: bytes, content_type: str) -> UpstreamError:
        """A provider's answer with an error status."""
        return errors.decode_error(status, body, content_type)


class OllamaDialect:
    """One of Ollama's endpoints (:class:`gateway.wire.protocol.Dialect`); ``clock`` is seconds since 1970."""

    wire = "ollama"
    stream_type = b"application/x-ndjson"
    strict_content_type = False

    def __init__(
        self,
        name: str,
        decode: Callable[[bytes], ChatRequest],
        shape: Shape,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._decode = decode
        self._shape = shape
        self._clock = clock

    def decode_request(self, body: bytes) -> ChatRequest:
        """The request; without messages it only loads a model (:func:`gateway.wire.ollama.load_answer`)."""
        return self._decode(body)

    def check_translatable(self, asked: ChatRequest) -> None:
        """Raise BadRequest unsupported where only an Ollama server can do what is ``asked``."""
        request.check_translatable(asked)

    def encoder(self, request: ChatRequest, model: str, answer_id: str, created: float) -> Encoder:
        """A machine for one streamed answer."""
        return Encoder(self._shape, model, answer_id, created, self._clock)

    def encode_answer(self, answer: Answer, request: ChatRequest, model: str, answer_id: str, created: float) -> bytes:
        """A whole answer."""
        return answers.encode_answer(self._shape, answer, model, answer_id, created, self._clock())

    def encode_error(self, error: RelayError, request_id: str) -> tuple[int, bytes]:
        """Status and body of an error."""
        return errors.encode_error(error, request_id)
