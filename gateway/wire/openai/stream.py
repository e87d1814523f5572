"""A provider's stream: to events for another wire, or watched on its way to a client of this one."""

from __future__ import annotations

from typing import Any

from gateway.chat import (
    ChatRequest,
    Event,
    Failure,
    Finish,
    FinishReason,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    UsageReport,
)
from gateway.errors import UpstreamInvalidResponse, UpstreamResponseTooLarge, UpstreamTruncated
from gateway.wire import sse
from gateway.wire.openai import told
from gateway.wire.openai.calls import Calls
from gateway.wire.openai.chunks import (
    DONE,
    Choice,
    Chunk,
    Delta,
    failed,
    finish_reason,
    legacy_call,
    plain,
    read,
    usage_of,
)
from gateway.wire.openai.content import said, thoughts
from gateway.wire.protocol import Progress

_DONE = b"data: [DONE]\n\n"
_GOOD = ("stop", "tool_calls")


class _Reader:
    """What both ways of reading a stream share: events cut apart, and what must be known of each."""

    __slots__ = ("_finished", "_splitter", "progress")

    def __init__(self) -> None:
        self.progress = Progress()
        self._splitter = sse.Splitter()
        #: The choices that have a finish reason.
        self._finished: set[int] = set()

    def _read(self, event: bytes) -> Chunk | None:
        """As :func:`read`; after the terminator nothing can be wrong any more."""
        try:
            return read(event)
        except UpstreamInvalidResponse:
            if self.progress.complete:
                return None
            raise

    def _done(self) -> FinishReason:
        """The terminator is here. Raises UpstreamInvalidResponse where nothing came before it."""
        progress = self.progress
        if progress.finish is None:
            if not progress.content:
                raise UpstreamInvalidResponse("the provider ended its answer before it began")
            # Snowflake says nothing of why it stopped.
            progress.finish = finish_reason(None, called=progress.tool_call_id is not None)
        progress.complete = True
        return progress.finish

    def _usage(self, chunk: Chunk) -> bool:
        """Take over what the chunk says of tokens; whether it says anything new."""
        progress = self.progress
        usage = progress.usage.merged(usage_of(chunk.usage, chunk.x_groq))
        if usage == progress.usage:
            return False
        progress.usage = usage
        progress.fresh = True
        return True

    def _failed(self, chunk: Chunk) -> Failure | None:
        """The error that a chunk carries, at its top or in a choice."""
        error = chunk.error
        if not error:
            for choice in chunk.choices or ():
                if choice.error or failed(choice.finish_reason):
                    error = choice.error or f"the provider broke off with finish reason {choice.finish_reason}"
                    break
            else:
                return None
        self.progress.failure = told.failure(error)
        return self.progress.failure

    def _content(self, delta: Delta) -> None:
        progress = self.progress
        progress.content = progress.fresh = True
        if progress.tool_call_id is None and (delta.tool_calls or delta.function_call):
            progress.tool_call_id = delta.first_call_id()

    def _finish(self, choice: Choice) -> None:
        progress = self.progress
        reason = finish_reason(choice.finish_reason, called=progress.tool_call_id is not None)
        # Some say "stop" once more when they close an answer that was cut.
        if reason not in _GOOD or progress.finish == "stop" or _index(choice) not in self._finished:
            progress.finish = reason
        progress.fresh = True
        self._finished.add(_index(choice))

    def _truncated(self) -> UpstreamTruncated:
        return UpstreamTruncated("the provider's answer ended before its end")


