"""Faults after the first content of an answer: the client is told inside of its stream, and nobody else is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from gateway.config.model import Timers
from tests.faultserver import FaultServer, Script, chunk, end, fin, hang, pause, repeat, rst, send, wait
from tests.relaykit import PATIENT, Kit, Recorder, model, router, snapshot

from .heard import hear
from .outcomes import PAIRS, check_clean, check_in_band
from .speech import SPEECHES, Speech

EVERY = ("openai", "anthropic", "ollama")
SSE = ("openai", "anthropic")
IDLE = Timers(connect=5.0, first_byte=5.0, idle=0.15, total=10.0)
TOTAL = Timers(connect=5.0, first_byte=5.0, idle=5.0, total=0.3)


@dataclass(frozen=True)
class Break:
    """``after`` is what the provider does once the client has read the first of its words."""

    name: str
    code: str
    after: Callable[[Speech], Script]
    wires: tuple[str, ...] = EVERY
    timers: Timers = PATIENT
    #: What the client reads in all, as far as it is known beforehand.
    text: str | None = "Hi"


BREAKS = [
    Break("F52", "upstream_truncated", lambda s: [chunk((s.stop + s.done)[:-1]), end()], ("anthropic",)),
    Break("F52 inside of a word", "upstream_truncated", lambda s: [chunk(s.delta("lost")[:-2]), end()]),
    Break("F61", "upstream_truncated", lambda s: [fin()]),
    Break("F61 after more", "upstream_truncated", lambda s: [chunk(s.delta(" you")), fin()], text="Hi you"),
    Break("F61 inside of a chunk", "upstream_truncated", lambda s: [send(b"40\r\n" + s.delta("lost")[:20]), fin()]),
    Break("F62", "upstream_truncated", lambda s: [end()]),
    Break("F62 with a stop reason", "upstream_truncated", lambda s: [chunk(s.stop), end()], ("anthropic",)),
    Break("F64", "upstream_truncated", lambda s: [rst()]),
    Break("F65", "upstream_error", lambda s: [chunk(s.failure), end()]),
    Break("F65 after three words", "upstream_error", lambda s: [*said(s), chunk(s.failure), end()], text="Hi a b"),
    Break("F65 and then more", "upstream_error", lambda s: [chunk(s.failure + s.delta("lost") + s.done), end()]),
    Break("F67", "upstream_timeout", lambda s: [hang()], timers=IDLE),
    Break(
        "F67 signs of life",
        "upstream_timeout",
        lambda s: [repeat(1000, chunk(s.idle), pause(0.01))],
        SSE,
        timers=IDLE,
    ),
    Break(
        "F68",
        "upstream_timeout",
        lambda s: [repeat(1000, chunk(s.delta("on ")), pause(0.01))],
        timers=TOTAL,
        text=None,
    ),
    Break("F69", "upstream_invalid_response", lambda s: [chunk(s.garbage), end()]),
    Break("F69 between", "upstream_invalid_response", lambda s: [chunk(s.garbage + s.stop + s.done), end()]),
    Break(
        "F71",
        "upstream_response_too_large",
        lambda s: [repeat(512, chunk(b'data: {"x' + b"x" * (1 << 17))), hang()],
    ),
    Break("broken framing", "upstream_protocol_error", lambda s: [send("what?"), hang()]),
]


def said(speech: Speech) -> Script:
    return [chunk(speech.delta(" a")), chunk(speech.delta(" b"))]


def cases() -> Iterator[object]:
    for each in BREAKS:
        for wire, dialect in PAIRS:
            if wire in each.wires:
                yield pytest.param(each, wire, dialect, id=f"{each.name}, {wire} to {dialect}")


@pytest.mark.parametrize(("each", "wire", "dialect"), [*cases()])
async def test_a_broken_stream(each: Break, wire: str, dialect: str) -> None:
    speech, recorder = SPEECHES[wire], Recorder()
    begin = [speech.head(), chunk(speech.first + speech.delta("Hi")), wait(recorder.wrote)]
    async with FaultServer([*begin, *each.after(speech)]) as server:
        got, kit = await ask(server, each, wire, dialect, recorder)
        await server.until(lambda: server.open == 0)
        check(got, kit, each, wire, dialect)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("each", "wire", "dialect"),
    [
        pytest.param(each, wire, dialect, id=f"{each.name}, {wire} to {dialect}")
        for each in BREAKS
        if each.code in ("upstream_error", "upstream_invalid_response") or each.name.startswith("F62")
        for wire, dialect in PAIRS
        if wire in each.wires
    ],
)
async def test_how_the_bytes_were_cut_makes_no_difference(each: Break, wire: str, dialect: str) -> None:
    """All comes in one piece: what precedes the fault is told all the same, and commits."""
    speech = SPEECHES[wire]
    pieces: list[bytes] = []
    peer = Collector(pieces)
    for step in each.after(speech):
        await step(peer)  # type: ignore[arg-type]
    whole = speech.first + speech.delta("Hi") + b"".join(pieces)
    async with FaultServer([speech.head(), chunk(whole), end()]) as server:
        got, kit = await ask(server, each, wire, dialect, Recorder())
        check(got, kit, each, wire, dialect)


class Collector:
    """Takes the chunks that steps send, without their framing."""

    def __init__(self, into: list[bytes]) -> None:
        self._into = into

    async def send(self, data: bytes) -> None:
        self._into.append(data.partition(b"\r\n")[2][:-2])


async def ask(server: FaultServer, each: Break, wire: str, dialect: str, recorder: Recorder) -> tuple[Recorder, Kit]:
    bad = model("bad/m", url=server.url, wire=wire, timers=each.timers)
    async with Kit(snapshot(router(bad, model("spare/m")))) as kit:
        return await kit.ask(dialect, stream=True, recorder=recorder), kit


def check(got: Recorder, kit: Kit, each: Break, wire: str, dialect: str) -> None:
    speech = SPEECHES[wire]
    before = check_in_band(dialect, got, each.code)
    heard = hear(dialect, got)
    if each.text is not None:
        assert heard.text == each.text
    if wire == dialect:
        # What passed is the provider's own bytes.
        assert before.startswith(speech.first + speech.delta("Hi"))
    assert (got.routed_to, got.decision) == ("bad/m", "designated")
    assert kit.tame.calls("spare") == 0
    (entry,) = kit.entries
    assert (entry.ended, entry.code, entry.failover_from) == ("upstream_cut", each.code, None)
    assert kit.metric("upstream_errors_total", provider="bad", code=each.code) == 1


@pytest.mark.parametrize(("wire", "dialect"), PAIRS)
async def test_f63_an_end_that_only_the_closed_connection_tells(wire: str, dialect: str) -> None:
    """To HTTP this is a whole answer."""
    each = Break("F63", "upstream_truncated", lambda s: [])
    speech = SPEECHES[wire]
    script = [speech.head(chunked=False), send(speech.first + speech.delta("Hi")), fin()]
    async with FaultServer(script) as server:
        got, kit = await ask(server, each, wire, dialect, Recorder())
        check(got, kit, each, wire, dialect)


# --- what looks like a fault and is none ------------------------------------------------------------------------------

NO_FAULTS: dict[str, tuple[Callable[[Speech], Script], tuple[str, ...]]] = {
    "F62 the stop reason was there": (lambda s: [chunk(s.first + s.delta() + s.stop), end()], ("openai",)),
    "F52 the terminator lacks its blank line": (
        lambda s: [chunk(s.first + s.delta() + s.stop + s.done[:-2]), end()],
        ("openai",),
    ),
    "F53": (lambda s: [chunk(s.delta() + s.done[:-1]), end()], ("ollama",)),
    "closed after the terminator": (lambda s: [chunk(s.good("Hi")), fin()], EVERY),
    "reset after the terminator": (lambda s: [chunk(s.good("Hi")), rst()], EVERY),
    "half an event after the terminator": (lambda s: [chunk(s.good("Hi") + s.delta()[:9]), end()], EVERY),
    "broken framing after the terminator": (lambda s: [chunk(s.good("Hi")), send("what?"), hang()], EVERY),
    "a flood after the terminator": (
        lambda s: [chunk(s.good("Hi")), repeat(20, chunk(b"x" * (1 << 17))), fin()],
        EVERY,
    ),
}


@pytest.mark.parametrize(
    ("script", "wire", "dialect"),
    [
        pytest.param(script, wire, dialect, id=f"{name}, {wire} to {dialect}")
        for name, (script, wires) in NO_FAULTS.items()
        for wire, dialect in PAIRS
        if wire in wires
    ],
)
async def test_no_fault(script: Callable[[Speech], Script], wire: str, dialect: str) -> None:
    speech, recorder = SPEECHES[wire], Recorder()
    first, *rest = script(speech)
    # A reset could overtake the data before it.
    async with FaultServer([speech.head(), first, wait(recorder.wrote), *rest]) as server:
        bad = model("bad/m", url=server.url, wire=wire)
        async with Kit(snapshot(models=[bad])) as kit:
            got = await kit.ask(dialect, model="bad/m", stream=True, recorder=recorder)
            check_clean(got)
            heard = hear(dialect, got)
            assert (heard.text, heard.complete, heard.error) == ("Hi", True, None)
            assert (kit.entries[0].ended, kit.entries[0].code) == ("complete", None)
            assert (kit.entries[0].input, kit.entries[0].output) == (3, 1)


async def test_a_client_that_leaves_closes_the_way_to_the_provider() -> None:
    speech, recorder = SPEECHES["openai"], Recorder()
    script = [speech.head(), chunk(speech.first + speech.delta()), hang()]
    async with FaultServer(script) as server, Kit(snapshot(models=[model("bad/m", url=server.url)])) as kit:
        asking = asyncio.create_task(kit.ask(model="bad/m", stream=True, recorder=recorder))
        await recorder.wrote.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await server.until(lambda: server.open == 0)
        assert (kit.entries[0].status, kit.entries[0].ended) == (499, "client_left")
        assert kit.metric("inflight_requests") == 0
