"""Good streams in unusual clothes: whatever the framing, a client reads the same text, and tokens are counted once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import pytest

from tests.faultserver import FaultServer, chunk, drip, end, fin, send
from tests.relaykit import Kit, Recorder, model, snapshot

from .heard import events, hear
from .outcomes import PAIRS, check_clean
from .speech import OPENAI, SPEECHES, TEXT, Speech, sse

SSE = ("openai", "anthropic")


class Pieces(httpx.AsyncByteStream):
    """A body cut exactly so: on a socket, pieces may melt together."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def singly(stream: bytes) -> list[bytes]:
    return [stream[place : place + 1] for place in range(len(stream))]


def blocks(speech: Speech) -> list[bytes]:
    """The events of a good stream, without the line ends that close them."""
    return speech.good().split(b"\n\n")[:-1]


# --- the clothes ------------------------------------------------------------------------------------------------------


def crlf(speech: Speech) -> bytes:
    return speech.good().replace(b"\n", b"\r\n")


def cr(speech: Speech) -> bytes:
    return speech.good().replace(b"\n", b"\r")


def mixed(speech: Speech) -> bytes:
    ends = (b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n")
    return b"".join(block + ends[number % len(ends)] for number, block in enumerate(blocks(speech)))


def several_data_lines(speech: Speech) -> bytes:
    """JSON has room for a line end after every comma outside of a string."""
    return b"".join(block.replace(b', "', b',\ndata: "') + b"\n\n" for block in blocks(speech))


def no_space(speech: Speech) -> bytes:
    return speech.good().replace(b"data: ", b"data:").replace(b"event: ", b"event:")


def all_fields(speech: Speech) -> bytes:
    between = b"id: 7\nretry: 1\nfoo: bar\nnonsense\n\ndata\n\ndata:\n\n"
    return b"\xef\xbb\xbf" + between + b"".join(b"id: 8\n" + block + b"\nfoo\n\n" + between for block in blocks(speech))


def only_what_says_something(speech: Speech) -> bytes:
    """To OpenAI's clients an event without data is broken JSON, to Anthropic's it is nothing."""
    stream = all_fields(speech).removeprefix(b"\xef\xbb\xbf")
    if speech.wire == "anthropic":
        return stream
    said, end, rest = stream.partition(b"data: [DONE]\nfoo\n\n")
    return b"".join(event + b"\n\n" for event in said.split(b"\n\n") if b"data: " in event) + b"id: 8\n" + end + rest


def other_event_names(speech: Speech) -> bytes:
    return speech.good().replace(b"event: content_block_delta", b"event: foo")


def unknown_events(speech: Speech) -> bytes:
    new = b'event: novelty\ndata: {"type": "novelty", "delta": 5}\n\n'
    return b"".join(block + b"\n\n" + new for block in blocks(speech))


def no_event_names(speech: Speech) -> bytes:
    return b"".join(block[block.index(b"data: ") :] + b"\n\n" for block in blocks(speech))


def blank_lines(speech: Speech) -> bytes:
    return b"\n" + speech.good().replace(b"\n", b"\n\r\n  \n")


def no_last_line_end(speech: Speech) -> bytes:
    return speech.good().rstrip(b"\n")


def empty_choices(speech: Speech) -> bytes:
    empty: list[dict[str, Any]] = [
        {"choices": []},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"content": None}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"content": ""}}], "usage": None},
    ]
    nothing = b"".join(sse({"id": "c1", "object": "chat.completion.chunk", "model": "m", **each}) for each in empty)
    return nothing + nothing.join(block + b"\n\n" for block in blocks(speech))


