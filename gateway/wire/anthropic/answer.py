"""Whole answers: a provider's message to the hub or passed on, and the hub's to a client."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.chat import Answer, Reasoning, Text, ToolCall, Usage
from gateway.errors import UpstreamFailed, UpstreamInvalidResponse
from gateway.wire.anthropic.errors import describe
from gateway.wire.anthropic.vocabulary import (
    UNSIGNED,
    WireUsage,
    finish_reason,
    safe_id,
    stop_reason,
    tool_input,
    wire_usage,
)
from gateway.wire.protocol import Progress
from gateway.wire.text import lenient


class _Block(msgspec.Struct, gc=False):
    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct, gc=False, tag_field="type", tag="message"):
    content: list[_Block]
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: WireUsage | None = None


class _Failed(msgspec.Struct, gc=False):
    error: Any = None


_messages = msgspec.json.Decoder(_Message)
_failed = msgspec.json.Decoder(_Failed)
_json = msgspec.json.Encoder()


def _read(body: bytes) -> _Message:
    try:
        return lenient(_messages.decode, body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        _refuse_error(body)
        raise UpstreamInvalidResponse("the provider's answer is not a message") from None


def _usage(message: _Message) -> Usage:
    return Usage() if message.usage is None else message.usage.hub()


def _refuse_error(body: bytes) -> None:
    try:
        failed = _failed.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    if failed.error is not None:
        raise UpstreamFailed(describe(failed.error).message or "the provider reported an error")


def decode_answer(body: bytes) -> Answer:
    """A whole message. Raises UpstreamInvalidResponse where it is none, UpstreamFailed where it is an error."""
    message = _read(body)
    parts: list[Text | Reasoning | ToolCall] = []
    for block in message.content:
        # Server tools' blocks are no client's to answer.
        if block.type == "text":
            if block.text:
                parts.append(Text(block.text))
        elif block.type == "thinking":
            parts.append(Reasoning(block.thinking or "", block.signature))
        elif block.type == "redacted_thinking":
            parts.append(Reasoning("", redacted=block.data or ""))
        elif block.type == "tool_use":
            given = bytes(block.input).decode()
            parts.append(ToolCall(block.id or "", block.name or "", given if given not in ("", "null") else "{}"))
    return Answer(
        message.id,
        message.model,
        tuple(parts),
        finish_reason(message.stop_reason or ""),
        _usage(message),
        message.stop_sequence,
    )


def watch_answer(body: bytes) -> Progress:
    """What must be known of a whole message that passes through; raises as :func:`decode_answer`."""
    message = _read(body)
    call = next((block for block in message.content if block.type == "tool_use"), None)
    return Progress(
        content=bool(message.content),
        complete=True,
        finish=finish_reason(message.stop_reason or ""),
        usage=_usage(message),
        model=message.model,
        tool_call_id=None if call is None else call.id or "",
    )


def encode_answer(answer: Answer, model: str, answer_id: str) -> bytes:
    """A whole message; ``model`` and ``answer_id`` stand in for what the provider did not say."""
    content: list[dict[str, Any]] = []
    called = 0
    for part in answer.parts:
        match part:
            case Text(text):
                # The API refuses a block of blanks when the client sends it back.
                if text.strip():
                    content.append({"type": "text", "text": text})
            case Reasoning():
                content.append(_thought(part))
            case ToolCall():
                call_id = safe_id(part.id) if part.id else made_id(answer_id, called)
                given = tool_input(part.arguments)
                content.append({"type": "tool_use", "id": call_id, "name": part.name, "input": given})
                called += 1
    if answer.refusal:
        content.append({"type": "text", "text": answer.refusal})
    return _json.encode(
        {
            "id": answer.id or f"msg_{answer_id}",
            "type": "message",
            "role": "assistant",
            "model": answer.model or model,
            "content": content,
            "stop_reason": stop_reason("refusal" if answer.refusal else answer.finish, called=called > 0),
            "stop_sequence": answer.stop_sequence,
            "usage": wire_usage(answer.usage),
        }
    )


def _thought(part: Reasoning) -> dict[str, Any]:
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature or UNSIGNED}


def made_id(answer_id: str, index: int) -> str:
    """The id of a call to which the provider gave none: number ``index`` of the answer."""
    return safe_id(f"toolu_{answer_id}_{index}")
