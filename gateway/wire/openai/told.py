"""What a provider tells about an error, in whichever shape it tells it."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.chat import Failure
from gateway.wire.text import identifier, shown

# A duration in protobuf's JSON mapping.
_DURATION = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?s")

#: How deep an error may be wrapped.
MAX_NESTING = 8


class Told(msgspec.Struct, frozen=True):
    """A provider's error: its ``message`` as a client may see it, and ``kind``, the most telling of its codes."""

    message: str | None = None
    kind: str | None = None
    #: Every code, type and reason that the error names.
    kinds: frozenset[str] = frozenset()
    #: Google's RetryInfo, in seconds.
    retry_after: float | None = None
    #: OpenRouter's moderation refused the user's text.
    moderated: bool = False


def is_error(value: Any) -> bool:
    """Whether a JSON value that should have been an answer is an error.

    The shapes: ``{"error": …}``; Gemini's ``[{"error": …}]``; vLLM's and Mistral's ``{"object": "error", "message":
    …}``; FastAPI's ``{"detail": …}``; Cloudflare's ``{"errors": […]}``; ``{"message": …}`` of proxies.
    """
    if type(value) is list and value:
        value = value[0]
    if type(value) is not dict or value.get("choices"):
        return False
    return any(value.get(key) for key in ("error", "errors", "detail", "message"))


def tell(value: Any) -> Told:
    """Read an error from a body's or event's JSON value, or from its ``error`` alone."""
    around: dict[str, Any] = {}
    for _ in range(MAX_NESTING):
        if type(value) is list:
            value = value[0] if value else None
        elif type(value) is dict and (inner := _inner(value)) is not None:
            around, value = value, inner
        else:
            break
    if type(value) is not dict:
        # xAI keeps the code beside a bare string.
        message = shown(value) if type(value) is str else ""
        return Told(message or None, _kind(around), _kinds(around))
    metadata, details = value.get("metadata"), value.get("details")
    return Told(
        message=_message(value, metadata),
        kind=_kind(value) or _kind(around),
        kinds=_kinds(value) | _kinds(around) | _reasons(details),
        retry_after=_retry_delay(details),
        moderated=type(metadata) is dict and bool(metadata.get("reasons")),
    )


def _inner(value: dict[str, Any]) -> Any:
    """Where an object only wraps the error: what it wraps, else None."""
    for key in ("error", "errors", "detail", "message"):
        inner = value.get(key)
        # A string beside a message is a title: {"error": "Bad Request", "message": "model is required"}.
        if inner and (type(inner) in (dict, list) or (key != "message" and type(value.get("message")) is not str)):
            return inner
    return None


def failure(value: Any) -> Failure:
    """An error inside a stream."""
    told = tell(value)
    return Failure(told.message or "the provider reported an error", told.kind)


def _message(value: dict[str, Any], metadata: Any) -> str | None:
    message = value.get("message") or value.get("msg")
    text = message if type(message) is str else ""
    # OpenRouter's own message says only that a provider failed; what that provider said is in "raw".
    raw = metadata.get("raw") if type(metadata) is dict else None
    if type(raw) is str and raw:
        text = f"{text}: {raw}" if text else raw
    return shown(text) or None


def _kind(value: dict[str, Any]) -> str | None:
    return next((word for key in ("code", "type", "status") if (word := identifier(value.get(key)))), None)


def _kinds(value: dict[str, Any]) -> frozenset[str]:
    return frozenset(word for key in ("code", "type", "status") if (word := identifier(value.get(key))))


def _reasons(details: Any) -> frozenset[str]:
    """Google's ErrorInfo reasons."""
    if type(details) is not list:
        return frozenset()
    found = (identifier(detail.get("reason")) for detail in details if type(detail) is dict)
    return frozenset(reason for reason in found if reason)


def _retry_delay(details: Any) -> float | None:
    if type(details) is not list:
        return None
    for detail in details:
        delay = detail.get("retryDelay") if type(detail) is dict else None
        if type(delay) is str and _DURATION.fullmatch(delay):
            return float(delay[:-1])
    return None