class Watch(_Reader):
    """A stream that passes unchanged, but for a chunk of usage that only the gateway asked for."""

    __slots__ = ("_choices", "_usage_asked")

    def __init__(self, request: ChatRequest) -> None:
        super().__init__()
        self._usage_asked = request.include_usage
        self._choices = request.n

    def feed(self, chunk: bytes) -> bytes:
        """See :meth:`gateway.wire.protocol.Watch.feed`."""
        progress, splitter = self.progress, self._splitter
        ordinary = b""
        if progress.content and splitter.between_events and not progress.complete and progress.failure is None:
            end = plain(chunk)
            if end:
                progress.fresh = True
                if end == len(chunk):
                    return chunk
                ordinary, chunk = chunk[:end], chunk[end:]
        passed = [ordinary] if ordinary else []
        try:
            for event in splitter.feed(chunk):
                if self._passes(event):
                    passed.append(event)
        except (UpstreamInvalidResponse, UpstreamResponseTooLarge) as error:
            if not passed:
                raise
            progress.broken = error
        return passed[0] if len(passed) == 1 else b"".join(passed)

    def close(self) -> bytes:
        """See :meth:`gateway.wire.protocol.Watch.close`."""
        rest = self._splitter.close()
        if self.progress.broken is not None:
            raise self.progress.broken
        if self.progress.failure is not None:
            return b""
        if self.progress.complete:
            return rest
        if len(self._finished) < self._choices and not _is_done(rest):
            raise self._truncated()
        # Some providers end with the finish reason and leave the terminator out (Perplexity). What is left may be the
        # second half of the last event's CRLF.
        self._done()
        return (rest if rest.isspace() else b"") + _DONE

    def _passes(self, event: bytes) -> bool:
        """Whether the client gets this event."""
        progress = self.progress
        if progress.complete or progress.failure is not None:
            return self._passes_late(event)
        chunk = read(event)
        if chunk is None:
            # Comments keep connections alive. OpenAI's own clients take anything else that says nothing for JSON.
            return event.startswith(b":")
        if chunk is DONE:
            self._done()
            return True
        if chunk.error:
            self._usage(chunk)
            self._failed(chunk)
            return False
        if (chunk.usage or chunk.x_groq) and not self._account(chunk):
            return False
        for choice in chunk.choices or ():
            delta = choice.delta
            if delta is not None and (delta.content or delta.says_something()):
                self._content(delta)
            if choice.finish_reason or choice.error:
                if self._failed(chunk) is not None:
                    return False
                self._finish(choice)
        if progress.model is None and type(chunk.model) is str:
            progress.model = chunk.model or None
        return True

    def _passes_late(self, event: bytes) -> bool:
        """After an error nothing passes any more; after the terminator everything, and only usage counts."""
        if self.progress.failure is not None:
            return False
        chunk = self._read(event)
        return chunk is None or not (chunk.usage or chunk.x_groq) or self._account(chunk)

    def _account(self, chunk: Chunk) -> bool:
        """Take the chunk's usage over; whether the client gets the chunk."""
        self._usage(chunk)
        return bool(chunk.choices) or not chunk.usage or self._usage_asked


class Decoder(_Reader):
    """A stream to events. The finish is held back until nothing more can come, so that it is the last event."""

    __slots__ = ("_calls", "_started")

    def __init__(self) -> None:
        super().__init__()
        self._calls = Calls()
        self._started = False

    def feed(self, chunk: bytes) -> list[Event]:
        """See :meth:`gateway.wire.protocol.Decoder.feed`."""
        events: list[Event] = []
        try:
            for raw in self._splitter.feed(chunk):
                if self.progress.failure is not None:
                    break
                event = self._read(raw)
                if event is DONE:
                    self._end(events)
                elif event is not None:
                    self._chunk(event, events)
        except UpstreamInvalidResponse as error:
            if not events:
                raise
            self.progress.broken = error
        return events

    def close(self) -> list[Event]:
        """See :meth:`gateway.wire.protocol.Decoder.close`."""
        rest = self._splitter.close()
        events: list[Event] = []
        if self.progress.broken is not None:
            raise self.progress.broken
        if self.progress.failure is not None or self.progress.complete:
            return events
        if not self._finished and not _is_done(rest):
            raise self._truncated()
        self._end(events)
        return events

    def _end(self, events: list[Event]) -> None:
        """Everything is here: what is still missing, and the finish."""
        if not self.progress.complete:
            reason = self._done()
            events.extend(self._calls.rest())
            events.append(Finish(reason))

    def _chunk(self, chunk: Chunk, events: list[Event]) -> None:
        progress = self.progress
        if (chunk.usage or chunk.x_groq) and self._usage(chunk):
            events.append(UsageReport(progress.usage))
        if progress.complete:
            return
        if (failure := self._failed(chunk)) is not None:
            events.append(failure)
            return
        if not self._started and (chunk.id or chunk.model or chunk.choices):
            self._started = True
            progress.model = _word(chunk.model)
            events.append(Start(_word(chunk.id), progress.model))
        for choice in chunk.choices or ():
            # Over the hub there is one answer; more are refused when they are asked for.
            if _index(choice) != 0:
                continue
            if choice.delta is not None and choice.delta.says_something():
                self._content(choice.delta)
                self._delta(choice.delta, events)
            if choice.finish_reason:
                self._finish(choice)

    def _delta(self, delta: Delta, events: list[Event]) -> None:
        for thought in thoughts(delta):
            events.append(ReasoningDelta(thought.text, thought.signature, thought.redacted))
        content = delta.content
        if type(content) is str:
            if content:
                events.append(TextDelta(content))
        else:
            for part in said(content):
                events.append(ReasoningDelta(part.text) if type(part) is Reasoning else TextDelta(part.text))
        if type(delta.refusal) is str and delta.refusal:
            events.append(RefusalDelta(delta.refusal))
        fragments = delta.calls()
        if delta.function_call and (call := legacy_call(delta)) is not None:
            fragments = [*fragments, {"index": 0, "function": call}]
        for fragment in fragments:
            if (addition := self._calls.read(fragment)) is not None:
                events.append(addition)


def _is_done(rest: bytes) -> bool:
    """Whether a stream's last bytes are a terminator that only lacks its blank line."""
    return (sse.data(rest) or b"").strip() == b"[DONE]"


def _index(choice: Choice) -> int:
    return choice.index if type(choice.index) is int else 0


def _word(value: Any) -> str | None:
    return value if type(value) is str and value else None
