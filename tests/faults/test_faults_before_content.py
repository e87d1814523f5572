"""Faults before the first content of an answer: another candidate may try, and where there is none the client is told.

Every fault is played on every wire, before clients of the same and of another dialect, streamed and whole.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from gateway.config.model import Timers
from tests.faultserver import (
    FaultServer,
    Script,
    answer,
    chunk,
    end,
    fin,
    hang,
    head,
    pause,
    repeat,
    rst,
    send,
)
from tests.relaykit import KEY, PATIENT, model

from .outcomes import PAIRS, fails_over, surfaces
from .speech import SPEECHES, Speech, sse

BOTH = (True, False)
STREAM = (True,)
WHOLE = (False,)
EVERY = ("openai", "anthropic", "ollama")

HASTY = Timers(connect=5.0, first_byte=0.15, whole=0.15, idle=5.0, total=10.0)
#: Content is late, the head is not: a whole answer has no other content than its bytes.
HASTY_BODY = Timers(connect=5.0, first_byte=5.0, idle=0.15, total=10.0)
BOMB = zlib.compress(bytes(2_000_000), 9)


@dataclass(frozen=True)
class Fault:
    """``script`` is what the provider does with every request; ``streams`` are the kinds of requests it is for."""

    name: str
    code: str
    script: Callable[[Speech], Script]
    streams: tuple[bool, ...] = BOTH
    wires: tuple[str, ...] = EVERY
    timers: Timers = PATIENT


def status(number: int, kind: str = "server_error", message: str = "no") -> Callable[[Speech], Script]:
    return lambda speech: [answer(speech.error(message, kind), number)]


def raw(text: str) -> Callable[[Speech], Script]:
    return lambda speech: [send(text), hang()]


def streamed(*parts: str) -> Callable[[Speech], Script]:
    """A stream of these attributes of the wire's speech."""
    return lambda speech: speech.stream(*(getattr(speech, part) for part in parts))


