"""The pool: connections that wait for a request, exchanges that wait for their answers, and one clock for all."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from math import inf

import httpx

from gateway.transport.connection import Connection, Exchange
from gateway.transport.dial import Dialer
from gateway.transport.errors import DeadlinePassed, Disconnected
from gateway.transport.route import Route

#: How exactly deadlines are kept, in seconds.
TICK = 0.02
#: A connection that was idle for longer is closed: well below the 60 s after which many servers close it.
IDLE_SECONDS = 30.0
#: Idle connections that are kept per route.
MAX_IDLE = 256
#: What httpx's "no timeout" becomes: a day.
_NO_TIMEOUT = 86_400.0
#: Set here, from the body as it is.
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class ThinTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 for many short and many long exchanges, cheaply.

    :meth:`send` is the native way in; as an httpx transport it serves an ``httpx.AsyncClient`` too. There is no limit
    of connections, hence nothing to wait for: where none is idle, one is opened. Nothing is read from the
    environment. Belongs to one event loop. ``ssl_context`` replaces the system's authorities, ``idle`` is how many
    seconds a connection may wait for its next request.
    """

    def __init__(self, ssl_context: ssl.SSLContext | None = None, *, idle: float = IDLE_SECONDS) -> None:
        self._patience = idle
        self._dialer = Dialer(ssl_context)
        self._idle: dict[Route, deque[Connection]] = {}
        self._active: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._janitor: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(
        self,
        route: Route,
        head: bytes,
        body: bytes,
        *,
        connect_by: float,
        answer_by: float,
        end_by: float = inf,
        is_head: bool = False,
    ) -> Exchange:
        """Sends a request and returns when the head of its answer is complete.

        Deadlines are in ``loop.time()``: for a new connection, for the answer's head, and for all of the exchange,
        also while nobody waits for it. Raises as :meth:`Dialer.dial`, and the classes of
        :mod:`gateway.transport.errors`.

        A connection that had been idle and is closed before a byte of the answer came was closed before the request
        reached the server; the request is sent once more, on a new one.
        """
        loop = asyncio.get_running_loop()
        connection = self._lend(route)
        if connection is not None:
            exchange = self._begin(connection, head, body, end_by, is_head)
            try:
                await exchange.answered(answer_by)
            except Disconnected as error:
                if not error.silent:
                    raise
            else:
                return exchange
        connection = Connection(route, self, loop)
        try:
            await self._dialer.dial(route, connection, connect_by)
        except TimeoutError as error:
            connection.abort()
            raise DeadlinePassed("no connection in time") from error
        except BaseException:
            connection.abort()
            raise
        if self._closed or not connection.alive:
            connection.abort()
            raise Disconnected("closed as soon as it was open", silent=True)
        exchange = self._begin(connection, head, body, end_by, is_head)
        await exchange.answered(answer_by)
        return exchange

    def forget(self, route: Route) -> None:
        """Closes the idle connections of ``route``."""
        for connection in self._idle.pop(route, ()):
            connection.abort()

    async def aclose(self) -> None:
        """Closes everything at once; exchanges that are under way fail."""
        self._closed = True
        for timer in (self._sweeper, self._janitor):
            if timer is not None:
                timer.cancel()
        for connection in list(self._active):
            connection.expire()
        for route in list(self._idle):
            self.forget(route)
        # asyncio closes aborted sockets in the next round of its loop.
        await asyncio.sleep(0)

    # --- connections come and go ---

    def release(self, connection: Connection) -> None:
        """See :class:`~gateway.transport.connection.Owner`."""
        self._active.discard(connection)
        if self._closed:
            connection.drop()
            return
        connection.idle_since = connection.loop.time()
        idle = self._idle.setdefault(connection.route, deque())
        idle.append(connection)
        if len(idle) > MAX_IDLE:
            idle.popleft().abort()
        if self._janitor is None:
            self._janitor = connection.loop.call_later(self._patience / 4, self._tidy, connection.loop)

    def lost(self, connection: Connection) -> None:
        """See :class:`~gateway.transport.connection.Owner`."""
        self._active.discard(connection)
        idle = self._idle.get(connection.route)
        if idle is not None and connection in idle:
            idle.remove(connection)

    def _lend(self, route: Route) -> Connection | None:
        """The connection that became idle last: the others get their chance to grow old."""
        idle = self._idle.get(route)
        while idle:
            connection = idle.pop()
            if connection.alive and connection.loop.time() - connection.idle_since < self._patience:
                return connection
            connection.abort()
        return None

    def _begin(self, connection: Connection, head: bytes, body: bytes, end_by: float, is_head: bool) -> Exchange:
        exchange = connection.begin(head, body, end_by=end_by, is_head=is_head)
        self._active.add(connection)
        if self._sweeper is None:
            self._sweeper = connection.loop.call_later(TICK, self._sweep, connection.loop)
        return exchange

    # --- the clock ---

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for connection in [connection for connection in self._active if connection.deadline <= now]:
            connection.expire()
        self._sweeper = loop.call_later(TICK, self._sweep, loop) if self._active else None

    def _tidy(self, loop: asyncio.AbstractEventLoop) -> None:
        oldest = loop.time() - self._patience
        for route, idle in list(self._idle.items()):
            while idle and idle[0].idle_since <= oldest:
                idle.popleft().abort()
            if not idle:
                del self._idle[route]
        self._janitor = loop.call_later(self._patience / 4, self._tidy, loop) if self._idle else None

    # --- as a transport of httpx ---

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See ``httpx.AsyncBaseTransport``; of the timeouts ``connect`` and ``read`` count, as wall-clock time."""
        now = asyncio.get_running_loop().time()
        timeouts = request.extensions.get("timeout", {})
        patience = _seconds(timeouts.get("read"))
        method = request.method.encode("ascii")
        route = Route.of(request.url)
        body = await request.aread()
        headers = [(name, value) for name, value in request.headers.raw if name.lower() not in _FRAMING]
        if body:
            headers.append((b"Content-Length", b"%d" % len(body)))
        exchange = await self.send(
            route,
            route.head(method, request.url.raw_path, headers) + b"\r\n",
            body,
            connect_by=now + _seconds(timeouts.get("connect")),
            answer_by=now + patience,
            is_head=method == b"HEAD",
        )
        stream = _Body(exchange, patience)
        return httpx.Response(exchange.status, headers=exchange.headers, stream=stream, request=request)


class _Body(httpx.AsyncByteStream):
    """An exchange's body as httpx reads it; ``whole`` is all of it, where it came with the head."""

    def __init__(self, exchange: Exchange, patience: float) -> None:
        self._exchange = exchange
        self._patience = patience
        self.whole = exchange.whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        while data := await self._exchange.read(loop.time() + self._patience):
            yield data

    async def aclose(self) -> None:
        self._exchange.close()


def _seconds(timeout: float | None) -> float:
    return _NO_TIMEOUT if timeout is None else timeout
