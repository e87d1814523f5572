"""Requests as a provider of this wire gets them."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from gateway.chat import ChatRequest, Message, Text
from gateway.wire.openai import DIALECT, WIRE
from gateway.wire.protocol import Target

NO_FIELDS: dict[str, msgspec.Raw] = {}
HI = (Message("user", (Text("Hi"),)),)
TARGET = Target("gpt-4o")
#: The least conversation, as a client writes it.
MESSAGES = '"messages":[{"role":"user","content":"Hi"}]'
#: The schema of no parameters. OpenAI refuses an object's without properties.
NOTHING: dict[str, Any] = {"type": "object", "properties": {}}


def same(body: str, target: Target = TARGET) -> str:
    path, encoded = WIRE.encode_request(DIALECT.decode_request(body.encode()), target)
    assert path == "/chat/completions"
    return encoded.decode()


def translated(target: Target = TARGET, messages: tuple[Message, ...] = HI, **fields: Any) -> dict[str, Any]:
    request = ChatRequest("anthropic", "smart", messages, NO_FIELDS, **fields)
    body: dict[str, Any] = json.loads(WIRE.encode_request(request, target)[1])
    return body


def messages(*turns: Message, model: str = "gpt-4o") -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = translated(Target(model), turns)["messages"]
    return written
