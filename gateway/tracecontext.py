"""W3C Trace Context: ``traceparent`` and ``tracestate``, read as https://www.w3.org/TR/trace-context/ says.

What breaks a rule there is as if it had not been sent: the trace begins anew. ``baggage`` is none of it, and is never
read: it is a client's own data, and no provider's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

#: Flag "sampled": whoever sent it may have recorded its part of the trace.
SAMPLED = 0x01
#: Flag "random" (level 2, section 3.2.2.5.2): the right half of the trace's id was drawn by lot.
RANDOM = 0x02

# Section 3.2: version 00 ends behind the flags; a later one may go on behind another dash, and is read as far as it is
# known. Version ff is none. A comma is the mark of two headers that somebody has joined, and two are none.
_TRACEPARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[\x21-\x2b\x2d-\x7e]*)?"
)
# Section 3.3.1.3, with the wider rule for keys of level 2; and how many members there may be.
_MEMBER = re.compile(
    rb"([a-z0-9][a-z0-9_*/@-]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_MEMBERS = 32


class TraceContext(msgspec.Struct, frozen=True):
    """Where a request stands in its trace, as the client says."""

    #: 32 lower-case hex digits.
    trace_id: str
    #: The client's own span: 16 lower-case hex digits.
    parent_id: str
    flags: int
    #: As received, save for space around it.
    traceparent: bytes
    #: As received; empty where there was none, or a malformed one.
    tracestate: bytes = b""

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers that say the same to the next in line."""
        own = (b"traceparent", self.traceparent)
        return (own, (b"tracestate", self.tracestate)) if self.tracestate else (own,)


def parsed(traceparent: bytes, tracestate: bytes = b"") -> TraceContext | None:
    """What the two headers say; several lines of one header come joined by commas. None without a valid traceparent."""
    traceparent = traceparent.strip(b" \t")
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or (match[1] == b"00" and match[5] is not None):
        return None
    _, trace, parent, flags, _ = match.groups()
    state = tracestate.strip(b" \t")
    if not _is_tracestate(state):
        state = b""
    return TraceContext(trace.decode(), parent.decode(), int(flags, 16), traceparent, state)


def found(headers: Iterable[tuple[bytes, bytes]]) -> TraceContext | None:
    """As :func:`parsed`, from all of a request's headers (names in lower case)."""
    lines: dict[bytes, list[bytes]] = {b"traceparent": [], b"tracestate": []}
    for name, value in headers:
        if name in lines:
            lines[name].append(value)
    return parsed(*map(b",".join, lines.values()))


def written(trace_id: str, span_id: str, flags: int) -> bytes:
    """A ``traceparent``."""
    return f"00-{trace_id}-{span_id}-{flags:02x}".encode()


def _is_tracestate(state: bytes) -> bool:
    keys: set[bytes] = set()
    for member in state.split(b","):
        member = member.strip(b" \t")
        if not member:
            continue
        match = _MEMBER.fullmatch(member)
        if match is None or match[1] in keys:
            return False
        keys.add(match[1])
    return 0 < len(keys) <= _MOST_MEMBERS
