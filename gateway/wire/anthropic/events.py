"""Hub events to the event stream that clients of the Messages API read.

The order is the API's ("Streaming messages", "Event types"): ``message_start``; blocks one after the other, each with
its start, deltas and stop; one ``message_delta`` with the stop reason and the usage; ``message_stop``.
"""

from __future__ import annotations

from collections import deque
from typing import Any

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
    ToolCallDelta,
    Usage,
    UsageReport,
)
from gateway.errors import RelayError
from gateway.wire.anthropic.answer import made_id
from gateway.wire.anthropic.errors import encode_in_band
from gateway.wire.anthropic.vocabulary import UNSIGNED, safe_id, stop_reason, wire_usage
from gateway.wire.text import is_json, one_line

_json = msgspec.json.Encoder()
_DELTA_END = b"}}\n\n"


def _event(kind: str, fields: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), one_line(_json.encode({"type": kind, **fields})))


class _Call:
    """A tool call, as far as it was said and sent."""

    __slots__ = ("_is_object", "_said", "_unsent", "id", "name")

    def __init__(self, call_id: str, name: str) -> None:
        self.id = call_id
        self.name = name
        self._said: list[str] = []
        self._unsent = ""
        self._is_object = False

    def add(self, arguments: str) -> None:
        self._said.append(arguments)
        self._unsent += arguments

    def take(self) -> str:
        """What can be sent now. Arguments that are no object are never sent: clients then read an empty object."""
        if not self._is_object:
            self._is_object = self._unsent.lstrip().startswith("{")
            if not self._is_object:
                return ""
        taken, self._unsent = self._unsent, ""
        return taken

    def is_whole(self) -> bool:
        """Whether the arguments so far are all, as far as JSON tells."""
        return self._said[-1].endswith("}") and is_json("".join(self._said))