CLOTHES: list[tuple[str, Callable[[Speech], bytes], tuple[str, ...]]] = [
    ("F43", Speech.good, ("openai", "anthropic", "ollama")),
    ("F45", crlf, SSE),
    ("F46", cr, SSE),
    ("F45 and F46 mixed", mixed, SSE),
    ("F47", several_data_lines, SSE),
    ("F48", no_space, SSE),
    ("F49", all_fields, SSE),
    ("F53", no_last_line_end, ("ollama",)),
    ("F54", blank_lines, ("ollama",)),
    ("F54 CRLF", crlf, ("ollama",)),
    ("F55", other_event_names, ("anthropic",)),
    ("F55 unknown types", unknown_events, ("anthropic",)),
    ("F55 no names", no_event_names, ("anthropic",)),
    ("F57", empty_choices, ("openai",)),
]
#: What a client of the same wire reads instead, so that the official clients can.
MENDED: dict[Callable[[Speech], bytes], Callable[[Speech], bytes]] = {
    all_fields: only_what_says_something,
    other_event_names: Speech.good,
    no_event_names: Speech.good,
    no_last_line_end: Speech.good,
}
CUTS: dict[str, Callable[[bytes], list[bytes]]] = {
    "whole": lambda stream: [stream],
    "byte by byte": singly,
    "sevens": lambda stream: [stream[place : place + 7] for place in range(0, len(stream), 7)],
    "at CRs": lambda stream: [piece + b"\r" for piece in stream.split(b"\r")[:-1]] + [stream.split(b"\r")[-1]],
}
DRESSED = [
    pytest.param(dress, wire, dialect, id=f"{name}, {wire} to {dialect}")
    for name, dress, wires in CLOTHES
    for wire, dialect in PAIRS
    if wire in wires
]


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize(("dress", "wire", "dialect"), DRESSED)
async def test_framing(
    dress: Callable[[Speech], bytes], wire: str, dialect: str, cut: Callable[[bytes], list[bytes]]
) -> None:
    stream = dress(SPEECHES[wire])
    got, kit = await play(SPEECHES[wire], dialect, cut(stream))
    check(got, kit, dialect)
    if wire == dialect:
        assert got.body == MENDED.get(dress, dress)(SPEECHES[wire])


@pytest.mark.parametrize(("dress", "wire", "dialect"), DRESSED)
async def test_framing_over_a_socket(dress: Callable[[Speech], bytes], wire: str, dialect: str) -> None:
    speech = SPEECHES[wire]
    stream = dress(speech)
    half = len(stream) // 2
    chunked = [speech.head(), chunk(stream[:half]), drip(b"5\r\n" + stream[half : half + 5] + b"\r\n", 0.0)]
    async with FaultServer(
        [*chunked, chunk(stream[half + 5 :]), end()],
        [speech.head(chunked=False), send(stream), fin()],
    ) as server:
        answers = model("good/m", url=server.url, wire=wire)
        for _ in range(2):
            async with Kit(snapshot(models=[answers])) as kit:
                got = await kit.ask(dialect, model="good/m", stream=True)
                check(got, kit, dialect)


@pytest.mark.parametrize(("wire", "dialect"), PAIRS)
async def test_f44_characters_cut_at_every_byte(wire: str, dialect: str) -> None:
    speech = SPEECHES[wire]
    event = speech.delta("é漢🙂")
    before, after = speech.first, speech.stop + speech.done
    for place in range(1, len(event)):
        got, _ = await play(speech, dialect, [before, event[:place], event[place:], after])
        assert hear(dialect, got).text == "é漢🙂"
        assert "\ufffd" not in got.body.decode()


@pytest.mark.parametrize("dialect", ["ollama", "openai"])
async def test_f54_five_lines_in_one_piece_and_one_line_in_five(dialect: str) -> None:
    speech = SPEECHES["ollama"]
    words = [speech.delta(word) for word in "abcde"]
    fifths = [words[0][place : place + 30] for place in range(0, 150, 30)]
    got, _ = await play(speech, dialect, [b"".join(words), *fifths, speech.done])
    assert hear(dialect, got).text == "abcdea"


async def play(speech: Speech, dialect: str, pieces: Sequence[bytes], **fields: Any) -> tuple[Recorder, Kit]:
    """A provider in this process streams these pieces."""
    head = {"content-type": speech.content_type}
    async with Kit(snapshot(models=[model("good/m", wire=speech.wire)])) as kit:
        kit.tame.plays["good"] = lambda body: httpx.Response(200, headers=head, stream=Pieces(pieces))
        if dialect == "openai":
            fields.setdefault("stream_options", {"include_usage": True})
        return await kit.ask(dialect, model="good/m", stream=True, **fields), kit


