"""What can go wrong between a request and the end of its answer, beside the operating system's own errors.

::

    httpx.TransportError
    ├── DeadlinePassed      one of the caller's deadlines
    ├── ProxyRefused        the proxy does not open a tunnel
    ├── Disconnected        closed before the answer's head was complete
    ├── Truncated           closed inside the answer's body
    └── BrokenMessage       not HTTP/1.1, or over a limit

A refused connection, an unknown name and a failed TLS handshake stay what they are: ``OSError``, ``socket.gaierror``,
``ssl.SSLError``. Messages are fixed text: they never hold an address, a header or anything that was received.
"""

from __future__ import annotations

import httpx


class DeadlinePassed(httpx.TimeoutException):
    """The caller's wall-clock deadline for this step has passed."""


class ProxyRefused(httpx.ProxyError):
    """The proxy answered ``CONNECT`` with something else than success."""


class Disconnected(httpx.RemoteProtocolError):
    """The peer closed before the head of its answer was complete.

    ``silent`` is True where not one byte of an answer had come: only then a request may be sent again.
    """

    def __init__(self, message: str, *, silent: bool) -> None:
        super().__init__(message)
        self.silent = silent


class Truncated(httpx.RemoteProtocolError):
    """The peer closed before the body was as long as its framing had promised."""


class BrokenMessage(httpx.RemoteProtocolError):
    """What came is not an HTTP/1.1 answer, or one over our limits."""
