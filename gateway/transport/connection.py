"""One HTTP/1.1 connection and the exchange that is on it: bytes are parsed where they arrive, without a task.

A :class:`Connection` outlives its :class:`Exchange`: the moment that an answer is complete the connection goes back to
its owner, and what was received stays with the exchange. An exchange that ends in any other way takes the connection
with it.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import Protocol, cast

import httptools

from gateway.transport.errors import BrokenMessage, DeadlinePassed, Disconnected, Truncated
from gateway.transport.route import Route

#: An answer's head may have this many bytes, and so may anything else that brings no body (interim answers, trailers).
MAX_HEAD_BYTES = 64 << 10
MAX_HEADERS = 256
#: Reading pauses while more than this many bytes of a body wait for their reader.
HIGH_WATER_BYTES = 256 << 10
#: Up to here head and body are joined to one write, hence to one packet where they fit.
_JOINED_BYTES = 64 << 10


class Owner(Protocol):
    """Who lends connections."""

    def release(self, connection: Connection) -> None:
        """An exchange is complete, and the connection can carry another."""

    def lost(self, connection: Connection) -> None:
        """The connection is closed or about to be. May be said more than once."""


class Exchange:
    """One request that was sent, and its answer. Belongs to one reader.

    Cancelling the reader while it waits closes the connection at once.
    """

    __slots__ = ("_connection", "_error", "_parts", "_silent", "_waiter", "clean", "ended", "headers", "size", "status")

    def __init__(self, connection: Connection) -> None:
        #: 0 until the head has come.
        self.status = 0
        #: As received, names in lower case.
        self.headers: list[tuple[bytes, bytes]] = []
        #: No more bytes will come, and none is missing.
        self.ended = False
        #: The end was framed by a length or a last chunk; False where only the closed connection says it.
        self.clean = False
        #: Bytes of body that wait for their reader.
        self.size = 0
        self._connection: Connection | None = connection
        self._parts: list[bytes] = []
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    # --- for the reader ---

    @property
    def whole(self) -> bytes | None:
        """The body that is left to read, if all of it has come; reading it later on is still possible."""
        if not self.ended:
            return None
        parts = self._parts
        if len(parts) == 1:
            return parts[0]
        joined = b"".join(parts)
        parts[:] = [joined]
        return joined

    async def answered(self, deadline: float) -> None:
        """Waits for the answer's head, at most until ``deadline`` (in ``loop.time()``)."""
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._wait(deadline)

    def take(self) -> bytes:
        """All bytes of body that have come and were not read yet."""
        parts = self._parts
        if not parts:
            return b""
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.size = 0
        if self._connection is not None:
            self._connection.resume()
        return data

    async def read(self, deadline: float) -> bytes:
        """The next bytes of body, as many as there are; ``b""`` at the end."""
        while not self._parts and not self.ended and self._error is None:
            await self._wait(deadline)
        data = self.take()
        if not data and self._error is not None:
            raise self._error
        return data

    def close(self) -> None:
        """Gives up the answer: an exchange that has not ended closes its connection at once."""
        connection = self._connection
        if connection is not None:
            connection.abort()
            self.fail(Truncated("the answer was given up"))

    async def _wait(self, deadline: float) -> None:
        connection = self._connection
        assert connection is not None
        self._waiter = connection.loop.create_future()
        connection.deadline = min(deadline, connection.end_by)
        try:
            await self._waiter
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter = None
            # A connection that has been released in the meantime may carry somebody else's exchange.
            if self._connection is connection:
                connection.deadline = connection.end_by

    # --- for the connection ---

    def feed(self, data: bytes) -> None:
        """More of the body."""
        self._parts.append(data)
        self.size += len(data)

    def wake(self) -> None:
        """Something has changed."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def finish(self, *, clean: bool) -> None:
        """The answer is complete."""
        self._connection = None
        self.ended = True
        self.clean = clean
        self.wake()

    def fail(self, error: Exception) -> None:
        """The answer will never be complete; what has come of its body can still be read."""
        self._connection = None
        self._error = error
        self.wake()


class _Surplus(Exception):
    """Bytes after the end of an answer: stops the parser."""


class Connection(asyncio.Protocol):
    """One connection: parses answers, holds back a fast peer, and tells its owner when it is free or lost."""

    __slots__ = (
        "_body",
        "_complete",
        "_exchange",
        "_fault",
        "_headers",
        "_interim",
        "_is_head",
        "_owner",
        "_parser",
        "_paused",
        "_quiet",
        "_reusable",
        "_stream",
        "deadline",
        "end_by",
        "idle_since",
        "loop",
        "on_body",
        "route",
    )

    def __init__(self, route: Route, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        #: The body in the data that is being parsed. The parser appends to it without any of our code: a stream has
        #: many small pieces, one for each event.
        self._body: list[bytes] = []
        self.on_body = self._body.append
        self.route = route
        self.loop = loop
        #: When whoever waits now gives up, in ``loop.time()``; the owner calls :meth:`expire` then.
        self.deadline = inf
        #: When the exchange must be over, whether somebody waits or not.
        self.end_by = inf
        self.idle_since = 0.0
        self._owner = owner
        self._stream: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._quiet = 0
        self._fault: str | None = None
        self._interim = False
        self._is_head = False
        self._complete = False
        self._reusable = False
        self._paused = False

    # --- for the owner ---

    @property
    def alive(self) -> bool:
        """Whether a request can be sent on it, as far as is known here."""
        return self._stream is not None and not self._stream.is_closing()

    def begin(self, head: bytes, body: bytes, *, end_by: float, is_head: bool) -> Exchange:
        """Sends a request (``head`` with its empty line); ``is_head`` says that its method is HEAD."""
        assert self._stream is not None
        assert self._exchange is None
        exchange = self._exchange = Exchange(self)
        self._headers = []
        self._quiet = 0
        self._complete = self._reusable = False
        self._is_head = is_head
        self.deadline = self.end_by = end_by
        if len(body) <= _JOINED_BYTES:
            self._stream.write(head + body)
        else:
            self._stream.write(head)
            self._stream.write(body)
        return exchange

    def expire(self) -> None:
        """The deadline has passed."""
        exchange, self._exchange = self._exchange, None
        self.abort()
        if exchange is not None:
            exchange.fail(DeadlinePassed("no more of the answer in time" if exchange.status else "no answer in time"))

    def abort(self) -> None:
        """Closes at once, without sending what is left. From inside a callback of this connection: :meth:`drop`."""
        self._exchange = None
        self._owner.lost(self)
        if self._stream is not None:
            self._stream.abort()

    def drop(self) -> None:
        """Closes as soon as the callback is over: asyncio's TLS does not bear an abort from inside one."""
        self._owner.lost(self)
        if self._stream is not None:
            self.loop.call_soon(self._stream.abort)

    def resume(self) -> None:
        """The reader has taken what was there."""
        if self._paused and self._stream is not None:
            self._paused = False
            self._stream.resume_reading()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._stream = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            # Nobody asked. Whatever it is, the next request must not take it for its answer.
            self.drop()
            return
        status = exchange.status
        self._quiet += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._complete:
                self._reusable = False
            elif self._fault is None:
                self._fault = "not an HTTP/1.1 answer"
        body = self._body
        if body:
            exchange.feed(body[0] if len(body) == 1 else b"".join(body))
            body.clear()
            self._quiet = 0
            grown = True
        else:
            grown = False
        if self._fault is not None:
            self._fail(BrokenMessage(self._fault))
        elif self._complete:
            self._settle(exchange)
        elif grown:
            exchange.wake()
            if exchange.size > HIGH_WATER_BYTES and not self._paused and self._stream is not None:
                self._paused = True
                self._stream.pause_reading()
        elif self._quiet > MAX_HEAD_BYTES:
            self._fail(BrokenMessage("too many bytes without a body"))
        elif exchange.status != status:
            exchange.wake()

    def eof_received(self) -> None:
        self._cut(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stream = None
        self._cut(exc)

    # --- httptools ---

    def on_message_begin(self) -> None:
        if self._complete:
            raise _Surplus

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._quiet > MAX_HEAD_BYTES and sum(len(n) + len(v) + 4 for n, v in self._headers) > MAX_HEAD_BYTES:
            self._fault = "the head of the answer is too large"
        elif len(self._headers) > MAX_HEADERS:
            self._fault = "the answer has too many headers"
        elif status < 100 or status == 101:
            self._fault = "an answer with a status that was not asked for"
        elif status < 200:
            # RFC 9110 section 15.2: any number of interim answers may precede the one that counts.
            self._interim = True
            self._headers = []
        elif self._exchange is not None:
            self._exchange.headers = self._headers
            self._exchange.status = status
            # What comes now are trailers: read, bounded by _quiet, and forgotten.
            self._headers = []
            self._complete = self._is_head

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        else:
            self._complete = True
            self._reusable = self._parser.should_keep_alive() and not self._is_head

    # --- ends ---

    def _settle(self, exchange: Exchange) -> None:
        """The answer is complete: the connection is free, unless something speaks against using it again."""
        self._exchange = None
        self.deadline = self.end_by = inf
        exchange.finish(clean=True)
        stream = self._stream
        if self._reusable and stream is not None and not stream.get_write_buffer_size():
            self.resume()
            self._owner.release(self)
        else:
            self.drop()

    def _cut(self, error: Exception | None) -> None:
        """The peer closed (no ``error``), or the connection broke."""
        exchange, self._exchange = self._exchange, None
        self.drop()
        if exchange is None:
            return
        if not exchange.status:
            exchange.fail(Disconnected("closed before it answered", silent=not self._quiet))
        elif error is None and _ends_at_close(exchange.headers):
            exchange.finish(clean=False)
        else:
            exchange.fail(Truncated("closed inside the answer"))

    def _fail(self, error: Exception) -> None:
        exchange, self._exchange = self._exchange, None
        self.drop()
        if exchange is not None:
            exchange.fail(error)


def _ends_at_close(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether nothing but the closed connection ends the body (RFC 9112 section 6.3, rule 8)."""
    return not any(name in (b"content-length", b"transfer-encoding") for name, _ in headers)
