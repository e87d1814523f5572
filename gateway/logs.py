"""Logs for people on a terminal, for machines elsewhere: one line each, without prompts, answers or keys."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import TextIO

import msgspec

from gateway.ledger import Entry
from gateway.wire.text import visible

#: Requests are logged in batches of so many seconds: a write for each would cost more than relaying it.
BATCH_SECONDS = 0.25

_encode = msgspec.json.Encoder().encode
_LEVELS = {"WARNING": "warn", "CRITICAL": "error"}


class _Line(msgspec.Struct, omit_defaults=True):
    ts: str
    level: str
    logger: str
    msg: str
    code: str | None = None
    error: str | None = None


class _JSONFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = _Line(
            ts=_rfc3339(record.created),
            level=_LEVELS.get(record.levelname, record.levelname.lower()),
            logger=record.name,
            msg=record.getMessage(),
            code=getattr(record, "problem", None),
            error=self.formatException(record.exc_info) if record.exc_info else None,
        )
        return _encode(line).decode()


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")


def configure(style: str) -> None:
    """Send the gateway's and the server's logs to standard error; ``style`` is ``text`` or ``json``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_TextFormatter() if style == "text" else _JSONFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("llm_relay").setLevel(logging.INFO)


class RequestLog:
    """A line for every finished request.

    Lines are written by a helper thread in batches: a log that is not read (a full pipe) never stops a request. When
    the reader is too slow for that too, lines are dropped and counted.
    """

    #: Entries that wait for a slow reader.
    CAPACITY = 10_000

    def __init__(self, *, text: bool, stream: TextIO | None = None) -> None:
        self._text = text
        self._stream = sys.stderr if stream is None else stream
        self._entries: list[Entry] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Future[None] | None = None
        self._dropped = 0

    def add(self, entry: Entry) -> None:
        """Log ``entry`` soon. On the event loop."""
        if len(self._entries) >= self.CAPACITY:
            self._dropped += 1
            return
        self._entries.append(entry)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_SECONDS, self._batch)

    def flush(self) -> None:
        """Write what is left, now."""
        self._write(self._take())

    def _batch(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        if self._writing is not None and not self._writing.done():
            self._timer = loop.call_later(BATCH_SECONDS, self._batch)
            return
        self._writing = loop.run_in_executor(None, self._write, self._take())

    def _take(self) -> list[Entry]:
        entries, self._entries = self._entries, []
        return entries

    def _write(self, entries: list[Entry]) -> None:
        if not entries:
            return
        lines = [_text(entry) if self._text else _json(entry) for entry in entries]
        if self._dropped:
            lost = f"{self._dropped} requests were not logged: the log's reader is too slow"
            if not self._text:
                lost = _encode(_Line(_rfc3339(time.time()), "warn", "llm_relay.requests", lost)).decode()
            lines.append(lost + "\n")
            self._dropped = 0
        try:
            self._stream.write("".join(lines))
            self._stream.flush()
        except (OSError, ValueError):
            # A closed pipe: nobody reads, nothing to tell.
            self._dropped += len(entries)


def _json(entry: Entry) -> str:
    # The entry's own fields follow the three that every line has; what is unknown or usual is left out.
    return f'{{"ts":"{_rfc3339(entry.time)}","level":"info","msg":"request",{_encode(entry)[1:].decode()}\n'


def _text(entry: Entry) -> str:
    asked = entry.router or "direct"
    told = f" ({entry.decision})" if entry.decision else ""
    wrong = f" {entry.code}" if entry.code else ""
    trace = f" trace {entry.trace_id}" if entry.trace_id else ""
    clock = time.strftime("%H:%M:%S", time.localtime(entry.time))
    return (
        f"{clock} {entry.status} {entry.dialect} {asked} -> {visible(entry.candidate or '-')}{told}{wrong} "
        f"{entry.total_ms or 0:.0f} ms {entry.request_id}{trace}\n"
    )


def _rfc3339(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"
