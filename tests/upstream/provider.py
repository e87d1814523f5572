"""A provider to dial, and a wire simple enough to see through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from gateway.config.model import Provider, Secret, Timers
from gateway.errors import UpstreamAuthFailed, UpstreamError, UpstreamFailed, UpstreamRateLimited
from gateway.upstream import Reply, Upstream
from gateway.wire.protocol import Wire

KEY = "sk-secret"
PATH = "/chat/completions"


class PlainWire:
    """Reads an error by its status alone, and shows in the message what it was given."""

    def auth_headers(self, key: str | None) -> list[tuple[bytes, bytes]]:
        return [] if key is None else [(b"Authorization", b"Bearer " + key.encode("ascii"))]

    def decode_error(self, status: int, body: bytes, content_type: str) -> UpstreamError:
        kind = {401: UpstreamAuthFailed, 429: UpstreamRateLimited}.get(status, UpstreamFailed)
        return kind(f"{status} {content_type} {body.decode()}", retry_after=5.0 if b"retry in 5" in body else None)


WIRES = {"openai": cast(Wire, PlainWire())}


def provider(url: str, **fields: Any) -> Provider:
    """The provider ``acme`` at ``url``."""
    plain = Provider(name="acme", wire="openai", base_url=url, key=Secret(KEY), timers=QUICK)
    return msgspec.structs.replace(plain, **fields)


#: Long enough for anything that should succeed, short enough to be waited for.
QUICK = Timers(connect=5.0, first_byte=5.0, idle=5.0, total=10.0)


async def post(
    upstream: Upstream,
    target: Provider,
    body: bytes = b'{"model":"m"}',
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    timers: Timers | None = None,
) -> Reply:
    """Opens a chat at ``target``."""
    return await upstream.open(target, PATH, body, accept=b"application/json", headers=headers, timers=timers)


async def drained(reply: Reply, into: list[bytes] | None = None, *, content: bool = False) -> bytes:
    """All chunks, collected in ``into`` as they come; ``content`` says that each of them is progress."""
    received = [] if into is None else into
    while data := await reply.chunk():
        received.append(data)
        if content:
            reply.progress()
    return b"".join(received)
