"""What makes two requests part of one conversation: keys under which a choice is remembered.

A key is a 16-byte BLAKE2b digest, so that stores hold nothing of what anybody wrote. Every hashed field goes in with
its length: no two different lists of fields run together to the same bytes.
"""

from __future__ import annotations

import hashlib

import msgspec

from gateway.chat import ChatRequest, Message, ToolCall, ToolResult

_DIGITS = b"0123456789"


def conversation_key(client: str, router: str, request: ChatRequest, session_header: str | None) -> bytes:
    """The key of the conversation that ``request`` continues.

    Where the client names its session in ``X-LLM-Relay-Session`` that name counts, within the client and the router.
    Otherwise the beginning of the conversation does: the system prompt, without its digits so that a clock in it
    changes nothing, and the first user turn to the letter, pictures and files included.
    """
    if session_header:
        return _key(b"named", client, router, session_header.encode("utf-8", "surrogatepass"))
    fields: list[bytes] = []
    for message in request.messages:
        if message.role == "system":
            fields.append(message.text.encode("utf-8", "surrogatepass").translate(None, delete=_DIGITS))
        elif message.role == "user":
            fields.append(_exact(message))
            break
    else:
        # Without a user turn there is no better beginning than all that there is.
        fields.extend(_exact(message) for message in request.messages)
    return _key(b"conversation", client, router, *fields)


def tool_key(client: str, router: str, tool_call_id: str) -> bytes:
    """The key of a tool loop by the id of its first call. Ids are only as unique as providers make them: never pass "",
    which stands for a wire without ids; :func:`conversation_key` then is the best there is."""
    return _key(b"tool", client, router, tool_call_id.encode("utf-8", "surrogatepass"))


def open_tool_loop(request: ChatRequest) -> str | None:
    """Whether ``request`` brings tool results that no model has read yet, and for which call.

    The id of the first call of the turn that asked (results may come in any order), or of the first result where that
    turn is missing; "" where the wire has no ids; None outside a tool loop. User text beside the results does not
    close the loop.
    """
    answered: str | None = None
    for message in reversed(request.messages):
        if message.role == "assistant":
            if answered is None:
                return None
            return next((part.id for part in message.parts if type(part) is ToolCall), answered)
        if message.role == "tool":
            answered = next((part.id for part in message.parts if type(part) is ToolResult), answered)
    return answered


def _exact(message: Message) -> bytes:
    return msgspec.msgpack.encode([(type(part).__name__, part) for part in message.parts])


def _key(kind: bytes, client: str, router: str, *fields: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for field in (kind, client.encode(), router.encode(), *fields):
        digest.update(len(field).to_bytes(8, "little"))
        digest.update(field)
    return digest.digest()
