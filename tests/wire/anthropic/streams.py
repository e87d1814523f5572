"""Event streams as Anthropic sends them, piece by piece, and both machines that read them."""

from __future__ import annotations

import json
from typing import Any

from gateway.chat import Event, Finish, Start, TextDelta, Usage, UsageReport
from gateway.wire.anthropic import DIALECT, WIRE
from gateway.wire.protocol import Progress

REQUEST = DIALECT.decode_request(b'{"model":"smart","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}')


def sse(data: dict[str, Any] | str, name: str | None = None) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    kind = name or (json.loads(text)["type"] if isinstance(data, dict) else "x")
    return f"event: {kind}\ndata: {text}\n\n".encode()


def start(**usage: Any) -> bytes:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "usage": usage,
    }
    return sse({"type": "message_start", "message": message})


def block(index: int, **fields: Any) -> bytes:
    return sse({"type": "content_block_start", "index": index, "content_block": fields})


def delta(index: int, **fields: Any) -> bytes:
    return sse({"type": "content_block_delta", "index": index, "delta": fields})


def text(words: str, index: int = 0) -> bytes:
    return delta(index, type="text_delta", text=words)


def arguments(fragment: str, index: int = 0) -> bytes:
    return delta(index, type="input_json_delta", partial_json=fragment)


def stop(index: int) -> bytes:
    return sse({"type": "content_block_stop", "index": index})


def ending(reason: str | None = "end_turn", sequence: str | None = None, **usage: Any) -> bytes:
    change = {"stop_reason": reason, "stop_sequence": sequence}
    return sse({"type": "message_delta", "delta": change, "usage": usage}) + STOP


STOP = sse({"type": "message_stop"})
PING = sse({"type": "ping"})
START = start(input_tokens=3, output_tokens=1)
OPEN = block(0, type="text", text="")
HELLO = START + OPEN + PING + text("Hé") + text(" \u2028漢🙂") + stop(0) + ending(output_tokens=5)

HELLO_EVENTS: list[Event] = [
    Start("msg_1", "claude-x"),
    UsageReport(Usage(input=3, output=1)),
    TextDelta("Hé"),
    TextDelta(" \u2028漢🙂"),
    UsageReport(Usage(input=3, output=5)),
    Finish("stop"),
]


def decode(stream: bytes, size: int | None = None) -> tuple[list[Event], Progress]:
    decoder = WIRE.decoder()
    events: list[Event] = []
    for place in range(0, len(stream), size or len(stream) or 1):
        events += decoder.feed(stream[place : place + (size or len(stream))])
    return events + decoder.close(), decoder.progress


def watch(stream: bytes, size: int | None = None) -> tuple[bytes, Progress]:
    machine = WIRE.watch(REQUEST)
    passed = b""
    for place in range(0, len(stream), size or len(stream) or 1):
        passed += machine.feed(stream[place : place + (size or len(stream))])
    return passed + machine.close(), machine.progress
