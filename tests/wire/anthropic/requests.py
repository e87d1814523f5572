"""Requests for these tests: bodies as clients write them, and messages of the hub."""

from __future__ import annotations

import json
from typing import Any

from gateway.chat import ChatRequest, Message, Part, Text, ToolCall, ToolResult
from gateway.wire.anthropic import DIALECT, WIRE
from gateway.wire.protocol import Target

USER: dict[str, Any] = {"role": "user", "content": "Hi"}


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "smart", "max_tokens": 64, "messages": [USER], **fields}


def decode(fields: Any) -> ChatRequest:
    return DIALECT.decode_request(json.dumps(fields).encode())


OLDER = Target("claude-sonnet-4-5")
NEWER = Target("claude-opus-4-8")


def user(*parts: Part | str) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts: Part | str) -> Message:
    return Message("assistant", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def result(call: str, text: str = "ok", name: str | None = None) -> Message:
    return Message("tool", (ToolResult(call, (Text(text),), name),))


def system(text: str) -> Message:
    return Message("system", (Text(text),))


def encode(*messages: Message, target: Target = OLDER, **fields: Any) -> dict[str, Any]:
    request = ChatRequest("openai", "smart", messages or (user("Hi"),), {}, **fields)
    path, body = WIRE.encode_request(request, target)
    assert path == "/v1/messages"
    decoded: dict[str, Any] = json.loads(body)
    return decoded


CALL = ToolCall("call_1", "f", '{"x": 1}')
