"""Requests to providers and their answers: the only way out to a provider.

An answer is read under four wall-clock rules, all of them kept here (times in ``loop.time()``):

- ``connect`` and ``first_byte`` run from :meth:`Upstream.open`: the one until there is a connection, the other until
  the first content of a streamed answer. One that is not streamed has no head before it is written: there ``whole``
  runs instead, until that head.
- ``idle`` runs from one piece of content to the next. What is content only the reader knows, and says with
  :meth:`Reply.progress`; keep-alive comments and pings move no deadline.
- Between two calls of :meth:`Reply.chunk` it is the reader that is slow (its client does not take the bytes), not the
  provider: such a pause moves the content deadline by its own length, except for its first :data:`PAUSE` seconds. So
  a reader that is merely working through a flood of comments does not stop the clock by doing so.
- ``total``, and the caller's own ``deadline``, end everything, whoever is waiting for whom.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from typing import Any, NoReturn

import httpx

from gateway.config.model import Provider, Timers
from gateway.errors import (
    UpstreamConnectFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamInvalidResponse,
    UpstreamProtocolError,
    UpstreamResponseTooLarge,
    UpstreamTimeout,
    UpstreamTLSFailed,
    UpstreamTruncated,
)
from gateway.headers import Headers, content_type, encoded, retry_after
from gateway.lane import ForeignLane, Lane, Source, ThinLane
from gateway.transport import BrokenMessage, DeadlinePassed, Disconnected, ProxyRefused, ThinTransport, Truncated
from gateway.wire import WIRES
from gateway.wire.protocol import Wire

#: The longest pause between two reads that is still the reader's ordinary work.
PAUSE = 0.05
#: The body of an error is worth this much: bytes, and seconds.
ERROR_BYTES = 64 << 10
ERROR_SECONDS = 0.9
#: What is shorter than so many characters is no key but a word that stands for none, and may stand anywhere.
_SHORTEST_KEY = 8

#: What the libraries below say, as one of our errors and in words for the client; first match wins, and an error's
#: causes count as the error itself. No words: the error's own are fixed text of :mod:`gateway.transport.errors`.
_TABLE: tuple[tuple[type[BaseException], type[UpstreamError], str | None], ...] = (
    (DeadlinePassed, UpstreamTimeout, None),
    (httpx.TimeoutException, UpstreamTimeout, "no answer in time"),
    (ssl.SSLError, UpstreamTLSFailed, "its certificate does not prove who it is, or TLS failed"),
    (socket.gaierror, UpstreamConnectFailed, "its name has no address"),
    (UnicodeError, UpstreamConnectFailed, "its name is not a host name"),
    (ConnectionRefusedError, UpstreamConnectFailed, "connection refused"),
    (ProxyRefused, UpstreamConnectFailed, None),
    (httpx.ProxyError, UpstreamConnectFailed, "the proxy refused"),
    (Truncated, UpstreamTruncated, None),
    (BrokenMessage, UpstreamProtocolError, None),
    (Disconnected, UpstreamProtocolError, None),
    (ConnectionResetError, UpstreamProtocolError, "connection reset"),
    (TimeoutError, UpstreamTimeout, "no connection in time"),
    (httpx.ConnectError, UpstreamConnectFailed, "cannot be reached"),
    (httpx.HTTPError, UpstreamProtocolError, "broken connection or message"),
    (httpx.StreamError, UpstreamProtocolError, "broken answer"),
    (OSError, UpstreamConnectFailed, "cannot be reached"),
)
_LOWER = tuple(row[0] for row in _TABLE)


class Reply:
    """A provider's answer with a 2xx status. Whoever opened it closes it."""

    __slots__ = (
        "_clock",
        "_content_by",
        "_end_by",
        "_idle",
        "_left_at",
        "_provider",
        "_source",
        "content_type",
        "headers",
        "status",
        "whole",
    )

    def __init__(
        self,
        source: Source,
        provider: str,
        loop: asyncio.AbstractEventLoop,
        *,
        idle: float,
        content_by: float,
        end_by: float,
    ) -> None:
        self.status = source.status
        #: As received, names in lower case: nothing of it is safe to pass on but by an allow-list.
        self.headers = source.headers
        #: Lower case, without parameters; empty where the provider names none.
        self.content_type = content_type(source.headers)
        #: The whole body, where it came with the head.
        self.whole = source.whole
        self._source = source
        self._provider = provider
        self._clock = loop.time
        self._idle = idle
        self._content_by = content_by
        self._end_by = end_by
        self._left_at = loop.time()

    @property
    def ended_cleanly(self) -> bool:
        """The body came to an end that its framing announced; False for one that ended with the connection."""
        return self._source.clean

    def progress(self) -> None:
        """Content was seen: the next may take the idle time, from now."""
        self._content_by = self._clock() + self._idle

    def hurry(self, seconds: float) -> None:
        """All that matters was seen: the rest may take so long, from now."""
        self._end_by = min(self._end_by, self._clock() + seconds)

    async def chunk(self) -> bytes:
        """The next bytes of the body, as many as have come; ``b""`` at the end.

        Raises UpstreamTimeout as the module's rules say, also while bytes keep coming, UpstreamTruncated where the
        provider closed before the end, UpstreamProtocolError for broken framing. After any of them the reply is
        closed.
        """
        now = self._clock()
        pause = now - self._left_at
        if pause > PAUSE:
            self._content_by += pause - PAUSE
        deadline = min(self._content_by, self._end_by)
        if now >= deadline:
            self.close()
            raise self._late(now)
        source = self._source
        data = source.take()
        if not data:
            try:
                data = await source.read(deadline)
            except _LOWER as error:
                self.close()
                now = self._clock()
                raise (self._late(now) if now >= deadline else translated(error, self._provider)) from error
            now = self._clock()
        self._left_at = now
        return data

    async def read(self, limit: int, *, json: bool = False) -> bytes:
        """The whole body. Here every byte is content. ``json`` says that it must begin as JSON does.

        Raises as :meth:`chunk`, and before the body is whole UpstreamResponseTooLarge for one over ``limit`` bytes and
        UpstreamInvalidResponse for one that begins otherwise.
        """
        parts: list[bytes] = []
        size = 0
        if self.whole is not None:
            parts.append(self.whole)
            size = len(self.whole)
        else:
            self.progress()
            while size <= limit and (data := await self.chunk()):
                self.progress()
                if json and data.lstrip():
                    self._check_json(data)
                    json = False
                parts.append(data)
                size += len(data)
        if size > limit:
            self.close()
            raise UpstreamResponseTooLarge(f"{self._provider}: the answer is over {limit} bytes")
        return b"".join(parts)

    async def read_json(self, limit: int) -> bytes:
        """The whole body, which looks like JSON. Raises as :meth:`read`, and UpstreamInvalidResponse where it is
        something else: the page of a captive portal, say.
        """
        body = self.whole
        if body is None or len(body) > limit:
            body = await self.read(limit, json=True)
        self._check_json(body)
        return body

    def close(self) -> None:
        """Gives up what has not come yet: the connection is closed at once. Nothing after the end. Idempotent."""
        self._source.close()

    def _check_json(self, body: bytes) -> None:
        if body[:1] not in (b"{", b"[") and body.lstrip()[:1] not in (b"{", b"["):
            self.close()
            raise UpstreamInvalidResponse(f"{self._provider}: the answer is not JSON")

    def _late(self, now: float) -> UpstreamTimeout:
        what = "the answer took too long" if now >= self._end_by else "no more content in time"
        return UpstreamTimeout(f"{self._provider}: {what}")


