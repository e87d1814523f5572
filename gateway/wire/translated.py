"""A stream of one wire to a client of another: what a :class:`~gateway.wire.protocol.Watch` is where both are one."""

from __future__ import annotations

from gateway.chat import Event
from gateway.wire.protocol import Decoder, Encoder


class Translated:
    """A decoder and an encoder, mouth to ear."""

    __slots__ = ("_closed", "_decoder", "_encoder", "progress")

    def __init__(self, decoder: Decoder, encoder: Encoder) -> None:
        self._decoder = decoder
        self._encoder = encoder
        self._closed = False
        self.progress = decoder.progress

    def feed(self, chunk: bytes) -> bytes:
        """See :meth:`gateway.wire.protocol.Watch.feed`."""
        return self._encode(self._decoder.feed(chunk))

    def close(self) -> bytes:
        """See :meth:`gateway.wire.protocol.Watch.close`."""
        return self._encode(self._decoder.close())

    def _encode(self, events: list[Event]) -> bytes:
        out = b"".join(map(self._encoder.encode, events))
        if self.progress.complete and not self._closed and self.progress.failure is None:
            self._closed = True
            out += self._encoder.close()
        return out
