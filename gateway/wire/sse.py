"""Server-sent events as bytes: split a stream into whole events, and read an event's data.

The format is the HTML Living Standard's, section 9.2.6: lines end with CR, LF or CRLF, a blank line ends an event,
``data`` lines add up, and everything else may be ignored. Text is never split on other characters that Unicode calls
line ends: JSON strings hold them unescaped.
"""

from __future__ import annotations

import re

from gateway.errors import UpstreamResponseTooLarge
from gateway.wire.protocol import MAX_EVENT_BYTES

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_LF = ord("\n")
_TOO_LARGE = "the provider sent an event that is too large"


class Splitter:
    """Chunks to whole raw events, their blank line included; concatenated they are the stream again.

    But for a byte order mark at its beginning, which belongs to no event and over which most clients trip.
    """

    __slots__ = ("_begun", "_rest", "_swallow")

    def __init__(self) -> None:
        self._begun = False
        self._rest = b""
        # The last event ended with a CR; a LF that comes first in the next chunk belongs to it.
        self._swallow = False

    @property
    def between_events(self) -> bool:
        """Whether the next byte begins an event."""
        return not self._rest and not self._swallow

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that ``chunk`` completes. Raises UpstreamResponseTooLarge on an event over the limit, as soon as
        the events before it are told.
        """
        buffer = self._rest + chunk if self._rest else chunk
        if not self._begun:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._rest = buffer
                return []
            self._begun = True
            buffer = buffer.removeprefix(_BOM)
        if self._swallow or buffer.find(b"\r") >= 0:
            return self._feed_any_line_end(buffer)
        # Mostly a chunk is one event of one line, cheaply told: its first line feed is the last byte but one.
        if buffer.find(b"\n") == len(buffer) - 2 >= 0 and buffer[-1] == _LF:
            self._rest = b""
            return [buffer]
        events = buffer.split(b"\n\n")
        self._rest = events.pop()
        if len(self._rest) > MAX_EVENT_BYTES and not events:
            raise UpstreamResponseTooLarge(_TOO_LARGE)
        return [event + b"\n\n" for event in events]

    def _feed_any_line_end(self, buffer: bytes) -> list[bytes]:
        events: list[bytes] = []
        start = search = 0
        if self._swallow and buffer:
            self._swallow = False
            search = 1 if buffer[:1] == b"\n" else 0
        while match := _BLANK_LINE.search(buffer, search):
            # A blank line may itself be cut: "\n\r" may become "\n\r\n", and the event is over all the same.
            events.append(buffer[start : match.end()])
            start = search = match.end()
        if events and start == len(buffer) and buffer.endswith(b"\r"):
            self._swallow = True
        self._rest = buffer[start:]
        if len(self._rest) > MAX_EVENT_BYTES and not events:
            raise UpstreamResponseTooLarge(_TOO_LARGE)
        return events

    def close(self) -> bytes:
        """What came after the last whole event: empty, or an event without its blank line. Raises as :meth:`feed`."""
        rest, self._rest = self._rest, b""
        if len(rest) > MAX_EVENT_BYTES:
            raise UpstreamResponseTooLarge(_TOO_LARGE)
        return rest


def data(event: bytes) -> bytes | None:
    """The data of one raw event, possibly with whitespace after it; None where it has none (a comment, a bare id)."""
    # The two forms that nearly all events have: a data line, alone or after an event line.
    start = event.find(b"\n") + 1 if event.startswith(b"event: ") else 0
    if event.startswith(b"data: ", start) and event.find(b"\n", start) == len(event) - 2 and b"\r" not in event:
        return event[start + 6 :]
    lines: list[bytes] = []
    for line in _LINE_END.split(event):
        if line.startswith(b"data:"):
            lines.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            lines.append(b"")
    return b"\n".join(lines) if lines else None
