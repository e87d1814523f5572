"""The hub's messages as turns of the Messages API, which wants user and assistant by turns.

The API's own rules, which other wires do not have: system prompts stand apart; the first turn is the user's; turns of
the same role are one; tool results come first in the turn after the calls; no text is empty or blank; the answer that
a client began for the model does not end in blanks; thoughts carry the provider's signature.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from typing import Any

from gateway.chat import Audio, Document, Image, Message, Reasoning, Text, ToolCall, ToolResult
from gateway.errors import BadRequest
from gateway.wire.anthropic.vocabulary import safe_id, tool_input

#: What the user is taken to have said before an assistant that speaks first.
_OPENING = "."

#: The beginnings of base64 that tell what a picture is: the API refuses one that is not what it is said to be.
_PICTURES = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
)
_PDF = "JVBERi0"


class Turn:
    """One turn under construction; ``results`` are kept apart to come first."""

    __slots__ = ("blocks", "results", "role")

    def __init__(self, role: str) -> None:
        self.role = role
        self.results: list[dict[str, Any]] = []
        self.blocks: list[dict[str, Any]] = []

    @property
    def thought(self) -> bool:
        """Whether it begins with a thought."""
        return bool(self.blocks) and self.blocks[0]["type"] in ("thinking", "redacted_thinking")

    def encode(self) -> dict[str, Any]:
        """The turn as the API's message."""
        blocks = self.results + self.blocks
        if len(blocks) == 1 and blocks[0]["type"] == "text":
            return {"role": self.role, "content": blocks[0]["text"]}
        return {"role": self.role, "content": blocks}


def conversation(messages: tuple[Message, ...]) -> tuple[list[str], list[Turn]]:
    """The system prompts' texts, and the turns, at least one. Raises BadRequest unsupported on sound and on files that
    cannot be read here.
    """
    system: list[str] = []
    turns: list[Turn] = []
    ids = _Ids()
    for number, message in enumerate(messages):
        if message.role == "system":
            if (text := message.text).strip():
                system.append(text)
            continue
        turn = Turn("assistant" if message.role == "assistant" else "user")
        for part in message.parts:
            _add(turn, part, ids, f"messages[{number}]")
        if not turn.blocks and not turn.results:
            continue
        if turns and turns[-1].role == turn.role:
            turns[-1].results += turn.results
            turns[-1].blocks += turn.blocks
        else:
            turns.append(turn)
    _end_visibly(turns)
    if not turns or turns[0].role == "assistant":
        opening = Turn("user")
        opening.blocks.append({"type": "text", "text": _OPENING})
        turns.insert(0, opening)
    return system, turns


def _end_visibly(turns: list[Turn]) -> None:
    if turns and turns[-1].role == "assistant" and turns[-1].blocks:
        last = turns[-1].blocks[-1]
        if last["type"] == "text":
            last["text"] = last["text"].rstrip()


def _add(turn: Turn, part: object, ids: _Ids, where: str) -> None:
    match part:
        case Text(text):
            if text.strip():
                turn.blocks.append({"type": "text", "text": text})
        case ToolCall():
            call_id = ids.call(part)
            given = tool_input(part.arguments)
            turn.blocks.append({"type": "tool_use", "id": call_id, "name": part.name, "input": given})
        case ToolResult():
            turn.results.append(_tool_result(part, ids, where))
        case Reasoning():
            if part.redacted:
                turn.blocks.append({"type": "redacted_thinking", "data": part.redacted})
            elif part.signature:
                turn.blocks.append({"type": "thinking", "thinking": part.text, "signature": part.signature})
        case Image() | Document():
            # Only a user shows pictures and files here.
            if turn.role == "user" and (block := _media(part, where)) is not None:
                turn.blocks.append(block)
        case Audio():
            raise BadRequest("unsupported", "this model does not take audio", param=where)


def _tool_result(part: ToolResult, ids: _Ids, where: str) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": ids.result(part)}
    content: list[dict[str, Any]] = []
    for inner in part.parts:
        if isinstance(inner, Text):
            if inner.text.strip():
                content.append({"type": "text", "text": inner.text})
        elif (encoded := _media(inner, where)) is not None:
            content.append(encoded)
    if len(content) == 1 and content[0]["type"] == "text":
        block["content"] = content[0]["text"]
    elif content:
        block["content"] = content
    if part.is_error:
        block["is_error"] = True
    return block


# --- pictures and files ---------------------------------------------------------------------------------------------


def _media(part: Image | Document, where: str) -> dict[str, Any] | None:
    return _image(part) if isinstance(part, Image) else _document(part, where)


def _image(part: Image) -> dict[str, Any] | None:
    if part.data is None:
        return {"type": "image", "source": {"type": "url", "url": part.url}} if part.url else None
    return {"type": "image", "source": _base64(_picture_type(part.data, part.media_type), part.data)}


def _picture_type(data: str, said: str | None) -> str:
    for beginning, media_type in _PICTURES:
        if data.startswith(beginning):
            return media_type
    return said or "image/png"


def _document(part: Document, where: str) -> dict[str, Any] | None:
    source: dict[str, str]
    if part.text is not None:
        if not part.text.strip():
            return None
        source = {"type": "text", "media_type": "text/plain", "data": part.text}
    elif part.data is not None:
        source = _file_source(part.data, part.media_type or "", where)
    elif part.url and not (part.media_type or "").startswith("video/"):
        source = {"type": "url", "url": part.url}
    else:
        raise BadRequest("unsupported", "this model reads neither films nor other providers' files", param=where)
    block: dict[str, Any] = {"type": "document", "source": source}
    if part.name:
        block["title"] = part.name[:500]
    return block


def _file_source(data: str, media_type: str, where: str) -> dict[str, str]:
    if media_type == "application/pdf" or data.startswith(_PDF):
        return _base64("application/pdf", data)
    if media_type.startswith("text/") or media_type == "application/json":
        try:
            text = base64.b64decode(data, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise BadRequest("unsupported", "the attached text file is not base64 of UTF-8", param=where) from None
        return {"type": "text", "media_type": "text/plain", "data": text}
    raise BadRequest("unsupported", "this model reads PDF and text files only", param=where)


def _base64(media_type: str, data: str) -> dict[str, str]:
    return {"type": "base64", "media_type": media_type, "data": data}


# --- tool calls' ids ------------------------------------------------------------------------------------------------


class _Ids:
    """Ids of calls and results as the API wants them: of its alphabet, one for each call, and in pairs.

    Some wires have none, and some begin anew in every answer. A result belongs to the first open call with its id, or,
    without an id, to the first open call of its name.
    """

    __slots__ = ("_open", "_used")

    def __init__(self) -> None:
        self._used: set[str] = set()
        #: Calls without a result yet: (the id as received, the tool's name, the id as sent).
        self._open: deque[tuple[str, str, str]] = deque()

    def call(self, call: ToolCall) -> str:
        sent = base = safe_id(call.id) if call.id else f"call_{len(self._used)}"
        again = 1
        while sent in self._used:
            again += 1
            sent = f"{base}_{again}"
        self._used.add(sent)
        self._open.append((call.id, call.name, sent))
        return sent

    def result(self, result: ToolResult) -> str:
        for entry in self._open:
            if entry[0] == result.id and (result.id or result.name in (None, entry[1])):
                self._open.remove(entry)
                return entry[2]
        # A second result, or one without its call: the API says what is wrong with that.
        return safe_id(result.id) if result.id else f"call_{len(self._used)}"
