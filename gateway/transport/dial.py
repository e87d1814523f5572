"""How a connection comes about: name, address, proxy, TLS."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from itertools import chain, zip_longest

from gateway.transport.connection import MAX_HEAD_BYTES
from gateway.transport.errors import ProxyRefused
from gateway.transport.route import Proxy, Route

_TUNNEL_OPEN = re.compile(rb"HTTP/1\.[01] 2\d\d[ \r]")


def default_context() -> ssl.SSLContext:
    """Verifies names and chains against the system's authorities, always, and speaks HTTP/1.1 only."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Dialer:
    """Opens connections for protocols. Cancelling any of it leaves no socket behind."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        self._lookups: dict[str, asyncio.Task[list[str]]] = {}

    async def dial(self, route: Route, protocol: asyncio.Protocol, deadline: float) -> None:
        """Connects ``protocol``, at most until ``deadline`` (in ``loop.time()``).

        Raises TimeoutError, OSError (``socket.gaierror``, ``ssl.SSLError``) and :class:`ProxyRefused`.
        """
        async with asyncio.timeout_at(deadline):
            proxy = route.proxy
            if proxy is None:
                await self._connect(route.scheme, route.host, route.port, protocol, deadline)
            elif route.scheme == "http":
                await self._connect(proxy.scheme, proxy.host, proxy.port, protocol, deadline)
            else:
                await self._tunnel(route, proxy, protocol, deadline)

    async def _connect(
        self, scheme: str, host: str, port: int, protocol: asyncio.Protocol, deadline: float
    ) -> asyncio.Transport:
        """Tries a host's addresses in turn; each may use its share of the time that is left.

        So one address that swallows packets does not use up the whole deadline.
        """
        loop = asyncio.get_running_loop()
        addresses = await self._addresses(host)
        secure = scheme == "https"
        for position, address in enumerate(addresses, 1):
            left = len(addresses) - position
            share = (deadline - loop.time()) / (left + 1)
            try:
                async with asyncio.timeout(share if left else None):
                    transport, _ = await loop.create_connection(
                        lambda: protocol,
                        address,
                        port,
                        ssl=self._tls() if secure else None,
                        server_hostname=host if secure else None,
                        ssl_handshake_timeout=_handshake(share) if secure else None,
                    )
                    return transport
            except ssl.SSLError:
                # It answers, and is not who it should be: another address is no remedy.
                raise
            except OSError:
                if not left:
                    raise
        raise OSError("the name has no address")

    async def _addresses(self, host: str) -> list[str]:
        """The addresses of ``host``, families taking turns.

        Lookups of one name at the same time are one lookup: a name server that hangs must not occupy all of the
        loop's few threads.
        """
        try:
            ipaddress.ip_address(host)
        except ValueError:
            pass
        else:
            return [host]
        lookup = self._lookups.get(host)
        if lookup is None:
            lookup = self._lookups[host] = asyncio.get_running_loop().create_task(_look_up(host))
            lookup.add_done_callback(lambda done: self._looked_up(host, done))
        return await asyncio.shield(lookup)

    def _looked_up(self, host: str, lookup: asyncio.Task[list[str]]) -> None:
        del self._lookups[host]
        if not lookup.cancelled():
            # Whoever asked may have gone: the error is theirs, or nobody's.
            lookup.exception()

    async def _tunnel(self, route: Route, proxy: Proxy, protocol: asyncio.Protocol, deadline: float) -> None:
        """``CONNECT`` (RFC 9110 section 9.3.6), then TLS with the origin inside."""
        loop = asyncio.get_running_loop()
        tunnel = _Tunnel(loop)
        outer = await self._connect(proxy.scheme, proxy.host, proxy.port, tunnel, deadline)
        try:
            outer.write(_connect_request(route, proxy))
            answer = await tunnel.answer
            if not _TUNNEL_OPEN.match(answer):
                raise ProxyRefused("the proxy opens no tunnel")
            inner = await loop.start_tls(
                outer,
                protocol,
                self._tls(),
                server_hostname=route.host,
                ssl_handshake_timeout=_handshake(deadline - loop.time()),
            )
        except BaseException:
            outer.abort()
            raise
        if inner is None:
            raise ConnectionResetError("closed while TLS began")
        # start_tls leaves this to its caller.
        protocol.connection_made(inner)

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = default_context()
        return self._context


class _Tunnel(asyncio.Protocol):
    """The connection to a proxy, until ``answer`` holds the head of its answer; empty if there is none."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.answer: asyncio.Future[bytes] = loop.create_future()
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, surplus = self._received.partition(b"\r\n\r\n")
        if end or len(head) > MAX_HEAD_BYTES:
            # Nothing may follow: in TLS the client speaks first.
            self._settle(head + b"\r" if end and not surplus else b"")

    def eof_received(self) -> None:
        self._settle(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle(b"")

    def _settle(self, answer: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


def _handshake(seconds: float) -> float:
    """The loop's own limit for a handshake that may take ``seconds``.

    Ours comes first. But uvloop keeps a handshake that was cancelled in memory until its own limit, 60 s by default.
    """
    return max(seconds, 0.0) + 1.0


def _connect_request(route: Route, proxy: Proxy) -> bytes:
    credentials = b"" if proxy.authorization is None else b"Proxy-Authorization: %s\r\n" % proxy.authorization
    return b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (route.address, route.address, credentials)


async def _look_up(host: str) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    families: dict[int, list[str]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, []).append(str(address[0]))
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [address for address in turns if address is not None]
