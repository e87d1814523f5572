"""Errors of the Messages API: a provider's to ours, ours to a client's.

The shape is ``{"type": "error", "error": {"type": …, "message": …}, "request_id": …}`` (API reference, "Errors").
Providers with this wire, and proxies before them, send other shapes too; all are survived.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gateway.chat import Failure
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

#: Seconds for which an account without credit is left alone.
QUOTA_PAUSE = 300.0
#: How deep an error may be wrapped.
_MAX_NESTING = 4

#: Anthropic says with a 400 what others say with a 429: the account, not the request, is at fault.
_OUT_OF_CREDIT = ("credit balance is too low", "api usage limits")

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    415: "invalid_request_error",
    421: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
#: This API's own status for an overload.
_OVERLOADED = 529

_json = msgspec.json.Encoder()
_any = msgspec.json.Decoder()


class _Inner(msgspec.Struct):
    type: str
    message: str


class _Outer(msgspec.Struct):
    type: Literal["error"]
    error: _Inner


_own_shape = msgspec.json.Decoder(_Outer)


# --- ours to a client's ---------------------------------------------------------------------------------------------


def encode_error(error: RelayError, request_id: str) -> tuple[int, bytes]:
    """HTTP status and body of ``error``; a provider's own refusal in this shape is shown as it came."""
    if isinstance(error, UpstreamRejected) and _is_own_shape(error.body):
        return error.status, error.body
    status = _OVERLOADED if error.status == 503 else error.status
    return status, _json.encode({**_shape(error), "request_id": request_id})


def encode_in_band(error: RelayError) -> bytes:
    """The event that ends a stream when it cannot be ended well."""
    return b"event: error\ndata: " + _json.encode(_shape(error)) + b"\n\n"


def _shape(error: RelayError) -> dict[str, Any]:
    other = "invalid_request_error" if error.status < 500 else "api_error"
    return {"type": "error", "error": {"type": _TYPES.get(error.status, other), "message": error.message}}


def _is_own_shape(body: bytes) -> bool:
    """Whether a provider's body has this API's shape and nothing in it that must not get out."""
    try:
        _own_shape.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return not has_key(body.decode())


# --- a provider's to ours -------------------------------------------------------------------------------------------


def decode_error(status: int, body: bytes, content_type: str) -> UpstreamError:
    """A provider's answer with an error status."""
    failure = describe(_decoded(body))
    message, kind = failure.message, failure.kind
    if status in (401, 403):
        # What the provider says here may show a part of the key.
        return UpstreamAuthFailed("the provider refused the gateway's key")
    if status == 429 or status == 402 or _is_out_of_credit(status, message):
        quota = status != 429 or kind in ("insufficient_quota", "billing_error")
        text = message or "the provider's rate limit is reached"
        return UpstreamRateLimited(text, retry_after=QUOTA_PAUSE if quota else None)
    if status == _OVERLOADED or (status == 503 and kind == "overloaded_error"):
        return UpstreamOverloaded(message or "the provider is overloaded")
    if status in (400, 413, 422):
        text = message or f"the provider refused the request with status {status}"
        return UpstreamRejected(status, text, kind=refusal_kind(text, kind), body=body, content_type=content_type)
    if status == 404:
        return UpstreamFailed(_joined("the provider does not know this model or path", message))
    return UpstreamFailed(_joined(f"the provider answered with status {status}", message))


def describe(value: Any) -> Failure:
    """What an error value of any shape says: its message, empty where there is none to show, and its type."""
    kind: str | None = None
    for _ in range(_MAX_NESTING):
        if type(value) is list and value:
            value = value[0]
        if type(value) is not dict:
            break
        words = (identifier(value.get(key)) for key in ("type", "code", "status"))
        kind = next((word for word in words if word is not None and word != "error"), kind)
        value = next((value[key] for key in ("message", "error", "msg", "detail") if value.get(key)), None)
    return Failure(shown(value) if type(value) is str else "", kind)


def _decoded(body: bytes) -> Any:
    try:
        return _any.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # HTML and plain text are written for those who look at the provider's own pages.
        return None


def _is_out_of_credit(status: int, message: str) -> bool:
    folded = message.lower()
    return status == 400 and any(phrase in folded for phrase in _OUT_OF_CREDIT)


def _joined(ours: str, theirs: str) -> str:
    return f"{ours}: {theirs}" if theirs else ours
