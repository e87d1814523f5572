"""A provider's event stream: to hub events, or passed on and only watched.

The type that an event's data gives counts, not the ``event:`` line; types that are not known are no error ("Streaming
messages": new event types may be added). ``message_stop`` is the terminator.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.chat import (
    Event,
    Failure,
    Finish,
    ReasoningDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from gateway.errors import UpstreamInvalidResponse, UpstreamTruncated
from gateway.wire import sse
from gateway.wire.anthropic.errors import describe
from gateway.wire.anthropic.vocabulary import WireUsage, finish_reason
from gateway.wire.protocol import Progress
from gateway.wire.text import lenient


class _Block(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()


class _Delta(msgspec.Struct, gc=False):
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Message(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    usage: WireUsage | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: WireUsage | None = None
    error: Any = None


class _Kind(msgspec.Struct, gc=False):
    type: str = ""


_events = msgspec.json.Decoder(_Event)
_kinds = msgspec.json.Decoder(_Kind)

#: Event types whose fields must be as documented.
_KNOWN = frozenset(
    {"message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta"}
    | {"message_stop"}
)

_NAME = re.compile(rb"(?:^|[\r\n])event: ?([^\r\n]*)")

#: How nearly every event begins.
_DELTA_HEAD = b"event: content_block_delta\ndata: "


class _Reader:
    """What both machines have in common: events are read and progress is kept."""

    def __init__(self) -> None:
        self.progress = Progress()
        self._splitter = sse.Splitter()
        self._usage = WireUsage()

    def _read(self, data: bytes) -> _Event:
        try:
            event = lenient(_events.decode, data)
        except msgspec.ValidationError:
            event = _Event(_kind(data))
            if event.type in _KNOWN:
                raise UpstreamInvalidResponse("the provider sent an event with wrong fields") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise UpstreamInvalidResponse("the provider sent an event that is not JSON") from None
        self._note(event)
        return event

    def _note(self, event: _Event) -> None:
        progress = self.progress
        kind = event.type
        if kind == "content_block_delta":
            progress.fresh = True
            if not progress.content and (delta := event.delta) is not None:
                progress.content = bool(delta.text or delta.thinking or delta.partial_json or delta.signature)
        elif kind == "content_block_start":
            if (block := event.content_block) is not None:
                if block.type == "tool_use" and progress.tool_call_id is None:
                    progress.tool_call_id = block.id or ""
                # Text and thoughts begin empty; other blocks are content by being there.
                if block.text or block.thinking or block.type not in ("text", "thinking"):
                    progress.content = progress.fresh = True
        elif kind == "message_start":
            if (message := event.message) is not None:
                progress.model = message.model
                self._count(message.usage)
        elif kind == "message_delta":
            self._count(event.usage)
            if event.delta is not None and event.delta.stop_reason is not None:
                progress.finish = finish_reason(event.delta.stop_reason)
                progress.fresh = True
        elif kind == "message_stop":
            if progress.finish is None:
                if not progress.content:
                    raise UpstreamInvalidResponse("the provider's answer has neither content nor a stop reason")
                progress.finish = "stop"
            progress.complete = True
        elif event.error is not None or kind == "error":
            said = describe(event.error)
            progress.failure = Failure(said.message or "the provider reported an error", said.kind)

    def _count(self, usage: WireUsage | None) -> None:
        if usage is not None:
            self._usage.update(usage)
            self.progress.usage = self._usage.hub()
            self.progress.fresh = True

    def _is_over(self) -> bool:
        return self.progress.complete or self.progress.failure is not None

    def _end(self) -> bytes:
        """What follows the terminator, if anything. Raises where there is none."""
        if self.progress.broken is not None:
            raise self.progress.broken
        rest = self._splitter.close()
        if not self._is_over():
            raise UpstreamTruncated("the provider's answer ended before its message_stop")
        return rest


def _is_delta(data: bytes) -> bool:
    """Whether it is JSON, and of the type that its event line gave."""
    try:
        return _kinds.decode(data).type == "content_block_delta"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


def _named(event: bytes, kind: str, data: bytes) -> bytes:
    """The raw event, with the event line that its type wants: Anthropic's own clients go by nothing else."""
    if kind not in _KNOWN:
        return event
    name = _NAME.search(event)
    if name is not None and name[1] == kind.encode():
        return event
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data.strip().replace(b"\n", b"\ndata: "))


def _kind(data: bytes) -> str:
    try:
        return _kinds.decode(data).type
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise UpstreamInvalidResponse("the provider sent an event that is not a JSON object") from None


