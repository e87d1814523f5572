"""What a provider's response headers say. Names are in lower case, values as received: nothing is trusted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

Headers = Sequence[tuple[bytes, bytes]]

#: ``Retry-After`` is believed up to here, in seconds.
MAX_RETRY_AFTER = 60.0


def header(headers: Headers, name: bytes) -> bytes:
    """The first value of header ``name`` (lower case), ``b""`` where there is none."""
    for key, value in headers:
        if key == name:
            return value
    return b""


def content_type(headers: Headers) -> str:
    """``Content-Type`` in lower case and without parameters, ``""`` where there is none."""
    return header(headers, b"content-type").partition(b";")[0].strip().lower().decode("latin-1")


def encoded(headers: Headers) -> bool:
    """Whether the body is compressed, or encoded in any other way."""
    return any(name == b"content-encoding" and value.lower() != b"identity" for name, value in headers)


def retry_after(headers: Headers, now: float) -> float | None:
    """``Retry-After`` in seconds (RFC 9110 section 10.2.3: seconds or a date), at most :data:`MAX_RETRY_AFTER`.

    None for anything that is neither. ``now`` is in seconds since 1970.
    """
    text = header(headers, b"retry-after").decode("latin-1").strip(" \t")
    if re.fullmatch(r"\d{1,300}(\.\d{1,300})?", text, re.ASCII):
        return min(float(text), MAX_RETRY_AFTER)
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return min(max(date.timestamp() - now, 0.0), MAX_RETRY_AFTER)
    except (ValueError, OverflowError):
        return None
