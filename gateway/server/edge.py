"""The edge: what every request passes before a handler sees it, and how every error leaves.

Handlers are plain functions over an :class:`~gateway.server.exchange.Exchange`; :func:`endpoint` makes ASGI routes of
them, with the guards and the error shape of one dialect around them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from litestar import asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive, Scope, Send

from gateway.config.model import Client, Snapshot
from gateway.errors import (
    BadRequest,
    Forbidden,
    HeadersTooLarge,
    InternalError,
    MethodNotAllowed,
    Misdirected,
    RelayError,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from gateway.generation import Generation, Headers
from gateway.heads import error_headers
from gateway.server.exchange import ClientLeft, Exchange, drop_body
from gateway.server.services import Services
from gateway.server.traces import follow, note_refused
from gateway.tracing import Trace, Tracer
from gateway.wire import DIALECTS
from gateway.wire.protocol import Dialect

log = logging.getLogger("llm_relay.server")

#: Bytes of a request's head that are read; the server itself would take far more.
MAX_HEAD = 32 << 10
#: Gateways that a request may have come through before this one (``Via``, RFC 9110, section 7.6.3).
MAX_HOPS = 3
_VIA = b"1.1 llm-relay"

_KEYS = frozenset({b"authorization", b"x-api-key"})
_ONCE = _KEYS | {b"host", b"origin", b"content-length", b"content-type", b"content-encoding", b"transfer-encoding"}
_READ = _ONCE | {b"via", b"x-llm-relay-session", b"x-llm-relay-tags", b"traceparent", b"tracestate"}
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
_HOST = re.compile(r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$")
_TAG = re.compile(r"^[A-Za-z0-9._:/-]{1,64}$")
_PRINTABLE = re.compile(r"^[\x21-\x7e]{1,256}$")

_NOT_FOR_THAT_HOST = "this gateway does not answer for that host; see allowed_hosts"

Access = Literal["open", "client", "operator"]


class Request(msgspec.Struct):
    """A request that has passed the guards."""

    exchange: Exchange
    generation: Generation
    request_id: str
    started: float
    #: The client whose key came with it; None where the gateway is open.
    client: Client | None
    head: dict[bytes, bytes]

    @property
    def scope(self) -> HTTPScope:
        return self.exchange.scope

    @property
    def headers(self) -> Headers:
        return self.exchange.scope["headers"]  # type: ignore[return-value]

    async def body(self, *, strict: bool) -> bytes:
        """The body. Raises UnsupportedMediaType where its type or encoding is not read here (``strict``: JSON only)."""
        head = self.head
        encoding, transfer = head.get(b"content-encoding"), head.get(b"transfer-encoding")
        if encoding is not None and encoding.lower() != b"identity":
            raise UnsupportedMediaType("compressed requests are not read", code="unsupported_encoding")
        if transfer is not None and transfer.lower() != b"chunked":
            # The server undoes the chunks and leaves any other coding as it is.
            raise UnsupportedMediaType("no transfer coding is read but chunked", code="unsupported_encoding")
        kind = head.get(b"content-type", b"")
        if kind != b"application/json":
            essence = kind.partition(b";")[0].strip().lower()
            if essence != b"application/json" and (strict or essence.startswith(b"multipart/")):
                raise UnsupportedMediaType("send the request as application/json")
        declared = head.get(b"content-length")
        return await self.exchange.body(self.generation.snapshot.limits.body, int(declared) if declared else None)

    def session(self) -> str | None:
        """``X-LLM-Relay-Session``, where it is one that can be kept."""
        value = self.head.get(b"x-llm-relay-session")
        if value is None:
            return None
        text = value.decode("latin-1").strip()
        if not _PRINTABLE.match(text):
            raise BadRequest("invalid_session", "X-LLM-Relay-Session must be 1 to 256 printable ASCII characters")
        return text

    def tags(self) -> tuple[str, ...]:
        """``X-LLM-Relay-Tags``, comma separated; what cannot be a tag is left out."""
        value = self.head.get(b"x-llm-relay-tags")
        if value is None:
            return ()
        tags = (tag.strip() for tag in value.decode("latin-1").split(",")[:16])
        return tuple(tag for tag in tags if _TAG.match(tag))

    def via(self) -> tuple[bytes, bytes]:
        """``Via`` to send on. Raises BadRequest where the request has come round in a circle."""
        value = self.head.get(b"via")
        if value is None:
            return b"via", _VIA
        hops = value.count(b"llm-relay")
        if hops >= MAX_HOPS:
            raise BadRequest("loop_detected", f"the request has come through {hops} gateways already: a loop")
        return b"via", b", ".join([_VIA] * (hops + 1))

    def trace(self, tracer: Tracer | None) -> Trace | None:
        """The trace that it belongs to; None where neither its client nor the gateway traces it."""
        if tracer is None and b"traceparent" not in self.head:
            return None
        return follow(tracer, self.scope, self.head, self.started)


Handler = Callable[[Services, Request], Awaitable[None]]
#: Headers, status and body of an error.
Refusal = tuple[Headers, int, bytes]


def new_request_id() -> str:
    """24 hex digits. A client's own ``X-Request-Id`` is never believed: ours names one request in every log.

    As in a UUID of version 7 (RFC 9562, section 5.7) the first half is the time in milliseconds: an index of them
    grows at its end, which costs the ledger a third of what it does at random places.
    """
    return (int(time.time() * 1000).to_bytes(6) + os.urandom(6)).hex()


def endpoint(
    services: Services,
    path: str,
    handler: Handler,
    *,
    methods: Iterable[str],
    dialect: Callable[[HTTPScope], Dialect],
    access: Access = "client",
    below: bool = False,
    traced: bool = False,
    page: Callable[[RelayError, str], Awaitable[Refusal]] | None = None,
) -> ASGIRouteHandler:
    """An ASGI route: guards, handler, errors in the shape of ``dialect``, or as ``page`` shows them to people.

    With ``below`` it serves all paths that begin with ``path``, and the scope's path is what follows; path parameters
    are nothing that ASGI routes can have. With ``traced`` those are traced too that the handler never sees.
    """
    allowed = frozenset(methods)

    async def shape(error: RelayError, scope: HTTPScope, request_id: str) -> Refusal:
        return refusal(dialect(scope), error, request_id) if page is None else await page(error, request_id)

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request_id = new_request_id()
        exchange = Exchange(services.attendant, scope, receive, send)  # type: ignore[arg-type]
        try:
            with exchange:
                try:
                    if exchange.scope["method"] not in allowed:
                        raise MethodNotAllowed(f"use {' or '.join(sorted(allowed))}")
                    request = _admit(services, exchange, access, request_id, started)
                    try:
                        await handler(services, request)
                    except asyncio.CancelledError:
                        if (interruption := exchange.interrupted()) is None:
                            raise
                        raise interruption from None
                except RelayError as error:
                    refused = await shape(error, exchange.scope, request_id)
                    if not error.accounted:
                        note_refused(
                            services,
                            exchange.scope,
                            request_id,
                            refused[1],
                            error.code,
                            started=started,
                            traced=traced,
                        )
                    await _refuse(exchange, refused, allowed)
                except Exception:
                    log.exception("request %s failed: a defect", request_id)
                    defect = InternalError("the gateway failed; its log has the details under this request's id")
                    await _refuse(exchange, await shape(defect, exchange.scope, request_id), allowed)
        except ClientLeft:
            return
        if exchange.unread:
            await drop_body(receive)

    return asgi(path, copy_scope=False, is_mount=below)(run)


def _admit(services: Services, exchange: Exchange, access: Access, request_id: str, started: float) -> Request:
    """Check a request's head. Raises a ClientError or Unavailable."""
    head: dict[bytes, bytes] = {}
    size = 0
    for name, value in exchange.scope["headers"]:
        size += len(name) + len(value)
        if name in _READ:
            if name in head:
                if name in _KEYS:
                    raise Unauthorized("send one key")
                if name in _ONCE:
                    raise BadRequest("duplicate_header", f"the request has two {name.decode()} headers")
                value = head[name] + b"," + value
            head[name] = value
    if size > MAX_HEAD:
        raise HeadersTooLarge(f"the request's head is over the limit of {MAX_HEAD} bytes")
    generation = services.holder.current
    _check_host(services, generation, exchange.scope, head)
    client = None
    if access == "client":
        if generation.snapshot.clients:
            client = generation.client(_key(head))
            if client is None:
                raise Unauthorized("no client of this gateway has that key")
    elif access == "operator":
        _check_operator(generation, exchange.scope, head)
    if len(services.attendant) > generation.snapshot.limits.concurrency and access == "client":
        raise Unavailable("the gateway is full; come again soon", retry_after=1.0)
    return Request(exchange, generation, request_id, started, client, head)