class Watch(_Reader):
    """The stream to the same bytes, but for event lines that are missing or wrong."""

    def feed(self, chunk: bytes) -> bytes:
        """Whole events as they came; none from an error event on."""
        progress = self.progress
        if progress.failure is not None:
            return b""
        passed: list[bytes] = []
        try:
            for event in self._splitter.feed(chunk):
                if progress.content and event.startswith(_DELTA_HEAD) and _is_delta(event[len(_DELTA_HEAD) :]):
                    # Once content flows a delta holds nothing to note.
                    progress.fresh = True
                    passed.append(event)
                elif (mended := self._pass(event)) is not None:
                    passed.append(mended)
                else:
                    break
        except UpstreamInvalidResponse as error:
            if not passed:
                raise
            progress.broken = error
        return b"".join(passed)

    def _pass(self, event: bytes) -> bytes | None:
        """A raw event, now noted, as it goes on; None for an error. Nothing is read after the terminator."""
        if self.progress.complete:
            return event
        data = sse.data(event)
        if not data or data.isspace():
            return event
        kind = self._read(data).type
        return None if self.progress.failure is not None else _named(event, kind, data)

    def close(self) -> bytes:
        """What follows the terminator, if anything."""
        rest = self._end()
        return b"" if self.progress.failure is not None else rest


class _Call:
    """A tool call whose block is open."""

    __slots__ = ("given", "index", "written")

    def __init__(self, index: int, given: str) -> None:
        self.index = index
        #: The input that came whole with the block's start.
        self.given = given
        #: Whether fragments came; they add up to the whole input.
        self.written = False


class Decoder(_Reader):
    """The stream to hub events."""

    def __init__(self) -> None:
        super().__init__()
        #: Open blocks that are calls of the client's tools, by block index; server tools are never among them.
        self._calls: dict[int, _Call] = {}
        self._called = 0
        self._stop_sequence: str | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that ``chunk`` completes."""
        into: list[Event] = []
        if self._is_over():
            return into
        try:
            for raw in self._splitter.feed(chunk):
                data = sse.data(raw)
                if data and not data.isspace():
                    self._translate(self._read(data), into)
                    if self._is_over():
                        break
        except UpstreamInvalidResponse as error:
            if not into:
                raise
            self.progress.broken = error
        return into

    def close(self) -> list[Event]:
        """Nothing is ever held back."""
        self._end()
        return []

    def _translate(self, event: _Event, into: list[Event]) -> None:
        kind = event.type
        if kind == "content_block_delta":
            if event.delta is not None:
                self._delta(event.index, event.delta, into)
        elif kind == "content_block_start":
            if event.content_block is not None:
                self._start(event.index, event.content_block, into)
        elif kind == "content_block_stop":
            if (call := self._calls.pop(event.index, None)) is not None and not call.written:
                into.append(ToolCallDelta(call.index, arguments=call.given))
        elif kind == "message_start":
            message = event.message or _Message()
            into.append(Start(message.id, message.model))
            if message.usage is not None:
                into.append(UsageReport(self.progress.usage))
        elif kind == "message_delta":
            if event.usage is not None:
                into.append(UsageReport(self.progress.usage))
            if event.delta is not None and event.delta.stop_sequence is not None:
                self._stop_sequence = event.delta.stop_sequence
        elif kind == "message_stop":
            self._finish(into)
        elif self.progress.failure is not None:
            into.append(self.progress.failure)

    def _delta(self, index: int, delta: _Delta, into: list[Event]) -> None:
        if delta.text:
            into.append(TextDelta(delta.text))
        elif delta.partial_json:
            if (call := self._calls.get(index)) is not None:
                call.written = True
                into.append(ToolCallDelta(call.index, arguments=delta.partial_json))
        elif delta.thinking:
            into.append(ReasoningDelta(delta.thinking))
        elif delta.signature:
            into.append(ReasoningDelta(signature=delta.signature))

    def _start(self, index: int, block: _Block, into: list[Event]) -> None:
        if block.type == "tool_use":
            given = bytes(block.input).decode()
            self._calls[index] = _Call(self._called, given if given not in ("", "null") else "{}")
            into.append(ToolCallDelta(self._called, block.id, block.name))
            self._called += 1
        elif block.type == "redacted_thinking":
            into.append(ReasoningDelta(redacted=block.data or ""))
        elif block.type == "text" and block.text:
            into.append(TextDelta(block.text))
        elif block.type == "thinking" and block.thinking:
            into.append(ReasoningDelta(block.thinking))

    def _finish(self, into: list[Event]) -> None:
        for call in self._calls.values():
            if not call.written:
                into.append(ToolCallDelta(call.index, arguments=call.given))
        into.append(Finish(self.progress.finish or "stop", self._stop_sequence))
