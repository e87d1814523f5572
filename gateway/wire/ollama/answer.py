"""Whole answers: from a provider, and to a client."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.chat import Answer, ChatRequest, Reasoning, Text, ToolCall
from gateway.errors import UpstreamFailed, UpstreamInvalidResponse
from gateway.wire.ollama.encoder import CHAT, GENERATE, Shape, done_reason, metrics, timestamp, tool_calls
from gateway.wire.ollama.lines import Line, decode
from gateway.wire.ollama.request import unloads
from gateway.wire.ollama.stream import new_call_id, note
from gateway.wire.protocol import Progress


def decode_answer(body: bytes) -> Answer:
    """A whole answer. Raises UpstreamInvalidResponse where it is none, UpstreamFailed where it is an error."""
    line = _whole(body)
    piece = line.piece()
    parts: list[Text | Reasoning | ToolCall] = []
    if piece.thinking:
        parts.append(Reasoning(piece.thinking))
    if piece.content:
        parts.append(Text(piece.content))
    calls = piece.tool_calls or ()
    parts.extend(ToolCall(call.id or new_call_id(), call.function.name, call.arguments()) for call in calls)
    return Answer(None, line.model, tuple(parts), line.finish(bool(calls)), line.usage())


def watch_answer(body: bytes) -> Progress:
    """What must be known of a whole answer that passes through; raises as :func:`decode_answer`."""
    progress = Progress()
    note(progress, _whole(body))
    return progress


def _whole(body: bytes) -> Line:
    line = decode(body)
    if line.error:
        failure = line.failure()
        raise UpstreamFailed(failure.message)
    if not line.done or (line.message is None and line.response is None):
        raise UpstreamInvalidResponse("the provider's answer is not a whole answer of Ollama's protocol")
    return line


def encode_answer(shape: Shape, answer: Answer, model: str, answer_id: str, created: float, now: float) -> bytes:
    """A whole answer; parameters as for :class:`~gateway.wire.ollama.encoder.Encoder`."""
    text = "".join(part.text for part in answer.parts if isinstance(part, Text))
    thinking = "".join(part.text for part in answer.parts if isinstance(part, Reasoning))
    called = [part for part in answer.parts if isinstance(part, ToolCall)]
    named = [
        call if call.id else ToolCall(f"call_{answer_id}_{position}", call.name, call.arguments)
        for position, call in enumerate(called)
    ]
    beside: dict[str, Any] = {}
    if thinking:
        beside["thinking"] = thinking
    if calls := tool_calls(named, answer.finish):
        beside["tool_calls"] = calls
    return msgspec.json.encode(
        {
            "model": answer.model or model,
            "created_at": timestamp(created),
            **_content(shape, text or answer.refusal or "", beside),
            "done": True,
            "done_reason": done_reason(answer.finish),
            **metrics(answer.usage, created, None, now),
        }
    )


def load_answer(request: ChatRequest, created: float) -> bytes:
    """The answer to a request without messages, which only loads or unloads a model, streamed or not.

    Source: server/routes.go, GenerateHandler and ChatHandler.
    """
    return msgspec.json.encode(
        {
            "model": request.model,
            "created_at": timestamp(created),
            **_content(GENERATE if request.dialect == "ollama.generate" else CHAT, "", {}),
            "done": True,
            "done_reason": "unload" if unloads(request) else "load",
        }
    )


def _content(shape: Shape, text: str, beside: dict[str, Any]) -> dict[str, Any]:
    if shape is GENERATE:
        return {"response": text, **beside}
    return {"message": {"role": "assistant", "content": text, **beside}}
