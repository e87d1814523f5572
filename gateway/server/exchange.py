"""One HTTP exchange on ASGI: read the body within bounds, answer, and notice a client that leaves.

Two facts about the server decide the shape of this file. It tells of a client's disconnect only to those who ask
(``receive``), and sending to a client that is gone neither fails nor waits. So somebody must listen while the work
goes on; and because most exchanges are over before anybody could leave, listening begins with the first tick of a
clock that all exchanges of a worker share. The same clock keeps the deadlines that concern the client.

What is left unread of a request's body cannot become a request: the server closes the connection if need be. That
resets it under a client that is still sending, who never sees the answer then; so :func:`drop_body` comes after one.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.errors import BadRequest, RelayError, RequestTimeout, RequestTooLarge, Unavailable
from gateway.generation import Headers

if TYPE_CHECKING:
    from litestar.types import HTTPScope, Receive, Send

#: Answers are handed to the server in pieces of so many bytes: it takes one of any size, and waits for no client then.
PIECE = 256 << 10


#: How long a client may go on sending a body that nobody wants, in seconds.
LINGER_SECONDS = 2.0


class ClientLeft(Exception):
    """The client closed its connection, or does not read any more. A half-close counts too."""


async def drop_body(receive: Receive, seconds: float = LINGER_SECONDS) -> None:
    """Read what is left of a request's body, for so many seconds at most, and forget it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive()).get("more_body"):
                pass


class Exchange:
    """A request being answered; what the relay calls a sink."""

    __slots__ = (
        "_attendant",
        "_body_deadline",
        "_cut",
        "_left",
        "_listener",
        "_receive",
        "_send",
        "_task",
        "_too_slow",
        "_writing_since",
        "scope",
        "started",
        "unread",
    )

    def __init__(self, attendant: Attendant, scope: HTTPScope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.started = False
        #: The client may be sending a body that nobody has read to its end.
        self.unread = scope["method"] not in ("GET", "HEAD")
        self._receive = receive
        self._send = send
        self._attendant = attendant
        self._task: asyncio.Task[object] | None = None
        self._listener: asyncio.Task[None] | None = None
        self._left = False
        self._cut = False
        self._too_slow = False
        self._body_deadline: float | None = None
        self._writing_since: float | None = None

    # --- the request ------------------------------------------------------------------------------------------------

    async def body(self, limit: int, declared: int | None) -> bytes:
        """The whole body. Raises RequestTooLarge before more than ``limit`` bytes are read, RequestTimeout where it
        comes too slowly, BadRequest where it is cut or badly framed.
        """
        if declared is not None and declared > limit:
            raise RequestTooLarge(f"the request's body is over the limit of {limit} bytes")
        attendant = self._attendant
        deadline = self._body_deadline = attendant.now() + attendant.body_seconds
        pieces: list[bytes] = []
        size = 0
        try:
            while True:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    # Bad framing looks like this too, and then the client is there to be told.
                    raise BadRequest("invalid_body", "the request's body is cut short or badly framed")
                piece: bytes = message.get("body", b"")  # type: ignore[assignment]
                size += len(piece)
                if size > limit:
                    raise RequestTooLarge(f"the request's body is over the limit of {limit} bytes")
                pieces.append(piece)
                if size == declared or not message.get("more_body"):
                    break
                self._body_deadline = deadline + size / attendant.body_rate
        except asyncio.CancelledError:
            if self._too_slow and self._task is not None:
                self._task.uncancel()
                self.unread = False
                raise RequestTimeout("the request's body came too slowly") from None
            raise
        finally:
            self._body_deadline = None
        self.unread = False
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # --- the answer -------------------------------------------------------------------------------------------------

    async def start(self, status: int, headers: Headers) -> None:
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, data: bytes) -> None:
        self._writing_since = self._attendant.time
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._writing_since = None

    async def finish(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        self.started = True
        headers.append((b"content-length", b"%d" % len(body)))
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        if len(body) > PIECE:
            for begin in range(0, len(body), PIECE):
                await self.write(body[begin : begin + PIECE])
            body = b""
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    # --- the client -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Exchange:
        self._task = asyncio.current_task()
        self._attendant.enter(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        self._attendant.leave(self)
        if self._listener is not None:
            self._listener.cancel()
        if (self._left or self._cut) and isinstance(error, asyncio.CancelledError) and self._task is not None:
            self._task.uncancel()
            raise ClientLeft from None

    def look(self, now: float) -> None:
        """The attendant's tick."""
        if self._body_deadline is not None:
            if now > self._body_deadline and not self._too_slow and self._task is not None:
                self._too_slow = True
                self._task.cancel()
        elif self._listener is None:
            self._listener = asyncio.create_task(self._listen())
        if self._writing_since is not None and now - self._writing_since > self._attendant.write_seconds:
            self._leave()

    def interrupted(self) -> RelayError | None:
        """What to tell the client after a cancellation that was the gateway's own, and now is over; None otherwise."""
        if self._left or not self._cut or self._task is None:
            return None
        self._cut = False
        self._task.uncancel()
        return Unavailable("the gateway is shutting down; ask again", retry_after=1.0)

    def cut(self) -> None:
        """End it from the gateway's side."""
        if not (self._left or self._cut) and self._task is not None:
            self._cut = True
            self._task.cancel()

    def abandon(self) -> None:
        """End it without a word to the client."""
        self._leave()

    async def over(self) -> None:
        """Wait until it has ended, whichever way."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def _listen(self) -> None:
        # Whatever comes before the disconnect is the end of the body, or bytes of a request that waits its turn.
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        if not self._left and self._task is not None:
            self._left = True
            self._task.cancel()


class Attendant:
    """Looks after the exchanges of one worker, every ``tick`` seconds.

    A body must begin within ``body_seconds`` and then keep to ``body_rate`` bytes per second; a client that takes
    nothing for ``write_seconds`` is given up.
    """

    def __init__(
        self,
        *,
        tick: float = 0.05,
        body_seconds: float = 10.0,
        body_rate: float = 1024.0,
        write_seconds: float = 60.0,
    ) -> None:
        self.body_seconds = body_seconds
        self.body_rate = body_rate
        self.write_seconds = write_seconds
        self._tick_seconds = tick
        self._exchanges: set[Exchange] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        #: The loop's time at the last tick: near enough for deadlines of seconds, and free.
        self.time = 0.0

    def __len__(self) -> int:
        return len(self._exchanges)

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def enter(self, exchange: Exchange) -> None:
        self._exchanges.add(exchange)
        if self._timer is None:
            self._loop = asyncio.get_running_loop()
            self.time = self._loop.time()
            self._timer = self._loop.call_later(self._tick_seconds, self._tick)

    def leave(self, exchange: Exchange) -> None:
        self._exchanges.discard(exchange)

    def cut(self) -> None:
        """End all exchanges from the gateway's side."""
        for exchange in tuple(self._exchanges):
            exchange.cut()

    def abandon(self) -> None:
        """End all exchanges without a word."""
        for exchange in tuple(self._exchanges):
            exchange.abandon()

    async def over(self) -> None:
        """Wait until no exchange is left."""
        while self._exchanges:
            await next(iter(self._exchanges)).over()

    def _tick(self) -> None:
        assert self._loop is not None
        if not self._exchanges:
            self._timer = None
            return
        self.time = now = self._loop.time()
        for exchange in tuple(self._exchanges):
            exchange.look(now)
        self._timer = self._loop.call_later(self._tick_seconds, self._tick)