class Encoder:
    """One client stream. ``message_start`` waits for the first content, because the usage may come before it."""

    def __init__(self, model: str, answer_id: str) -> None:
        self._model = model
        self._answer_id = answer_id
        self._id = f"msg_{answer_id}"
        self._started = False
        self._usage = Usage()
        self._finish: FinishReason = "stop"
        self._stop_sequence: str | None = None
        self._refused = False
        #: The open block's kind (``text``, ``thinking``, ``tool``), empty between blocks, and the next block's number.
        self._open = ""
        self._next = 0
        #: The beginning of the open block's deltas.
        self._prefix = b""
        #: All calls by their index, the one whose block is open, and those whose turn has not come: the blocks of a
        #: message follow one another, while a provider may write several calls at once.
        self._calls: dict[int, _Call] = {}
        self._current: _Call | None = None
        self._waiting: deque[_Call] = deque()
        #: Text and thoughts that came amid the open call's arguments: they follow it.
        self._later: list[TextDelta | RefusalDelta | ReasoningDelta] = []
        #: Blanks that would begin a text block. The API refuses a block of nothing else when it is sent back.
        self._blank = ""

    def encode(self, event: Event) -> bytes:
        """The bytes for ``event``."""
        match event:
            case TextDelta() | ReasoningDelta() | RefusalDelta():
                if self._current is not None and not self._current.is_whole():
                    self._later.append(event)
                    return b""
                return self._say(event)
            case ToolCallDelta():
                return self._call(event)
            case UsageReport(usage):
                self._usage = self._usage.merged(usage)
            case Finish(reason, stop_sequence):
                self._finish, self._stop_sequence = reason, stop_sequence
            case Start(answer_id, model):
                self._id = answer_id or self._id
                self._model = model or self._model
            case Failure():
                # The relay decides what becomes of it; :meth:`error` has the bytes.
                pass
        return b""

    def close(self) -> bytes:
        """The last block's end, the stop reason and the usage, the terminator."""
        end = self._begin_message() + self._catch_up() + self._end_block()
        reason = stop_reason("refusal" if self._refused else self._finish, called=bool(self._calls))
        delta = {"stop_reason": reason, "stop_sequence": self._stop_sequence}
        end += _event("message_delta", {"delta": delta, "usage": wire_usage(self._usage)})
        return end + _event("message_stop", {})

    def error(self, error: RelayError) -> bytes:
        """An ``error`` event, after which nothing comes."""
        return encode_in_band(error)

    # --- the frame --------------------------------------------------------------------------------------------------

    def _begin_message(self) -> bytes:
        if self._started:
            return b""
        self._started = True
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": wire_usage(self._usage),
        }
        return _event("message_start", {"message": message})

    def _begin_block(self, kind: str, block: dict[str, Any], delta: bytes) -> bytes:
        """A block's start. The block before must have ended."""
        self._open = kind
        self._blank = ""
        index = self._next
        self._next += 1
        self._prefix = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,%b' % (index, delta)
        return _event("content_block_start", {"index": index, "content_block": block})

    def _end_block(self) -> bytes:
        """The open block's end; after a tool call, also all calls that wait."""
        end = b""
        if self._open == "thinking":
            end += self._sign(UNSIGNED)
        elif self._open == "tool":
            self._current = None
            end += self._stop()
            while self._waiting:
                end += self._begin_call(self._waiting.popleft()) + self._stop()
        elif self._open:
            end += self._stop()
        return end

    def _stop(self) -> bytes:
        self._open = ""
        return _event("content_block_stop", {"index": self._next - 1})

    # --- text and thoughts ------------------------------------------------------------------------------------------

    def _say(self, event: TextDelta | RefusalDelta | ReasoningDelta) -> bytes:
        if type(event) is ReasoningDelta:
            return self._think(event)
        self._refused = self._refused or type(event) is RefusalDelta
        return self._text(event.text) if event.text else b""

    def _catch_up(self) -> bytes:
        """What came amid the arguments of a call that is now over."""
        later, self._later = self._later, []
        return b"".join(map(self._say, later))

    def _text(self, text: str) -> bytes:
        begin = b""
        if self._open != "text":
            text = self._blank + text
            if not text.strip():
                self._blank = text
                return b""
            begin = self._begin_message() + self._end_block()
            begin += self._begin_block("text", {"type": "text", "text": ""}, b'"delta":{"type":"text_delta","text":')
        return begin + self._prefix + one_line(_json.encode(text)) + _DELTA_END

    def _think(self, event: ReasoningDelta) -> bytes:
        if event.redacted is not None:
            block = {"type": "redacted_thinking", "data": event.redacted}
            return self._begin_message() + self._end_block() + self._begin_block("redacted", block, b"") + self._stop()
        if not event.text and not event.signature:
            return b""
        said = b""
        if self._open != "thinking":
            said = self._begin_message() + self._end_block()
            block = {"type": "thinking", "thinking": "", "signature": ""}
            said += self._begin_block("thinking", block, b'"delta":{"type":"thinking_delta","thinking":')
        if event.text:
            said += self._prefix + one_line(_json.encode(event.text)) + _DELTA_END
        if event.signature:
            said += self._sign(event.signature)
        return said

    def _sign(self, signature: str) -> bytes:
        """The signature, which ends a thought."""
        delta = {"type": "signature_delta", "signature": signature}
        return _event("content_block_delta", {"index": self._next - 1, "delta": delta}) + self._stop()

    # --- tool calls -------------------------------------------------------------------------------------------------

    def _call(self, event: ToolCallDelta) -> bytes:
        call = self._calls.get(event.index)
        said = b""
        if call is None:
            call_id = safe_id(event.id) if event.id else made_id(self._answer_id, event.index)
            call = self._calls[event.index] = _Call(call_id, event.name or "")
            if self._open != "tool":
                said = self._begin_message() + self._end_block()
            self._waiting.append(call)
        call.add(event.arguments)
        if self._current is not None:
            said += self._fragment(self._current)
        while self._waiting and (self._current is None or self._current.is_whole()):
            if self._current is not None:
                said += self._stop()
            self._current = self._waiting.popleft()
            said += self._begin_call(self._current)
        if self._later and self._current is not None and self._current.is_whole():
            said += self._catch_up()
        return said

    def _begin_call(self, call: _Call) -> bytes:
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        delta = b'"delta":{"type":"input_json_delta","partial_json":'
        return self._begin_block("tool", block, delta) + self._fragment(call)

    def _fragment(self, call: _Call) -> bytes:
        fragment = call.take()
        return self._prefix + one_line(_json.encode(fragment)) + _DELTA_END if fragment else b""