def check(got: Recorder, kit: Kit, dialect: str) -> None:
    check_clean(got)
    heard = hear(dialect, got)
    assert (heard.text, heard.complete, heard.error) == (TEXT, True, None)
    (entry,) = kit.entries
    assert (entry.status, entry.ended) == (200, "complete")
    assert (entry.input, entry.output) == (3, 1)


# --- usage ------------------------------------------------------------------------------------------------------------

USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
HALF_WAY = {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}


def said(content: str, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    return sse({"id": "c1", "model": "m", "choices": [choice], **more})


APART = sse({"id": "c1", "model": "m", "choices": [], "usage": USAGE})
TOLD: dict[str, list[bytes]] = {
    "with the last content": [said("a"), said("b", "stop", usage=USAGE), OPENAI.done],
    "in a chunk of its own": [said("a"), said("b", "stop"), APART, OPENAI.done],
    "both": [said("a"), said("b", "stop", usage=USAGE), APART, OPENAI.done],
    "twice": [said("a"), said("b", "stop"), APART, APART, OPENAI.done],
    "null until the end": [said("a", usage=None), said("b", "stop", usage=None), APART, OPENAI.done],
    "growing": [said("a", usage=HALF_WAY), said("b", "stop", usage=USAGE), OPENAI.done],
    "before the text": [sse({"choices": [], "usage": HALF_WAY}), said("ab", "stop", usage=USAGE), OPENAI.done],
    "after the terminator": [said("a"), said("b", "stop"), OPENAI.done, APART],
    "without a terminator": [said("a"), said("b", "stop"), APART],
}
UNTOLD: dict[str, list[bytes]] = {
    "never": [said("a"), said("b", "stop"), OPENAI.done],
    "null": [said("a", usage=None), said("b", "stop", usage=None), OPENAI.done],
    "negative": [said("a"), said("b", "stop", usage={"prompt_tokens": -3, "completion_tokens": -1}), OPENAI.done],
    "nonsense": [said("a"), said("b", "stop", usage={"prompt_tokens": "3", "completion_tokens": [1]}), OPENAI.done],
    "no object": [said("a"), said("b", "stop", usage="much"), OPENAI.done],
}


@pytest.mark.parametrize("cut", [lambda pieces: pieces, lambda pieces: [b"".join(pieces)]], ids=["pieces", "whole"])
@pytest.mark.parametrize("dialect", ["openai", "anthropic", "ollama"])
@pytest.mark.parametrize(
    ("pieces", "tokens"),
    [
        *(pytest.param(pieces, (3, 1), id=name) for name, pieces in TOLD.items()),
        *(pytest.param(pieces, (None, None), id=name) for name, pieces in UNTOLD.items()),
    ],
)
async def test_f56_usage(
    pieces: list[bytes],
    tokens: tuple[int | None, int | None],
    dialect: str,
    cut: Callable[[list[bytes]], list[bytes]],
) -> None:
    got, kit = await play(OPENAI, dialect, cut(pieces))
    heard = hear(dialect, got)
    assert (heard.text, heard.complete) == ("ab", True)
    (entry,) = kit.entries
    assert (entry.input, entry.output) == tokens
    for direction, count in zip(("input", "output"), tokens, strict=True):
        labels = {"router": "direct", "candidate": "good/m", "direction": direction}
        assert kit.metric("candidate_tokens_total", **labels) == (count or 0)


@pytest.mark.parametrize("wanted", [True, False])
async def test_f56_a_client_gets_usage_only_where_it_asked(wanted: bool) -> None:
    options = {"stream_options": {"include_usage": wanted}}
    got, kit = await play(OPENAI, "openai", TOLD["in a chunk of its own"], **options)
    assert (hear("openai", got).input == 3) is wanted
    assert all("choices" in json.loads(data) for data in events(got.body)[:-1])
    # The gateway always asks: it keeps account.
    assert kit.tame.asked["good"][0]["stream_options"] == {"include_usage": True}
    assert (kit.entries[0].input, kit.entries[0].output) == (3, 1)
