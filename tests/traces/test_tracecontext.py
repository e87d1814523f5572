"""W3C Trace Context, rule by rule."""

from __future__ import annotations

import pytest

from gateway.tracecontext import found, parsed, written

TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
GOOD = b"00-" + TRACE + b"-" + SPAN + b"-01"
LATER = b"cc" + GOOD[2:]


@pytest.mark.parametrize(
    ("sent", "flags"),
    [
        (GOOD, 1),
        (GOOD[:-2] + b"00", 0),
        (GOOD[:-2] + b"03", 3),
        (GOOD[:-2] + b"ff", 255),
        (b" " + GOOD + b"\t", 1),
        (b"00-" + b"0" * 31 + b"1-" + b"0" * 15 + b"1-00", 0),
        # Versions of the future are read as far as they are known.
        (LATER, 1),
        (LATER + b"-what-the-future-brings", 1),
        (LATER + b"-", 1),
        (b"fe" + GOOD[2:], 1),
    ],
)
def test_a_parent_that_counts(sent: bytes, flags: int) -> None:
    context = parsed(sent)
    assert context is not None
    assert (context.flags, context.traceparent, context.tracestate) == (flags, sent.strip(), b"")
    assert context.headers == ((b"traceparent", sent.strip()),)
    assert (len(context.trace_id), len(context.parent_id)) == (32, 16)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"garbage",
        GOOD.upper(),
        GOOD.replace(b"f", b"F", 1),
        b"00-" + TRACE.replace(b"4", b"g") + b"-" + SPAN + b"-01",
        b"00-" + b"0" * 32 + b"-" + SPAN + b"-01",
        b"00-" + TRACE + b"-" + b"0" * 16 + b"-01",
        b"ff" + GOOD[2:],
        b"0" + GOOD[2:],
        b"000" + GOOD[2:],
        b"0G" + GOOD[2:],
        GOOD[:-1],
        GOOD[:-3],
        GOOD + b"0",
        GOOD + b"-",
        GOOD + b"-more",
        LATER + b"more",
        LATER + b"-\x00",
        LATER + b"-\xe4",
        GOOD.replace(b"-", b"_"),
        GOOD.replace(b"-", b""),
        GOOD + b"\n",
        GOOD + b"," + GOOD,
        LATER + b"-more," + LATER,
    ],
)
def test_a_parent_that_does_not(sent: bytes) -> None:
    assert parsed(sent, b"a=1") is None


@pytest.mark.parametrize(
    "state",
    [
        b"congo=t61rcWkgMzE",
        b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
        b"a=1 , b=2,\tc=3",
        b"a=1,,b=2,",
        b"fw529a3039@dt=FfAyIRELcgpGkyrSUPhO",
        b"0digit@tenant=1",
        b"k_-*/=1",
        b"k=" + b" " * 255 + b"v",
        b"k=!~ inner space",
        b"k" * 256 + b"=" + b"v" * 256,
        b",".join(b"k%d=%d" % (number, number) for number in range(32)),
    ],
)
def test_a_state_that_counts(state: bytes) -> None:
    context = parsed(GOOD, b" " + state)
    assert context is not None
    assert context.tracestate == state
    assert context.headers == ((b"traceparent", GOOD), (b"tracestate", state))


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b",",
        b"garbage",
        b"=1",
        b"a=",
        b"A=1",
        b"a =1",
        b"_a=1",
        b"a=1=2",
        b"a=\xe4",
        b"a=\x01",
        b"a=1;b=2",
        b"a=1,a=2",
        b"k" * 257 + b"=1",
        b"k=" + b"v" * 257,
        b",".join(b"k%d=%d" % (number, number) for number in range(33)),
    ],
)
def test_a_state_that_does_not_is_dropped_alone(state: bytes) -> None:
    context = parsed(GOOD, state)
    assert context is not None
    assert context.headers == ((b"traceparent", GOOD),)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([(b"tracestate", b"a=1")], None),
        ([(b"traceparent", GOOD)], (GOOD, b"")),
        ([(b"tracestate", b"a=1"), (b"traceparent", GOOD), (b"tracestate", b"b=2")], (GOOD, b"a=1,b=2")),
        ([(b"traceparent", GOOD), (b"traceparent", GOOD)], None),
        ([(b"traceparent", LATER + b"-x"), (b"traceparent", LATER)], None),
        ([(b"baggage", b"a=1"), (b"traceparent", GOOD)], (GOOD, b"")),
    ],
)
def test_the_headers_of_a_request(headers: list[tuple[bytes, bytes]], expected: tuple[bytes, bytes] | None) -> None:
    context = found(headers)
    assert (context and (context.traceparent, context.tracestate)) == expected


def test_what_is_written_can_be_read() -> None:
    context = parsed(written(TRACE.decode(), SPAN.decode(), 3))
    assert context is not None
    assert (context.trace_id, context.parent_id, context.flags) == (TRACE.decode(), SPAN.decode(), 3)
