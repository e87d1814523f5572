"""Events to a stream as Ollama's own clients read it: one JSON object a line, the last with ``done: true``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, assert_never

import msgspec

from gateway.chat import (
    Event,
    Failure,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from gateway.errors import RelayError
from gateway.wire.ollama.errors import encode_inband
from gateway.wire.ollama.provider import tool_call
from gateway.wire.text import is_json, one_line

_encode = msgspec.json.encode
_MORE = b',"done":false}\n'


class Shape(msgspec.Struct, frozen=True):
    """Where an endpoint puts the pieces of an answer: the JSON before a value, and after it."""

    text: bytes
    thinking: bytes
    calls: bytes
    after: bytes


CHAT = Shape(
    text=b'"message":{"role":"assistant","content":',
    thinking=b'"message":{"role":"assistant","content":"","thinking":',
    calls=b'"message":{"role":"assistant","content":"","tool_calls":',
    after=b"}",
)
GENERATE = Shape(
    text=b'"response":', thinking=b'"response":"","thinking":', calls=b'"response":"","tool_calls":', after=b""
)


class _OpenCall(msgspec.Struct):
    """A tool call whose fragments still arrive."""

    id: str
    name: str = ""
    arguments: str = ""


class Encoder:
    """One streamed answer (:class:`gateway.wire.protocol.Encoder`).

    ``model`` is shown until the provider names its own. The durations are what a gateway can know: from ``created``
    to the first piece counts as the prompt's, from there to the end as the answer's; ``clock`` tells the time in
    seconds since 1970.
    """

    __slots__ = (
        "_answer_id",
        "_calls",
        "_clock",
        "_created",
        "_first",
        "_head",
        "_more",
        "_reason",
        "_shape",
        "_text",
        "_thinking",
        "_usage",
    )

    def __init__(self, shape: Shape, model: str, answer_id: str, created: float, clock: Callable[[], float]) -> None:
        self._shape = shape
        self._answer_id = answer_id
        self._created = created
        self._clock = clock
        self._first: float | None = None
        self._calls: dict[int, _OpenCall] = {}
        self._reason: FinishReason = "stop"
        self._usage = Usage()
        self._more = shape.after + _MORE
        self._show(model)

    def _show(self, model: str) -> None:
        self._head = head(model, self._created)
        self._text = self._head + self._shape.text
        self._thinking = self._head + self._shape.thinking

    def encode(self, event: Event) -> bytes:
        """The event's line, where it has one. Tool calls come whole, as Ollama sends them: with the finish."""
        match event:
            case TextDelta(text) | RefusalDelta(text):
                return self._piece(self._text, text)
            case ReasoningDelta(text):
                return self._piece(self._thinking, text)
            case ToolCallDelta():
                self._gather(event)
                return b""
            case UsageReport(usage):
                self._usage = self._usage.merged(usage)
                return b""
            case Finish(reason):
                self._reason = reason
                return self._whole_calls()
            case Start():
                if event.model:
                    self._show(event.model)
                return b""
            case Failure():
                return b""
            case _:
                assert_never(event)

    def close(self) -> bytes:
        """The last line, with the token counts as far as they are known."""
        measured = metrics(self._usage, self._created, self._first, self._clock())
        last = b',"done":true,"done_reason":"' + done_reason(self._reason).encode() + b'",'
        # The metrics' opening brace gives way: they continue the line's object.
        return self._text + b'""' + self._shape.after + last + _encode(measured)[1:] + b"\n"

    def error(self, error: RelayError) -> bytes:
        """``{"error": "CODE: …"}``, the last line instead."""
        return encode_inband(error)

    def _piece(self, before: bytes, text: str) -> bytes:
        if not text:
            return b""
        if self._first is None:
            self._first = self._clock()
        return before + one_line(_encode(text)) + self._more

    def _gather(self, delta: ToolCallDelta) -> None:
        call = self._calls.get(delta.index)
        if call is None:
            call = self._calls[delta.index] = _OpenCall(f"call_{self._answer_id}_{delta.index}")
        if delta.id:
            call.id = delta.id
        if delta.name:
            call.name = delta.name
        call.arguments += delta.arguments

    def _whole_calls(self) -> bytes:
        gathered = [ToolCall(call.id, call.name, call.arguments) for call in self._calls.values()]
        self._calls.clear()
        calls = tool_calls(gathered, self._reason)
        if not calls:
            return b""
        if self._first is None:
            self._first = self._clock()
        return self._head + self._shape.calls + one_line(_encode(calls)) + self._more


def tool_calls(calls: list[ToolCall], finish: FinishReason) -> list[dict[str, Any]]:
    """An answer's calls. One that was cut off by the limit is left out, as Ollama does: clients run what they get."""
    whole = [call for call in calls if finish != "length" or is_json(call.arguments or "{}")]
    return [tool_call(position, call) for position, call in enumerate(whole)]


def head(model: str, created: float) -> bytes:
    """How every object of an answer begins."""
    stamp = timestamp(created).encode()
    return b'{"model":' + _encode(model) + b',"created_at":"' + stamp + b'",'


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, as Go prints it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def done_reason(reason: FinishReason) -> str:
    """Ollama knows ``stop`` and ``length``; that a tool was called shows in the message."""
    return "length" if reason == "length" else "stop"


def metrics(usage: Usage, created: float, first: float | None, now: float) -> dict[str, int]:
    """Token counts and durations in nanoseconds, each only where it is known."""
    began = created if first is None else first
    measured = {
        "total_duration": _nanoseconds(now - created),
        "load_duration": 0,
        "prompt_eval_count": usage.input,
        "prompt_eval_duration": _nanoseconds(began - created),
        "eval_count": usage.output,
        "eval_duration": _nanoseconds(now - began),
    }
    return {name: value for name, value in measured.items() if value is not None}


def _nanoseconds(seconds: float) -> int | None:
    # Clients divide tokens by durations. Less than a millisecond is none: the clock was set back, or never ran.
    return int(seconds * 1e9) if seconds >= 0.001 else None
