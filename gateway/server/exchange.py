"""One HTTP exchange on ASGI: read the body within bounds, answer, and notice a client that leaves.

Two facts about the server decide the shape of this file. It tells of a client's disconnect only to those who ask
(``receive``), and sending to a client that is gone neither fails nor waits. So somebody must listen while the work
goes on; and because most exchanges are over before anybody could leave, listening begins with the first tick of a
clock that all exchanges of a worker share. The same clock keeps the deadlines that concern the client.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.errors import BadRequest, RequestTimeout, RequestTooLarge
from gateway.generation import Headers

if TYPE_CHECKING:
    from litestar.types import HTTPScope, Receive, Send

#: Seconds between two looks at the running exchanges.
TICK = 0.05
#: A body must begin within this many seconds, and then keep to a rate in bytes per second.
BODY_SECONDS = 10.0
BODY_RATE = 1024
#: A client that takes nothing for so many seconds is given up.
WRITE_SECONDS = 60.0


class ClientLeft(Exception):
    """The client closed its connection, or does not read any more. A half-close counts too."""


class Exchange:
    """A request being answered; what the relay calls a sink."""

    __slots__ = (
        "_attendant",
        "_body_deadline",
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
        #: Some of the request's body may still be on its way.
        self.unread = scope["method"] == "POST"
        self._receive = receive
        self._send = send
        self._attendant = attendant
        self._task: asyncio.Task[object] | None = None
        self._listener: asyncio.Task[None] | None = None
        self._left = False
        self._too_slow = False
        self._body_deadline: float | None = None
        self._writing_since: float | None = None

    # --- the request ------------------------------------------------------------------------------------------------

    async def body(self, limit: int, declared: int | None) -> bytes:
        """The whole body. Raises RequestTooLarge before more than ``limit`` bytes are read, RequestTimeout where it
        comes too slowly, BadRequest where it is cut or badly framed, ClientLeft.
        """
        if declared is not None and declared > limit:
            raise RequestTooLarge(f"the request's body is over the limit of {limit} bytes")
        began = self._attendant.now()
        self._body_deadline = began + BODY_SECONDS
        pieces: list[bytes] = []
        size = 0
        try:
            while True:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    raise ClientLeft
                piece: bytes = message.get("body", b"")  # type: ignore[assignment]
                size += len(piece)
                if size > limit:
                    raise RequestTooLarge(f"the request's body is over the limit of {limit} bytes")
                pieces.append(piece)
                if size == declared or not message.get("more_body"):
                    break
                self._body_deadline = began + BODY_SECONDS + size / BODY_RATE
        except asyncio.CancelledError:
            if self._too_slow and self._task is not None:
                self._task.uncancel()
                raise RequestTimeout("the request's body came too slowly") from None
            raise
        except (OSError, RuntimeError) as error:
            raise BadRequest("invalid_body", "the request's body is badly framed") from error
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
        self._writing_since = self._attendant.time
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
        self._writing_since = None

    # --- the client -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Exchange:
        self._task = asyncio.current_task()
        self._attendant.enter(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        self._attendant.leave(self)
        if self._listener is not None:
            self._listener.cancel()
        if self._left and isinstance(error, asyncio.CancelledError) and self._task is not None:
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
        if self._writing_since is not None and now - self._writing_since > WRITE_SECONDS:
            self._leave()

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
    """Looks after the exchanges of one worker."""

    def __init__(self) -> None:
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
            self._timer = self._loop.call_later(TICK, self._tick)

    def leave(self, exchange: Exchange) -> None:
        self._exchanges.discard(exchange)

    def _tick(self) -> None:
        assert self._loop is not None
        if not self._exchanges:
            self._timer = None
            return
        self.time = now = self._loop.time()
        for exchange in tuple(self._exchanges):
            exchange.look(now)
        self._timer = self._loop.call_later(TICK, self._tick)
