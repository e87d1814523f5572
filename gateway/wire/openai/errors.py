"""Errors: a provider's to ours, and ours to a client of this wire (API reference, "Error codes")."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.errors import (
    BadRequest,
    RelayError,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)
from gateway.wire.openai.told import Told, tell
from gateway.wire.text import has_key, refusal_kind

#: How long a provider rests whose account is empty, in seconds.
QUOTA_REST = 300.0

_anything = msgspec.json.Decoder().decode
_json = msgspec.json.Encoder().encode

_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "exceeded_current_quota_error"})
_OVERLOADED = frozenset({"overloaded", "overloaded_error", "engine_overloaded", "UNAVAILABLE"})
# Gemini and xAI answer 400 to a wrong key.
_BAD_KEY = frozenset({"API_KEY_INVALID", "invalid_api_key"})
_BAD_KEY_MESSAGE = re.compile(r"\b(?:incorrect|invalid) api key\b|\bapi key (?:not valid|expired)", re.IGNORECASE)


def decode_error(status: int, body: bytes, content_type: str) -> UpstreamError:
    """See :meth:`gateway.wire.protocol.Wire.decode_error`."""
    told = _read(body)
    message = told.message or f"the provider answered with status {status}"
    if status in (400, 413, 422) or (status == 403 and told.moderated):
        if _BAD_KEY & told.kinds or _BAD_KEY_MESSAGE.search(message):
            return _auth_failed()
        kind = refusal_kind(message, told.kind)
        return UpstreamRejected(status, message, kind=kind, body=body, content_type=content_type)
    if status in (401, 403):
        return _auth_failed()
    if status == 402 or (status == 429 and _QUOTA & told.kinds):
        return UpstreamRateLimited(message, retry_after=QUOTA_REST)
    if status == 429:
        delay = told.retry_after
        return UpstreamRateLimited(message, retry_after=None if delay is None else min(delay, QUOTA_REST))
    if status == 529 or (status == 503 and _OVERLOADED & told.kinds):
        return UpstreamOverloaded(message, retry_after=told.retry_after)
    if status == 404:
        return UpstreamFailed(f"the provider does not know this model or path: {message}")
    return UpstreamFailed(message)


def _auth_failed() -> UpstreamAuthFailed:
    # The provider's own words may hold a part of the key.
    return UpstreamAuthFailed("the provider refused the gateway's key")


def _read(body: bytes) -> Told:
    try:
        return tell(_anything(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Told()


# --- to clients -------------------------------------------------------------------------------------------------------

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error_object(error: RelayError) -> dict[str, Any]:
    """What stands under ``error`` in a body or an event."""
    kind = _TYPES.get(error.status, "server_error" if error.status >= 500 else "invalid_request_error")
    param = error.param if isinstance(error, BadRequest) else None
    return {"message": error.message, "type": kind, "param": param, "code": error.code}


def encode_error(error: RelayError, request_id: str) -> tuple[int, bytes]:
    """See :meth:`gateway.wire.protocol.Dialect.encode_error`; this shape has no place for the request's id."""
    if isinstance(error, UpstreamRejected) and _is_ours(error.body):
        return error.status, error.body
    return error.status, _json({"error": error_object(error)})


def _is_ours(body: bytes) -> bool:
    """Whether a provider's body has this wire's error shape and nothing in it that must not get out."""
    try:
        value = _anything(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    # Anthropic's shape is the same but for the type beside the error.
    error = value.get("error") if type(value) is dict and "type" not in value else None
    return type(error) is dict and type(error.get("message")) is str and not has_key(body.decode())
