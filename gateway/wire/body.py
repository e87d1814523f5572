"""A request's body: bytes to one JSON object, strictly.

What is not strict is refused with a code of its own, because a proxy in front may have read it differently: duplicate
keys (RFC 8259, section 4), other encodings than UTF-8 (section 8.1), numbers that JSON cannot say.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from gateway.errors import BadRequest
from gateway.wire.text import printable

_values = msgspec.json.Decoder()
_raws = msgspec.json.Decoder(dict[str, msgspec.Raw])

#: How many levels of nesting, or of calls, are left to whoever works with what was decoded.
HEADROOM = 64

#: Fields that would let a client choose where requests go or with which key (CVE-2024-6587): never accepted.
FORBIDDEN = frozenset(
    {"api_base", "base_url", "api_key", "custom_llm_provider", "extra_headers", "extra_body", "organization"}
    | {"user_config"}
)


class Body(msgspec.Struct, frozen=True):
    """One JSON object twice: decoded, and field by field as it was written."""

    values: dict[str, Any]
    raw: dict[str, msgspec.Raw]


def parse(body: bytes) -> Body:
    """Read a request's body. Raises BadRequest: empty_body, invalid_json, invalid_encoding, not_an_object,
    duplicate_key, forbidden_field.
    """
    if not body or body.isspace():
        raise BadRequest("empty_body", "the request has no body; send a JSON object")
    # Fewer brackets than that are not deep, and whoever writes the values again needs no levels to spare.
    headroom = 0 if body.count(b"[") + body.count(b"{") <= HEADROOM else HEADROOM
    try:
        values, raw = _decode(body, headroom)
    except UnicodeDecodeError as error:
        raise BadRequest("invalid_encoding", "the request's body must be UTF-8") from error
    except RecursionError as error:
        raise BadRequest("invalid_json", "the request's body is nested too deeply") from error
    except msgspec.MsgspecError as error:
        if body[:3] == b"\xef\xbb\xbf" or body[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in body[:4]:
            raise BadRequest("invalid_encoding", "the request's body must be UTF-8 without a BOM") from error
        raise BadRequest("invalid_json", "the request's body is not valid JSON") from error
    if not _surely_unique(body, raw):
        _refuse_duplicates(body)
    if not FORBIDDEN.isdisjoint(raw):
        name = next(name for name in raw if name in FORBIDDEN)
        raise BadRequest("forbidden_field", f"{name} cannot be set by a request", param=name)
    return Body(values, raw)


def _decode(body: bytes, headroom: int) -> tuple[dict[str, Any], dict[str, msgspec.Raw]]:
    """Decode ``headroom`` calls further down than the caller, so that as many levels are left later.

    Values nested as deep as the interpreter could just read could not be written again by code that runs a little
    deeper in calls. Raises RecursionError.
    """
    if headroom:
        return _decode(body, headroom - 1)
    values = _values.decode(body)
    if type(values) is not dict:
        raise BadRequest("not_an_object", "the request's body must be a JSON object")
    return values, _raws.decode(body)


def _surely_unique(body: bytes, raw: dict[str, msgspec.Raw]) -> bool:
    """Whether ``body`` cannot name a field twice, told without reading it again; true as most libraries write JSON."""
    # Compact: two braces, and per field two quotes, a colon and a comma, but for the last. No room for another field.
    length = 1 + 4 * len(raw)
    for name, value in raw.items():
        length += len(name) + len(value)
    if length == len(body):
        return True
    # As Python's json writes it: exactly these fields with a space after each comma and colon.
    spaced = b", ".join([b'"' + name.encode() + b'": ' + bytes(value) for name, value in raw.items()])
    return len(spaced) + 2 == len(body) and b"{" + spaced + b"}" == body


def _refuse_duplicates(body: bytes) -> None:
    outermost: list[tuple[str, Any]] = []

    def remember(pairs: list[tuple[str, Any]]) -> None:
        # Objects are closed from the inside out, so the last call is the outermost one's.
        outermost[:] = pairs

    json.loads(body, object_pairs_hook=remember, parse_int=str)
    seen: set[str] = set()
    for name, _ in outermost:
        if name in seen:
            raise BadRequest("duplicate_key", "the request's body names a field twice", param=printable(name))
        seen.add(name)
