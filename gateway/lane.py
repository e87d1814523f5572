"""One provider, prepared: where its requests go and what every one of them carries.

Two kinds: over the network through :class:`~gateway.transport.ThinTransport`, and over any other transport of httpx
(a test's, or the in-process provider). Both give an answer the same shape, :class:`Source`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine
from importlib import metadata
from typing import Any, Protocol

import httpx

from gateway.config.model import Provider
from gateway.headers import Headers
from gateway.transport import DeadlinePassed, Proxy, Route, ThinTransport, Truncated, header_lines

#: A path below ``base_url``: no segment that leads upwards, nothing percent-encoded, no fragment.
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:[/?]|$))[\w.~:@!$&'()*+,;=-]+)+(?:\?[\w.~:@!$&'()*+,;=/-]*)?", re.ASCII)

#: What the framing of a message or of a connection says is said here alone.
_FRAMING = frozenset(
    {b"accept", b"connection", b"content-length", b"expect", b"keep-alive", b"te", b"trailer"}
    | {b"transfer-encoding", b"upgrade", b"proxy-authorization", b"proxy-connection"}
)


class Source(Protocol):
    """An answer: its head, and its body as it comes. Deadlines are in ``loop.time()``."""

    status: int
    #: As received, names in lower case.
    headers: list[tuple[bytes, bytes]]
    #: The body came to an end that its framing announced.
    clean: bool

    @property
    def whole(self) -> bytes | None:
        """The whole body, where it came with the head."""

    def take(self) -> bytes:
        """What has come and was not read yet, without waiting."""

    async def read(self, deadline: float) -> bytes:
        """The next bytes, ``b""`` at the end."""

    def close(self) -> None:
        """Gives up what is left. Idempotent, and nothing after the end."""


class Lane(Protocol):
    """The way to one provider."""

    provider: Provider

    def send(
        self,
        path: str,
        body: bytes,
        accept: bytes,
        headers: Headers,
        *,
        connect_by: float,
        answer_by: float,
        end_by: float,
    ) -> Awaitable[Source]:
        """Posts ``body`` and returns when the answer's head is there. ValueError for a path outside ``base_url``."""


class ThinLane:
    """Over the network."""

    def __init__(self, provider: Provider, auth: Headers, transport: ThinTransport) -> None:
        base = httpx.URL(provider.base_url)
        self.provider = provider
        self.route = Route.of(base, None if provider.proxy is None else Proxy.of(provider.proxy))
        self._transport = transport
        self._base_path = base.raw_path.rstrip(b"/")
        self._headers = _standing_headers(self.route.authority, auth)
        self._reserved = _reserved(self._headers)
        #: The part of a request's head that never changes, by path. Paths are constants of the wires.
        self._heads: dict[str, bytes] = {}
        #: The headers that came with the latest request, and how they were written: mostly the next has the same.
        self._extra: Headers = ()
        self._extra_lines = b""
        header_lines(self._headers)

    def send(
        self,
        path: str,
        body: bytes,
        accept: bytes,
        headers: Headers,
        *,
        connect_by: float,
        answer_by: float,
        end_by: float,
    ) -> Awaitable[Source]:
        head = self._heads.get(path)
        if head is None:
            target = self._base_path + _checked(path).encode("ascii")
            head = self._heads[path] = self.route.head(b"POST", target, self._headers)
        extra = tuple(headers)
        if extra != self._extra:
            self._extra_lines = header_lines(_allowed(extra, self._reserved))
            self._extra = extra
        return self._transport.send(
            self.route,
            b"%sAccept: %s\r\n%sContent-Length: %d\r\n\r\n" % (head, accept, self._extra_lines, len(body)),
            body,
            connect_by=connect_by,
            answer_by=answer_by,
            end_by=end_by,
        )


class ForeignLane:
    """Over a transport that somebody else wrote. ``spawn`` runs what a close must await."""

    def __init__(
        self,
        provider: Provider,
        auth: Headers,
        transport: httpx.AsyncBaseTransport,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.provider = provider
        self._transport = transport
        self._spawn = spawn
        self._headers = _standing_headers(httpx.URL(provider.base_url).netloc or b"localhost", auth)
        self._reserved = _reserved(self._headers)
        self._urls: dict[str, httpx.URL] = {}
        header_lines(self._headers)

    async def send(
        self,
        path: str,
        body: bytes,
        accept: bytes,
        headers: Headers,
        *,
        connect_by: float,
        answer_by: float,
        end_by: float,
    ) -> Source:
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = httpx.URL(self.provider.base_url + _checked(path))
        own = [(b"Accept", accept), (b"Content-Length", b"%d" % len(body))]
        request = httpx.Request(
            "POST",
            url,
            headers=[*self._headers, *own, *_allowed(headers, self._reserved)],
            stream=httpx.ByteStream(body),
        )
        try:
            async with asyncio.timeout_at(answer_by):
                response = await self._transport.handle_async_request(request)
        except TimeoutError as error:
            raise DeadlinePassed("no answer in time") from error
        return _ForeignAnswer(response, self._spawn)


class _ForeignAnswer:
    """An httpx response as a :class:`Source`."""

    def __init__(self, response: httpx.Response, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        stream = response.stream
        assert isinstance(stream, AsyncIterable)
        self.status = response.status_code
        self.headers = [(name.lower(), value) for name, value in response.headers.raw]
        self.whole: bytes | None = b"".join(stream) if isinstance(stream, httpx.ByteStream) else None
        self.clean = self._ended = self.whole is not None
        self._ready = self.whole or b""
        self._stream = stream
        self._pieces = aiter(stream)
        self._spawn = spawn

    def take(self) -> bytes:
        data, self._ready = self._ready, b""
        return data

    async def read(self, deadline: float) -> bytes:
        if self._ended:
            return self.take()
        try:
            async with asyncio.timeout_at(deadline):
                async for piece in self._pieces:
                    if piece:
                        return piece
        except TimeoutError as error:
            raise DeadlinePassed("no more of the answer in time") from error
        except (httpx.ReadError, httpx.RemoteProtocolError) as error:
            raise Truncated("closed inside the answer") from error
        self.close()
        self.clean = True
        return b""

    def close(self) -> None:
        if not self._ended:
            self._ended = True
            self._spawn(self._aclose())

    async def _aclose(self) -> None:
        if isinstance(self._pieces, AsyncGenerator):
            await self._pieces.aclose()
        if isinstance(self._stream, httpx.AsyncByteStream):
            await self._stream.aclose()


def _standing_headers(authority: bytes, auth: Headers) -> list[tuple[bytes, bytes]]:
    # An encoded answer could not be read while it comes, and a small one can unfold to gigabytes.
    return [
        (b"Host", authority),
        (b"User-Agent", _user_agent()),
        (b"Accept-Encoding", b"identity"),
        (b"Content-Type", b"application/json"),
        *auth,
    ]


def _user_agent() -> bytes:
    try:
        version = metadata.version("llm-relay")
    except metadata.PackageNotFoundError:
        version = "dev"
    return f"llm-relay/{version}".encode("ascii")


def _reserved(headers: Headers) -> frozenset[bytes]:
    return _FRAMING.union(name.lower() for name, _ in headers)


def _allowed(headers: Headers, reserved: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    return [header for header in headers if header[0].lower() not in reserved]


def _checked(path: str) -> str:
    if not _PATH.fullmatch(path):
        raise ValueError("a path must lie below the provider's base_url")
    return path