def _check_host(services: Services, generation: Generation, scope: HTTPScope, head: dict[bytes, bytes]) -> None:
    """Refuse what a browser can be tricked into sending: a foreign Host (DNS rebinding) or a foreign Origin."""
    snapshot = generation.snapshot
    host = head.get(b"host", b"").decode("latin-1").lower()
    name = ""
    if host:
        match = _HOST.match(host)
        if match is None:
            raise BadRequest("invalid_host", "the request's Host header is malformed")
        name = match[1]
    elif scope["http_version"] not in ("1", "1.0"):
        # The server shows a Host that was not sent as an empty one, and HTTP/1.0 as "1". Browsers always send one.
        raise BadRequest("missing_host", "the request has no Host header")
    # Where everybody may ask, only the names that this machine calls itself by are its own: a page on the web can
    # point a name of its own at a loopback address. With keys, or an operator's word, any name will do; and so will
    # an address always, since nobody can point it elsewhere: probes of a cluster have no name to call.
    restricted = snapshot.allowed_hosts or (services.settings.loopback and not snapshot.clients)
    if restricted and _is_foreign(name, snapshot):
        raise Misdirected(_NOT_FOR_THAT_HOST)
    origin = head.get(b"origin")
    if origin is not None:
        netloc, theirs = _origin(origin)
        if (not host or netloc != host) and not _is_own(theirs, snapshot):
            raise Forbidden("origin_not_allowed", "requests from that origin are not answered; see allowed_hosts")


