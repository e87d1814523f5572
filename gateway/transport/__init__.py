"""A thin HTTP/1.1 client on asyncio and httptools. It knows nothing of providers.

``route`` says where a request goes, ``dial`` opens connections, ``connection`` carries exchanges over them, and
``thin`` keeps them: :class:`ThinTransport`.
"""

from __future__ import annotations

from gateway.transport.connection import Exchange
from gateway.transport.errors import BrokenMessage, DeadlinePassed, Disconnected, ProxyRefused, Truncated
from gateway.transport.route import Proxy, Route, header_lines
from gateway.transport.thin import ThinTransport

__all__ = [
    "BrokenMessage",
    "DeadlinePassed",
    "Disconnected",
    "Exchange",
    "Proxy",
    "ProxyRefused",
    "Route",
    "ThinTransport",
    "Truncated",
    "header_lines",
]
