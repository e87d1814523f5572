"""Streams of the OpenAI wire, built event by event, and the two ways to read them."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from gateway.chat import ChatRequest, Event, Start
from gateway.wire.openai import WIRE
from gateway.wire.protocol import Progress

DONE = b"data: [DONE]\n\n"
NO_FIELDS: dict[str, msgspec.Raw] = {}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


def chunk(delta: dict[str, Any] | None = None, finish: object = None, **more: object) -> bytes:
    """A chunk as OpenAI writes it; ``more`` are further fields of the chunk."""
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return event(
        {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}
    )


def text(content: object, finish: object = None) -> bytes:
    return chunk({"content": content}, finish)


def calls(*fragments: object, finish: object = None) -> bytes:
    return chunk({"tool_calls": list(fragments)}, finish)


def call(arguments: object = "", **more: object) -> dict[str, Any]:
    """The first fragment of a call of ``f``; ``more`` are the fragment's further fields, an id or an index."""
    return named("f", arguments, **more)


def named(name: str, arguments: object, **more: object) -> dict[str, Any]:
    """As :func:`call`, of another function."""
    return {**more, "type": "function", "function": {"name": name, "arguments": arguments}}


def more(arguments: object, **fields: object) -> dict[str, Any]:
    """A later fragment of a call."""
    return {**fields, "function": {"arguments": arguments}}


FIRST = chunk({"role": "assistant", "content": ""})
STOP = chunk(finish="stop")
START = Start("c1", "m")


def decode(*pieces: bytes) -> tuple[list[Event], Progress]:
    decoder = WIRE.decoder()
    events = [found for piece in pieces for found in decoder.feed(piece)]
    return events + decoder.close(), decoder.progress


def watch(*pieces: bytes, usage: bool = True, n: int = 1) -> tuple[bytes, Progress]:
    watched = WIRE.watch(ChatRequest("openai", "m", (), NO_FIELDS, stream=True, include_usage=usage, n=n))
    passed = b"".join([watched.feed(piece) for piece in pieces]) + watched.close()
    return passed, watched.progress
