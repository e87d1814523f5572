"""The dialect: what clients of ``POST /v1/messages`` and ``/v1/messages/count_tokens`` say and hear."""

from __future__ import annotations

from gateway.chat import Answer, ChatRequest
from gateway.errors import BadRequest, RelayError
from gateway.wire.anthropic import answer as answers
from gateway.wire.anthropic import decode, errors
from gateway.wire.anthropic.events import Encoder


class AnthropicDialect:
    """See :class:`gateway.wire.protocol.Dialect`."""

    name = "anthropic"
    wire = "anthropic"
    stream_type = b"text/event-stream; charset=utf-8"
    strict_content_type = True

    def decode_request(self, body: bytes) -> ChatRequest:
        """A request for a message."""
        return decode.decode_request(body)

    def decode_count(self, body: bytes) -> ChatRequest:
        """A request to count its tokens: the same, without ``max_tokens``."""
        return decode.decode_count(body)

    def check_translatable(self, request: ChatRequest) -> None:
        """Raise BadRequest unsupported where a tool must be called that only Anthropic's servers can run."""
        choice = request.tool_choice
        if choice is not None and choice.mode == "named" and all(tool.name != choice.name for tool in request.tools):
            raise BadRequest("unsupported", "the chosen model cannot call that server tool", param="tool_choice.name")
        if choice is not None and choice.mode == "required" and not request.tools:
            raise BadRequest("unsupported", "the chosen model can call none of these server tools", param="tool_choice")

    def encoder(self, request: ChatRequest, model: str, answer_id: str, created: float) -> Encoder:
        """An event stream; the format has no place for ``created``."""
        return Encoder(model, answer_id)

    def encode_answer(self, answer: Answer, request: ChatRequest, model: str, answer_id: str, created: float) -> bytes:
        """A whole message."""
        return answers.encode_answer(answer, model, answer_id)

    def encode_error(self, error: RelayError, request_id: str) -> tuple[int, bytes]:
        """HTTP status and body."""
        return errors.encode_error(error, request_id)