class Upstream:
    """Dials providers: those that it is handed, and nobody else. Belongs to one event loop.

    ``transport`` stands for the network (the seam for tests), ``sandbox`` for the in-process provider;
    ``ssl_context`` replaces the system's authorities. Proxies come from the configuration, never from the
    environment.
    """

    def __init__(
        self,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sandbox: httpx.AsyncBaseTransport | None = None,
        ssl_context: ssl.SSLContext | None = None,
        wires: Mapping[str, Wire] = WIRES,
    ) -> None:
        self._transport = ThinTransport(ssl_context) if transport is None else transport
        self._sandbox = sandbox
        self._wires = wires
        #: By name: a provider that a reload has changed replaces its older self.
        self._lanes: dict[str, Lane] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def open(
        self,
        provider: Provider,
        path: str,
        body: bytes,
        *,
        accept: bytes,
        headers: Headers = (),
        timers: Timers | None = None,
        deadline: float | None = None,
        streamed: bool = True,
    ) -> Reply:
        """Posts ``body`` to ``path`` below the provider's ``base_url``; returns when a good answer's head is there.

        ``headers`` travel along, except those that are set here; ``timers`` default to the provider's own;
        ``deadline`` (in ``loop.time()``) ends everything; ``streamed`` says what was asked for. Raises the
        UpstreamError that fits; for an error status the one that the provider's wire reads from it.
        """
        lane = self._lanes.get(provider.name)
        if lane is None or lane.provider is not provider:
            lane = self._prepare(provider)
        loop = asyncio.get_running_loop()
        if timers is None:
            timers = provider.timers
        now = loop.time()
        end_by = now + timers.total if deadline is None else min(now + timers.total, deadline)
        answer_by = min(now + (timers.first_byte if streamed else timers.whole), end_by)
        if answer_by <= now:
            raise UpstreamTimeout(f"{provider.name}: no time left to ask")
        try:
            source = await lane.send(
                path,
                body,
                accept,
                headers,
                connect_by=min(now + timers.connect, answer_by),
                answer_by=answer_by,
                end_by=end_by,
            )
        except _LOWER as error:
            raise translated(error, provider.name) from error
        reply = Reply(source, provider.name, loop, idle=timers.idle, content_by=answer_by, end_by=end_by)
        if 200 <= source.status < 300:
            if not encoded(source.headers):
                return reply
            reply.close()
            raise UpstreamInvalidResponse(f"{provider.name}: an encoded answer, although none was asked for")
        try:
            await self._refuse(provider, source, reply)
        finally:
            reply.close()

    def forget(self, providers: Iterable[Provider]) -> None:
        """Drops what was prepared for providers that are gone or changed, and their idle connections.

        Requests that are under way are not touched.
        """
        for provider in providers:
            lane = self._lanes.get(provider.name)
            if lane is not None and lane.provider == provider:
                self._abandon(self._lanes.pop(provider.name))

    async def aclose(self) -> None:
        """Closes every connection; requests that are under way fail."""
        self._lanes.clear()
        while self._closing:
            await asyncio.wait(self._closing)
        await self._transport.aclose()
        if self._sandbox is not None:
            await self._sandbox.aclose()

    def _prepare(self, provider: Provider) -> Lane:
        transport = self._transport
        if provider.sandbox and self._sandbox is not None:
            transport = self._sandbox
        try:
            auth = self._wires[provider.wire].auth_headers(None if provider.key is None else provider.key.reveal())
            lane: Lane
            if isinstance(transport, ThinTransport):
                lane = ThinLane(provider, auth, transport)
            else:
                lane = ForeignLane(provider, auth, transport, self._spawn)
        except (ValueError, httpx.InvalidURL):
            # Without the cause: it may quote a key or a proxy's password.
            raise UpstreamConnectFailed(f"{provider.name}: its base_url, proxy or key cannot be used") from None
        older = self._lanes.get(provider.name)
        self._lanes[provider.name] = lane
        if older is not None and older.provider != provider:
            self._abandon(older)
        return lane

    def _abandon(self, lane: Lane) -> None:
        """Closes its idle connections; another provider at the same place opens new ones."""
        if isinstance(lane, ThinLane) and isinstance(self._transport, ThinTransport):
            self._transport.forget(lane.route)

    async def _refuse(self, provider: Provider, source: Source, reply: Reply) -> NoReturn:
        """Raises what an answer without a 2xx status means."""
        if 300 <= source.status < 400:
            raise UpstreamFailed(f"{provider.name}: it redirects ({source.status}), which is never followed")
        body = b"" if encoded(source.headers) else await _error_body(source)
        if provider.key is not None:
            body = conceal(provider, body.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        error = self._wires[provider.wire].decode_error(source.status, body, reply.content_type)
        if error.retry_after is None:
            error.retry_after = retry_after(source.headers, time.time())
        raise error

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def conceal(provider: Provider, text: str) -> str:
    """What ``provider`` says of an error, without our key: some quote the one that they refuse."""
    key = "" if provider.key is None else provider.key.reveal()
    return text.replace(key, "[key]") if len(key) >= _SHORTEST_KEY else text


def translated(error: BaseException, provider: str) -> UpstreamError:
    """A lower library's error as ours. Its words never hold an address, a key, or anything that was received."""
    for kind, ours, words in _TABLE:
        for cause in _causes(error):
            if isinstance(cause, kind):
                return ours(f"{provider}: {cause if words is None else words}")
    raise error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


async def _error_body(source: Source) -> bytes:
    """As much of an error's body as is worth waiting for, however it ends."""
    body = source.whole
    if body is None:
        body = b""
        deadline = asyncio.get_running_loop().time() + ERROR_SECONDS
        try:
            while len(body) < ERROR_BYTES and (data := await source.read(deadline)):
                body += data
        except _LOWER:
            pass
    return body[:ERROR_BYTES]
