"""Where a request goes: an origin, directly or through a proxy. Connections are shared by equal routes."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote

import httpx

_DEFAULT_PORTS = {"http": 80, "https": 443}
#: What would end a header early, or make two readers see two different ones.
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_TARGET = re.compile(rb"/[\x21-\x7e]*")


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as they are sent; ValueError where a name or a value holds a control character."""
    lines = b""
    for name, value in headers:
        if _FORBIDDEN.search(name) or _FORBIDDEN.search(value):
            raise ValueError("a header holds a control character")
        lines += b"%s: %s\r\n" % (name, value)
    return lines


class Proxy(NamedTuple):
    """An HTTP proxy; ``authorization`` is the value of ``Proxy-Authorization``, None where its URL has no user."""

    scheme: str
    host: str
    port: int
    authorization: bytes | None

    @classmethod
    def of(cls, url: str) -> Proxy:
        """The proxy at an ``http://`` or ``https://`` URL; ValueError for any other scheme."""
        parsed = httpx.URL(url)
        scheme, host, port = _origin(parsed)
        authorization = None
        if parsed.userinfo:
            user, _, password = parsed.userinfo.decode("ascii").partition(":")
            authorization = b"Basic " + b64encode(f"{unquote(user)}:{unquote(password)}".encode())
        return cls(scheme, host, port, authorization)


class Route(NamedTuple):
    """An origin (RFC 9110 section 4.3.1) and the way to it; ``host`` is ASCII, without the brackets of IPv6."""

    scheme: str
    host: str
    port: int
    proxy: Proxy | None = None

    @classmethod
    def of(cls, url: httpx.URL, proxy: Proxy | None = None) -> Route:
        """The route to an ``http://`` or ``https://`` URL; ValueError for any other scheme."""
        return cls(*_origin(url), proxy)

    @property
    def address(self) -> bytes:
        """``host:port``, as ``CONNECT`` takes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}".encode("ascii")

    @property
    def authority(self) -> bytes:
        """The value of ``Host``: the port only where it is not the scheme's own."""
        address = self.address
        return address.rpartition(b":")[0] if self.port == _DEFAULT_PORTS[self.scheme] else address

    def head(self, method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Request line and ``headers``, without the empty line. A forwarding proxy is asked by absolute URL.

        Raises ValueError for a ``target`` that is no path, and as :func:`header_lines`.
        """
        if not _TARGET.fullmatch(target):
            raise ValueError("not a request target")
        lines = header_lines(headers)
        if self.proxy is not None and self.scheme == "http":
            target = b"http://" + self.authority + target
            if self.proxy.authorization is not None:
                lines += b"Proxy-Authorization: %s\r\n" % self.proxy.authorization
        return b"%s %s HTTP/1.1\r\n%s" % (method, target, lines)


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    if url.scheme not in _DEFAULT_PORTS or not url.raw_host:
        raise ValueError("only http:// and https:// URLs with a host can be dialled")
    return url.scheme, url.raw_host.decode("ascii"), url.port or _DEFAULT_PORTS[url.scheme]
