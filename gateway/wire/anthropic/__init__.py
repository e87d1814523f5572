"""Anthropic's Messages API: a provider's wire, and a dialect of clients.

``decode`` and ``blocks`` read a client's request; ``encode``, ``turns`` and ``models`` write a provider's. ``stream``
reads a provider's event stream, ``events`` writes a client's; ``answer`` and ``errors`` do both for whole bodies.
"""

from __future__ import annotations

from gateway.wire.anthropic.dialect import AnthropicDialect
from gateway.wire.anthropic.provider import AnthropicWire

WIRE = AnthropicWire()
DIALECT = AnthropicDialect()

__all__ = ["DIALECT", "WIRE"]
