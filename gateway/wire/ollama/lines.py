"""One JSON object of an Ollama answer, as far as it is read here.

A streamed answer is many of them, one a line, the last with ``done: true``; a whole answer is one. ``/api/chat`` puts
the text into ``message``, ``/api/generate`` into ``response`` and ``thinking``; both end alike (api/types.go,
ChatResponse and GenerateResponse). Everything is optional, null counts as absent, unknown fields are skipped.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.chat import Failure, FinishReason, Usage
from gateway.errors import UpstreamInvalidResponse
from gateway.wire.ollama.errors import describe
from gateway.wire.text import lenient


class _Struct(msgspec.Struct, gc=False):
    pass


class Function(_Struct):
    """The called function; ``arguments`` is an object, though some servers write it as JSON text."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw("{}")


class Call(_Struct):
    """A tool call; only newer servers give it an id."""

    function: Function
    id: str | None = None

    def arguments(self) -> str:
        """The arguments as JSON text. Raises UpstreamInvalidResponse where they are no text at all."""
        raw = self.function.arguments
        try:
            text = bytes(raw).decode()
            if text.startswith('"'):
                text = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UpstreamInvalidResponse(_INVALID) from error
        return "{}" if text == "null" else text


class Message(_Struct):
    """A piece of a chat's answer."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None


class Line(_Struct):
    """A piece of an answer, or the whole of it."""

    message: Message | None = None
    response: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None
    done: bool | None = None
    done_reason: str | None = None
    model: str | None = None
    prompt_eval_count: int | float | None = None
    eval_count: int | float | None = None
    error: Any = None

    def piece(self) -> Message:
        """Text, thinking and calls, wherever they stand."""
        if self.message is not None:
            return self.message
        return Message(self.response, self.thinking, self.tool_calls)

    def usage(self) -> Usage:
        """Token totals; a server that had the whole prompt in its cache may not tell its length."""
        return Usage(_count(self.prompt_eval_count), _count(self.eval_count))

    def finish(self, called: bool) -> FinishReason:
        """Why the model stopped. Ollama says ``stop`` after a tool call, too."""
        if self.done_reason == "length":
            return "length"
        return "tool_calls" if called else "stop"

    def failure(self) -> Failure:
        """The error that this line is."""
        message, kind = describe(self.error)
        return Failure(message or "the provider reported an error", kind)


_decoder = msgspec.json.Decoder(Line)
_INVALID = "the provider's answer is not of Ollama's protocol"


def decode(raw: bytes) -> Line:
    """One line, or one whole body. Raises UpstreamInvalidResponse where it is not of this wire."""
    try:
        line = lenient(_decoder.decode, raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamInvalidResponse(_INVALID) from error
    if line.done is None and line.message is None and line.response is None and not line.error:
        raise UpstreamInvalidResponse(_INVALID)
    return line


def _count(value: float | None) -> int | None:
    return None if value is None or value < 0 else int(value)
