"""The wire: what the gateway says to a provider that speaks the Messages API, and hears from it."""

from __future__ import annotations

from gateway.chat import Answer, ChatRequest
from gateway.errors import UpstreamError
from gateway.wire.anthropic import answer, encode, errors, headers, stream
from gateway.wire.protocol import Progress, Target


class AnthropicWire:
    """See :class:`gateway.wire.protocol.Wire`."""

    name = "anthropic"
    stream_type = "text/event-stream"
    stream_types = frozenset({"text/event-stream", "text/plain", ""})
    forward_headers = headers.FORWARD
    return_headers = headers.RETURN

    def auth_headers(self, key: str | None) -> list[tuple[bytes, bytes]]:
        """``x-api-key`` and ``anthropic-version``."""
        return headers.auth(key)

    def filter_header(self, name: bytes, value: bytes) -> bytes | None:
        """The version as it is; of the betas those that are a client's to choose."""
        return headers.filtered(name, value)

    def encode_request(self, request: ChatRequest, target: Target) -> tuple[str, bytes]:
        """See :func:`gateway.wire.anthropic.encode.encode_request`."""
        return encode.encode_request(request, target)

    def decoder(self) -> stream.Decoder:
        """A stream to hub events."""
        return stream.Decoder()

    def watch(self, request: ChatRequest) -> stream.Watch:
        """A stream passed on; nothing in it depends on the request."""
        return stream.Watch()

    def decode_answer(self, body: bytes) -> Answer:
        """A whole message."""
        return answer.decode_answer(body)

    def watch_answer(self, body: bytes) -> Progress:
        """A whole message that passes through."""
        return answer.watch_answer(body)

    def decode_error(self, status: int, body: bytes, content_type: str) -> UpstreamError:
        """An answer with an error status."""
        return errors.decode_error(status, body, content_type)
