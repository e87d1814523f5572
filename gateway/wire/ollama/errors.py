"""Errors in Ollama's shape, ``{"error": "…"}``, both ways."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.errors import (
    RelayError,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)
from gateway.wire.text import has_key, identifier, refusal_kind, shown

#: Seconds before an exhausted quota is worth a new try.
QUOTA_PAUSE = 300.0
#: How deep an error may be wrapped.
_MAX_NESTING = 4

_TEXTS = ("message", "msg", "detail", "reason", "title")
_KINDS = ("code", "type", "status")


def encode_error(error: RelayError, request_id: str) -> tuple[int, bytes]:
    """Status and body of an error; an Ollama server's own refusal passes as it is.

    The shape has no room for ``request_id``: it travels in a header.
    """
    if isinstance(error, UpstreamRejected) and _may_pass(error.body):
        return error.status, error.body
    return error.status, msgspec.json.encode({"error": error.message})


def encode_inband(error: RelayError) -> bytes:
    """An error as the last line of a stream. The code stands first: nothing else can carry it."""
    return msgspec.json.encode({"error": f"{error.code}: {error.message}"}) + b"\n"


def decode_error(status: int, body: bytes, content_type: str) -> UpstreamError:
    """An error answer of whatever stands at the provider's address: Ollama, a proxy, a load balancer.

    Ollama says 503 only when its queue is full (server/routes.go, handleScheduleError).
    """
    message, kind = describe(_decoded(body))
    if status in (401, 403):
        return UpstreamAuthFailed("the provider refused the gateway's key")
    if status == 429:
        pause = QUOTA_PAUSE if kind == "insufficient_quota" else None
        return UpstreamRateLimited(message or "the provider limits the rate of requests", retry_after=pause)
    if status in (503, 529):
        return UpstreamOverloaded(message or "the provider is overloaded")
    if status in (400, 413, 422):
        reason = message or f"the provider refused the request with status {status}"
        kind = refusal_kind(reason, kind)
        return UpstreamRejected(status, reason, kind=kind, body=body, content_type=content_type)
    if status == 404:
        return UpstreamFailed("the model is unknown to the provider" + (f": {message}" if message else ""))
    return UpstreamFailed(message or f"the provider answered with status {status}")


def describe(value: Any) -> tuple[str, str | None]:
    """Message and kind of an error value of any shape; empty and None where it says nothing readable."""
    kind: str | None = None
    for _ in range(_MAX_NESTING):
        if isinstance(value, str):
            return shown(value), kind
        if isinstance(value, list):
            value = value[0] if value else None
        if not isinstance(value, dict):
            break
        kind = next((word for name in _KINDS if (word := identifier(value.get(name)))), kind)
        value = value.get("error") or next((value[name] for name in _TEXTS if value.get(name)), None)
    return "", kind


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _may_pass(body: bytes) -> bool:
    value = _decoded(body)
    return isinstance(value, dict) and isinstance(value.get("error"), str) and not has_key(body.decode())
