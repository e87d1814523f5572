"""Ollama's streams as they come from a provider: to events, or through to a client and only watched."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import msgspec

from gateway.chat import Event, Finish, FinishReason, ReasoningDelta, Start, TextDelta, ToolCallDelta, UsageReport
from gateway.errors import UpstreamError, UpstreamInvalidResponse, UpstreamTruncated
from gateway.wire import ndjson
from gateway.wire.ollama.lines import Call, Line, decode
from gateway.wire.protocol import Progress


def new_call_id() -> str:
    """An id for a tool call that came without one; it must not recur within a conversation."""
    return f"call_{secrets.token_hex(6)}"


class Decoder:
    """A stream to events (:class:`gateway.wire.protocol.Decoder`); ``call_id`` makes ids where none are given."""

    __slots__ = ("_call_id", "_calls", "_splitter", "_started", "progress")

    def __init__(self, call_id: Callable[[], str] = new_call_id) -> None:
        self.progress = Progress()
        self._splitter = ndjson.Splitter()
        self._call_id = call_id
        self._calls = 0
        self._started = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The events of the lines that ``chunk`` completes."""
        events: list[Event] = []
        progress = self.progress
        for raw in self._splitter.feed(chunk):
            if progress.complete or progress.failure is not None:
                break
            try:
                self._read(decode(raw), events)
            except UpstreamInvalidResponse as error:
                if raw.isspace():
                    continue
                if not events:
                    raise
                progress.broken = error
                break
        return events

    def close(self) -> list[Event]:
        """The events of a last line without a line feed."""
        rest = self._splitter.close()
        try:
            events = self.feed(rest + b"\n") if rest else []
        except UpstreamInvalidResponse as error:
            raise _cut_short(rest, error) from error
        _ensure_ended(self.progress)
        return events

    def _read(self, line: Line, events: list[Event]) -> None:
        progress = self.progress
        if line.error:
            progress.failure = line.failure()
            events.append(progress.failure)
            return
        if not self._started:
            self._started = True
            progress.model = line.model
            events.append(Start(model=line.model))
        piece = line.piece()
        if piece.thinking:
            events.append(ReasoningDelta(piece.thinking))
        if piece.content:
            events.append(TextDelta(piece.content))
        if piece.tool_calls:
            events.extend(self._call(call) for call in piece.tool_calls)
        if piece.thinking or piece.content or piece.tool_calls:
            progress.content = progress.fresh = True
        if line.done:
            reason = _finish(progress, line)
            events += (UsageReport(progress.usage), Finish(reason))

    def _call(self, call: Call) -> ToolCallDelta:
        # Newer servers number the calls, but not all of them beyond one line: the order counts.
        delta = ToolCallDelta(self._calls, call.id or self._call_id(), call.function.name, call.arguments())
        self._calls += 1
        if self.progress.tool_call_id is None:
            self.progress.tool_call_id = delta.id
        return delta


class Watch:
    """A stream passed on to a client of the same wire (:class:`gateway.wire.protocol.Watch`), line by line."""

    __slots__ = ("_splitter", "progress")

    def __init__(self) -> None:
        self.progress = Progress()
        self._splitter = ndjson.Splitter()

    def feed(self, chunk: bytes) -> bytes:
        """The lines that ``chunk`` completes; an error line and what follows it are held back."""
        progress = self.progress
        if progress.failure is not None:
            return b""
        lines = self._splitter.feed(chunk)
        for position, raw in enumerate(lines):
            if progress.complete:
                break
            try:
                line = decode(raw)
            except UpstreamInvalidResponse as error:
                if raw.isspace():
                    continue
                if not position:
                    raise
                progress.broken = error
                return b"".join(lines[:position])
            if line.error:
                progress.failure = line.failure()
                return b"".join(lines[:position])
            note(progress, line)
        return lines[0] if len(lines) == 1 else b"".join(lines)

    def close(self) -> bytes:
        """A last line without a line feed gets one. Half a line after the end is nobody's."""
        rest = self._splitter.close()
        try:
            passed = self.feed(rest + b"\n") if rest and not self.progress.complete else b""
        except UpstreamInvalidResponse as error:
            raise _cut_short(rest, error) from error
        _ensure_ended(self.progress)
        return passed


def note(progress: Progress, line: Line) -> None:
    """Keep up what must be known of an answer that is passed on."""
    message = line.message
    if message is None:
        text, thinking, calls = line.response, line.thinking, line.tool_calls
    else:
        text, thinking, calls = message.content, message.thinking, message.tool_calls
    if text or thinking or calls:
        progress.content = progress.fresh = True
        if calls and progress.tool_call_id is None:
            progress.tool_call_id = calls[0].id or ""
    if progress.model is None:
        progress.model = line.model
    if line.done:
        _finish(progress, line)


def _finish(progress: Progress, line: Line) -> FinishReason:
    progress.complete = progress.fresh = True
    progress.usage = line.usage()
    progress.finish = reason = line.finish(progress.tool_call_id is not None)
    return reason


def _ensure_ended(progress: Progress) -> None:
    if progress.broken is not None:
        raise progress.broken
    if not progress.complete and progress.failure is None:
        raise UpstreamTruncated(_TRUNCATED)


def _cut_short(rest: bytes, error: UpstreamInvalidResponse) -> UpstreamError:
    """Why a last line cannot be read: cut off if it begins as an object does, else no line of this wire at all."""
    cause = error.__cause__
    whole = cause is None or isinstance(cause, msgspec.ValidationError)
    return UpstreamTruncated(_TRUNCATED) if rest.lstrip().startswith(b"{") and not whole else error


_TRUNCATED = "the provider's answer ended too early"
