"""Content blocks of a client's messages to parts of the hub.

Blocks that only Anthropic knows (its own tools and their results, a tool's reference, a compaction) have no part: they
travel with the request's own fields, and a block type that is new tomorrow does the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from gateway.chat import Document, Image, Message, Part, Reasoning, Role, Text, ToolCall, ToolResult
from gateway.errors import BadRequest
from gateway.wire.anthropic.vocabulary import UNSIGNED

_json = msgspec.json.Encoder()

Block = dict[str, Any]


def read_blocks(role: Role, blocks: list[Any], where: str, into: list[Message]) -> None:
    """A turn's content blocks, appended to ``into``: each tool result a turn of its own, then the turn itself.

    ``where`` names the content in an error. Raises BadRequest invalid_messages.
    """
    parts: list[Part] = []
    for number, block in enumerate(blocks):
        kind = _kind(block, f"{where}[{number}]")
        if kind == "text":
            text = block.get("text")
            if type(text) is not str:
                raise _bad(f"{where}[{number}].text", "must be a string")
            if text:
                parts.append(Text(text))
        elif kind == "tool_result":
            # Wherever it stands in the turn: other wires want results right after the calls.
            _owned_by("user", role, f"{where}[{number}]")
            into.append(Message("tool", (_tool_result(block, f"{where}[{number}]"),)))
        elif kind in _THOUGHTS:
            _owned_by("assistant", role, f"{where}[{number}]")
            parts.append(_THOUGHTS[kind](block, f"{where}[{number}]"))
        elif kind in _MEDIA and role == "user":
            parts += _MEDIA[kind](block, f"{where}[{number}]")
    if parts:
        into.append(Message(role, tuple(parts)))


def texts(content: Any, where: str, code: str) -> tuple[Text, ...]:
    """A string or a list of text blocks; raises BadRequest with ``code`` for anything else."""
    if type(content) is str:
        return (Text(content),) if content else ()
    if type(content) is not list:
        raise _bad(where, "must be a string or a list of text blocks", code)
    parts: list[Text] = []
    for number, block in enumerate(content):
        text = block.get("text") if type(block) is dict and block.get("type") == "text" else None
        if type(text) is not str:
            raise _bad(f"{where}[{number}]", "must be a text block", code)
        if text:
            parts.append(Text(text))
    return tuple(parts)


def _bad(where: str, rule: str, code: str = "invalid_messages") -> BadRequest:
    return BadRequest(code, f"{where} {rule}", param=where)


def _kind(block: Any, where: str) -> str:
    kind = block.get("type") if type(block) is dict else None
    if type(kind) is not str:
        raise _bad(where, "must be an object with a type")
    return kind


def _string(block: Block, field: str, where: str) -> str:
    value = block.get(field)
    if type(value) is not str:
        raise _bad(f"{where}.{field}", "must be a string")
    return value


def _maybe(block: Block, field: str) -> str | None:
    value = block.get(field)
    return value if type(value) is str and value else None


def _owned_by(owner: Role, role: Role, where: str) -> None:
    if role != owner:
        raise _bad(where, f"belongs in a message of the role {owner}")


# --- an assistant's blocks ------------------------------------------------------------------------------------------


def _tool_use(block: Block, where: str) -> ToolCall:
    given = block.get("input")
    if type(given) is not dict:
        raise _bad(f"{where}.input", "must be an object")
    return ToolCall(_string(block, "id", where), _string(block, "name", where), _json.encode(given).decode())


def _thinking(block: Block, where: str) -> Reasoning:
    signature = _maybe(block, "signature")
    return Reasoning(_string(block, "thinking", where), None if signature == UNSIGNED else signature)


def _redacted(block: Block, where: str) -> Reasoning:
    return Reasoning("", redacted=_string(block, "data", where))


_THOUGHTS: dict[str, Callable[[Block, str], ToolCall | Reasoning]] = {
    "tool_use": _tool_use,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
}


# --- a user's and a tool's blocks -----------------------------------------------------------------------------------

Media = Text | Image | Document


def _tool_result(block: Block, where: str) -> ToolResult:
    call = _string(block, "tool_use_id", where)
    failed = block.get("is_error")
    if failed is not None and type(failed) is not bool:
        raise _bad(f"{where}.is_error", "must be true or false")
    content = block.get("content")
    parts: list[Media] = []
    if type(content) is str:
        parts.append(Text(content))
    elif type(content) is list:
        for number, inner in enumerate(content):
            place = f"{where}.content[{number}]"
            if (read := _MEDIA.get(_kind(inner, place))) is not None:
                parts += read(inner, place)
    elif content is not None:
        raise _bad(f"{where}.content", "must be a string or a list of content blocks")
    return ToolResult(call, tuple(parts), is_error=bool(failed))


def _text(block: Block, where: str) -> list[Media]:
    return [Text(_string(block, "text", where))]


def _source(block: Block, where: str) -> tuple[str, Block, str]:
    """A source's type, the source, and its place."""
    source: Any = block.get("source")
    place = f"{where}.source"
    return _kind(source, place), source, place


def _image(block: Block, where: str) -> list[Media]:
    kind, source, place = _source(block, where)
    if kind == "base64":
        return [Image(_string(source, "media_type", place), _string(source, "data", place))]
    if kind == "url":
        return [Image(url=_string(source, "url", place))]
    return [Document(file_id=_string(source, "file_id", place))] if kind == "file" else []


def _document(block: Block, where: str) -> list[Media]:
    kind, source, place = _source(block, where)
    name = _maybe(block, "title")
    if kind == "base64":
        return [Document(_string(source, "media_type", place), _string(source, "data", place), name=name)]
    if kind == "url":
        return [Document(url=_string(source, "url", place), name=name)]
    if kind == "text":
        return [Document("text/plain", text=_string(source, "data", place), name=name)]
    if kind == "file":
        return [Document(file_id=_string(source, "file_id", place), name=name)]
    return _composed(source, place, name) if kind == "content" else []


def _composed(source: Block, place: str, name: str | None) -> list[Media]:
    """A document that is written as content blocks: its text, then its pictures."""
    content = source.get("content")
    if type(content) is str:
        return [Document("text/plain", text=content, name=name)]
    if type(content) is not list:
        raise _bad(f"{place}.content", "must be a string or a list of content blocks")
    lines: list[str] = []
    pictures: list[Media] = []
    for number, inner in enumerate(content):
        where = f"{place}.content[{number}]"
        kind = _kind(inner, where)
        if kind == "text":
            lines.append(_string(inner, "text", where))
        elif kind == "image":
            pictures += _image(inner, where)
    return [Document("text/plain", text="\n".join(lines), name=name), *pictures]


def _search_result(block: Block, where: str) -> list[Media]:
    found = texts(block.get("content"), f"{where}.content", "invalid_messages")
    head = (_string(block, "title", where), _string(block, "source", where))
    return [Text("\n".join((*head, *(part.text for part in found))))]


def _upload(block: Block, where: str) -> list[Media]:
    return [Document(file_id=_string(block, "file_id", where))]


_MEDIA: dict[str, Callable[[Block, str], list[Media]]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "container_upload": _upload,
}
