"""OpenAI's chat completions: a provider's wire and a client's dialect, and the legacy completions as a second dialect.

Most providers speak this wire, each with words of its own; what they really send is known to
:mod:`gateway.wire.openai.chunks` and :mod:`gateway.wire.openai.calls`.
"""

from __future__ import annotations

from gateway.chat import Answer, ChatRequest
from gateway.errors import RelayError, UpstreamError
from gateway.wire.openai import answer as answers
from gateway.wire.openai import completions, encode, encoder, errors, request, stream
from gateway.wire.protocol import Decoder, Dialect, Encoder, Progress, Target, Watch, Wire

_RATE_LIMITS = (
    f"x-ratelimit-{kind}-{unit}" for kind in ("limit", "remaining", "reset") for unit in ("requests", "tokens")
)


class _OpenAI:
    """The wire."""

    name = "openai"
    stream_type = "text/event-stream"
    stream_types = frozenset({"text/event-stream", "text/plain", "application/octet-stream", ""})
    #: Organisation, project and beta headers choose accounts and features: the operator's to choose.
    forward_headers: frozenset[str] = frozenset()
    return_headers = frozenset({"openai-processing-ms", *_RATE_LIMITS})

    def auth_headers(self, key: str | None) -> list[tuple[bytes, bytes]]:
        return [] if key is None else [(b"authorization", b"Bearer " + key.encode())]

    def filter_header(self, name: bytes, value: bytes) -> bytes | None:
        return None

    def encode_request(self, request: ChatRequest, target: Target) -> tuple[str, bytes]:
        return encode.encode_request(request, target)

    def decoder(self) -> Decoder:
        return stream.Decoder()

    def watch(self, request: ChatRequest) -> Watch:
        return stream.Watch(request)

    def decode_answer(self, body: bytes) -> Answer:
        return answers.decode_answer(body)

    def watch_answer(self, body: bytes) -> Progress:
        return answers.watch_answer(body)

    def decode_error(self, status: int, body: bytes, content_type: str) -> UpstreamError:
        return errors.decode_error(status, body, content_type)


class _ChatCompletions:
    """``POST /v1/chat/completions``."""

    name = "openai"
    wire = "openai"
    stream_type = b"text/event-stream"
    strict_content_type = True

    def decode_request(self, body: bytes) -> ChatRequest:
        return request.decode_request(body)

    def check_translatable(self, asked: ChatRequest) -> None:
        request.check_translatable(asked)

    def encoder(self, request: ChatRequest, model: str, answer_id: str, created: float) -> Encoder:
        return encoder.ChatEncoder(request, model, answer_id, created)

    def encode_answer(self, answer: Answer, request: ChatRequest, model: str, answer_id: str, created: float) -> bytes:
        return answers.encode_answer(answer, request, model, answer_id, created)

    def encode_error(self, error: RelayError, request_id: str) -> tuple[int, bytes]:
        return errors.encode_error(error, request_id)


class _Completions:
    """``POST /v1/completions``."""

    name = "openai.completions"
    wire = ""
    stream_type = b"text/event-stream"
    strict_content_type = True

    def decode_request(self, body: bytes) -> ChatRequest:
        return completions.decode_request(body)

    def check_translatable(self, request: ChatRequest) -> None:
        """Nothing: a prompt is a chat of one turn."""

    def encoder(self, request: ChatRequest, model: str, answer_id: str, created: float) -> Encoder:
        return encoder.TextEncoder(request, model, answer_id, created)

    def encode_answer(self, answer: Answer, request: ChatRequest, model: str, answer_id: str, created: float) -> bytes:
        return completions.encode_answer(answer, request, model, answer_id, created)

    def encode_error(self, error: RelayError, request_id: str) -> tuple[int, bytes]:
        return errors.encode_error(error, request_id)


WIRE: Wire = _OpenAI()
DIALECT: Dialect = _ChatCompletions()
COMPLETIONS: Dialect = _Completions()