FAULTS = [
    Fault("F04 reset", "upstream_protocol_error", lambda _: [rst()]),
    Fault("F04 closed", "upstream_protocol_error", lambda _: [fin()]),
    Fault("F08", "upstream_protocol_error", lambda _: [send("SSH-2.0-x\r\n"), fin()]),
    Fault("F10", "upstream_timeout", lambda _: [hang()], timers=HASTY),
    Fault(
        "F13",
        "upstream_protocol_error",
        raw("HTTP/1.1 200 OK\r\nX-Up: a\rSet-Cookie: b=1\r\nContent-Length: 2\r\n\r\n{}"),
    ),
    Fault(
        "F14",
        "upstream_invalid_response",
        raw(
            f"HTTP/1.1 200 OK\r\nX-Goog-Api-Key: {KEY}\r\nAuthorization: Bearer {KEY}\r\nSet-Cookie: s=1\r\n"
            "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        ),
    ),
    Fault("F14 in an error", "upstream_error", status(500, message=f"your key is {KEY}")),
    Fault(
        "F18",
        "upstream_invalid_response",
        raw("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 26\r\n\r\n<html>captive portal</html"),
    ),
    Fault(
        "F18 as JSON",
        "upstream_invalid_response",
        lambda _: [answer("<html>captive portal</html>")],
    ),
    # Nobody waits for the end of what is no answer from its beginning.
    Fault(
        "F18 endless",
        "upstream_invalid_response",
        lambda _: [head("application/json"), chunk("\n"), chunk("<html>"), hang()],
        WHOLE,
    ),
    Fault("F21 401", "upstream_auth_failed", status(401, "invalid_api_key", f"Incorrect API key provided: {KEY}")),
    Fault("F21 403", "upstream_auth_failed", status(403, "permission_error", f"key {KEY} is not allowed")),
    Fault("F22", "upstream_error", status(404, "model_not_found")),
    Fault("F24", "upstream_rate_limited", raw("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n")),
    *(Fault(f"F30 {number}", "upstream_error", status(number)) for number in (500, 502, 504)),
    Fault("F30 503", "upstream_error", status(503), wires=("openai", "anthropic")),
    # Ollama says so when its queue is full.
    Fault("F30 503", "upstream_overloaded", status(503), wires=("ollama",)),
    Fault("F31", "upstream_overloaded", status(529, "overloaded_error", "Overloaded")),
    Fault("F35", "upstream_timeout", lambda speech: [speech.head(), hang()], STREAM, timers=HASTY),
    Fault("F35 whole", "upstream_timeout", lambda _: [head("application/json"), hang()], WHOLE, timers=HASTY_BODY),
    Fault(
        "F36",
        "upstream_timeout",
        lambda speech: [speech.head(), repeat(1000, chunk(speech.idle), pause(0.01))],
        STREAM,
        wires=("openai",),
        timers=HASTY,
    ),
    Fault(
        "F37",
        "upstream_timeout",
        lambda speech: [speech.head(), chunk(speech.first), repeat(1000, chunk(speech.idle), pause(0.01))],
        STREAM,
        wires=("anthropic",),
        timers=HASTY,
    ),
    Fault("F38", "upstream_error", streamed("failure"), STREAM),
    Fault("F38 after the start", "upstream_error", streamed("first", "failure"), STREAM, wires=("openai", "anthropic")),
    Fault("F38 whole", "upstream_error", lambda speech: [answer(speech.error("no", "server_error"))]),
    Fault(
        "F39",
        "upstream_error",
        lambda speech: speech.stream(
            sse({"object": "error", "message": "x", "type": "BadRequestError", "param": None, "code": 400})
        ),
        STREAM,
        wires=("openai",),
    ),
    Fault("F40", "upstream_truncated", streamed(), STREAM),
    Fault("F40 whole", "upstream_invalid_response", lambda _: [answer("")], WHOLE),
    Fault("F41", "upstream_invalid_response", streamed("done"), STREAM, wires=("openai", "anthropic")),
    Fault(
        "F59",
        "upstream_invalid_response",
        lambda speech: [answer(zlib.compress(speech.whole()), headers=[("Content-Encoding", "gzip")])],
    ),
    Fault(
        "F59 streamed",
        "upstream_invalid_response",
        lambda speech: [head(speech.content_type, extra="Content-Encoding: deflate\r\n"), hang()],
    ),
    Fault(
        "F60",
        "upstream_invalid_response",
        lambda _: [answer(BOMB, headers=[("Content-Encoding", "deflate")])],
    ),
    Fault("F61 before content", "upstream_truncated", lambda s: [s.head(), chunk(s.first), fin()], STREAM),
    Fault("F69 before content", "upstream_invalid_response", streamed("garbage"), STREAM),
    Fault(
        "F69 after the start",
        "upstream_invalid_response",
        lambda speech: speech.stream(speech.first + speech.garbage),
        STREAM,
    ),
    Fault(
        "F71 before content",
        "upstream_response_too_large",
        lambda speech: [speech.head(), repeat(64, chunk(b'data: {"x' + b"x" * (1 << 17))), hang()],
        STREAM,
    ),
    Fault(
        "F71 in many pieces",
        "upstream_response_too_large",
        lambda speech: [speech.head(), repeat(200_000, chunk(speech.idle * 100)), hang()],
        STREAM,
        wires=("openai",),
    ),
    Fault(
        "F73",
        "upstream_truncated",
        lambda _: [
            send('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"a"'),
            fin(),
        ],
    ),
    Fault("empty chunks of another type", "upstream_invalid_response", lambda _: [head("image/png"), end()], STREAM),
]


def cases() -> Iterator[object]:
    for fault in FAULTS:
        for wire, dialect in PAIRS:
            # A same wire's stream of comments is held back; elsewhere they are no events at all.
            if wire in fault.wires and (fault.name != "F71 in many pieces" or wire == dialect):
                yield pytest.param(fault, wire, dialect, id=f"{fault.name}, {wire} to {dialect}")


@pytest.mark.parametrize(("fault", "wire", "dialect"), [*cases()])
async def test_a_fault(fault: Fault, wire: str, dialect: str, caplog: pytest.LogCaptureFixture) -> None:
    async with FaultServer(fault.script(SPEECHES[wire])) as server:
        bad = model("bad/m", url=server.url, wire=wire, timers=fault.timers)
        async with asyncio.TaskGroup() as group:
            for stream in fault.streams:
                group.create_task(fails_over(bad, dialect, fault.code, stream=stream))
                group.create_task(surfaces(bad, dialect, fault.code, stream=stream))
        # The request went out once each time: no fault is tried again at the same provider.
        assert len(server.requests) <= 2 * len(fault.streams)
        await server.until(lambda: server.open == 0)
    assert KEY not in caplog.text
