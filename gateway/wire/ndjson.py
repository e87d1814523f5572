"""Newline-delimited JSON as bytes: split a stream into whole lines (Ollama's API, "Streaming responses")."""

from __future__ import annotations

from gateway.errors import UpstreamResponseTooLarge
from gateway.wire.protocol import MAX_EVENT_BYTES

_TOO_LARGE = "the provider sent a line that is too large"


class Splitter:
    """Chunks to whole raw lines, their line feed included; concatenated they are the stream again."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that ``chunk`` completes, blank ones too. Raises UpstreamResponseTooLarge on one over the limit, as
        soon as the lines before it are told.
        """
        # Mostly a chunk is one line, as the server flushed it.
        if not self._rest and chunk.find(b"\n") == len(chunk) - 1 and chunk:
            return [chunk]
        buffer = self._rest + chunk if self._rest else chunk
        lines = buffer.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_EVENT_BYTES and not lines:
            raise UpstreamResponseTooLarge(_TOO_LARGE)
        return [line + b"\n" for line in lines]

    def close(self) -> bytes:
        """What came after the last line feed: empty, or a last line without one. Raises as :meth:`feed`."""
        rest, self._rest = self._rest, b""
        if len(rest) > MAX_EVENT_BYTES:
            raise UpstreamResponseTooLarge(_TOO_LARGE)
        return rest