def _is_own(name: str, snapshot: Snapshot) -> bool:
    return name in _LOOPBACK or name in snapshot.allowed_hosts


def _is_foreign(name: str, snapshot: Snapshot) -> bool:
    return name != "" and not _is_own(name, snapshot) and not _is_address(name)


def _is_address(name: str) -> bool:
    # A name that ends in a number is an IPv4 address or nothing (URL standard, section 3.5).
    return name[0] == "[" or name.rpartition(".")[2].isdigit()


def _origin(origin: bytes) -> tuple[str, str]:
    """Host with port, and host, of an ``Origin`` header; empty where it has none (``null``)."""
    try:
        parts = urlsplit(origin.decode("latin-1").lower())
        return parts.netloc, parts.hostname or ""
    except ValueError:
        return "", ""


def _check_operator(generation: Generation, scope: HTTPScope, head: dict[bytes, bytes]) -> None:
    """Status is for operators where there are any, for this machine where there are clients only, else for all."""
    snapshot = generation.snapshot
    if snapshot.operators:
        if generation.operator(_password(head) or _key(head)) is None:
            raise Unauthorized("no operator of this gateway has that key")
    elif snapshot.clients:
        peer = scope.get("client")
        if peer is None or peer[0] not in _LOOPBACK:
            raise Unauthorized("declare operators to read this from another machine")
        # No key is asked for, only the way here, which a page on the web can send a browser of this machine.
        named = _HOST.match(head.get(b"host", b"").decode("latin-1").lower())
        if named is not None and _is_foreign(named[1], snapshot):
            raise Misdirected(_NOT_FOR_THAT_HOST)


def _key(head: dict[bytes, bytes]) -> str:
    """The key that a client sent: as a bearer token, or as Anthropic's SDKs may, in ``x-api-key``; empty for none."""
    authorization = head.get(b"authorization")
    if authorization is not None:
        scheme, _, key = authorization.decode("latin-1").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""
    return head.get(b"x-api-key", b"").decode("latin-1").strip()


def _password(head: dict[bytes, bytes]) -> str:
    """The password of HTTP Basic, which browsers can send, whoever the user is; empty for none (RFC 7617)."""
    scheme, _, credentials = head.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"basic":
        return ""
    try:
        return base64.b64decode(credentials.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _refuse(exchange: Exchange, refused: Refusal, allowed: Iterable[str]) -> None:
    if exchange.started:
        # What was sent is no whole answer and must not look like one: without an end, the connection is closed.
        return
    headers, status, body = refused
    if status == 405:
        headers.append((b"allow", ", ".join(sorted(allowed)).encode()))
    await exchange.whole(status, headers, body)


def refusal(dialect: Dialect, error: RelayError, request_id: str) -> Refusal:
    """Headers, status and body of an error that is the gateway's own."""
    status, body = dialect.encode_error(error, request_id)
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"x-request-id", request_id.encode()),
        *error_headers(error),
    ]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers, status, body


async def reply(
    request: Request, body: bytes, *, content_type: bytes = b"application/json", headers: Headers | None = None
) -> None:
    """Answer with 200, in one piece; HEAD gets the head alone."""
    head: Headers = [(b"content-type", content_type), (b"x-request-id", request.request_id.encode())]
    if headers is not None:
        head += headers
    if request.scope["method"] == "HEAD":
        head.append((b"content-length", b"%d" % len(body)))
        await request.exchange.start(200, head)
        await request.exchange.finish()
        return
    await request.exchange.whole(200, head, body)


def by_path(scope: HTTPScope) -> Dialect:
    """The dialect that a path belongs to: whose errors a client there can read."""
    # Routes do not mind how many slashes there are.
    first, _, rest = scope["path"].lstrip("/").partition("/")
    if first != "v1":
        return DIALECTS["ollama"]
    return DIALECTS["anthropic"] if rest.lstrip("/").startswith("messages") else by_version(scope)


def by_version(scope: HTTPScope) -> Dialect:
    """Anthropic's dialect where the client names a version of its API, OpenAI's elsewhere: they share some paths."""
    return DIALECTS["anthropic" if any(name == b"anthropic-version" for name, _ in scope["headers"]) else "openai"]


def fixed(name: str) -> Callable[[HTTPScope], Dialect]:
    """The dialect of one endpoint."""
    dialect = DIALECTS[name]

    def choose(scope: HTTPScope) -> Dialect:
        return dialect

    return choose


def json(value: Any) -> bytes:
    """JSON for a machine to read."""
    return msgspec.json.encode(value)
