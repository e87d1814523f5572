"""Answers to Ollama's clients, streamed and whole, and whole answers from an Ollama server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import ollama
import pytest

from gateway.chat import (
    Answer,
    ChatRequest,
    Event,
    Failure,
    Finish,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    Start,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from gateway.errors import UpstreamFailed, UpstreamInvalidResponse, UpstreamTimeout
from gateway.wire.ollama import GENERATE, WIRE, OllamaDialect, load_answer
from gateway.wire.ollama.encoder import CHAT as CHAT_SHAPE
from gateway.wire.ollama.encoder import GENERATE as GENERATE_SHAPE
from gateway.wire.ollama.request import decode_chat, decode_generate
from gateway.wire.ollama.stream import Decoder

CREATED = 1_767_225_600.25
REQUEST = ChatRequest("ollama", "smart", (), {})


class Clock:
    """A second passes between one look and the next."""

    def __init__(self) -> None:
        self.now = CREATED

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def chat_dialect() -> OllamaDialect:
    return OllamaDialect("ollama", decode_chat, CHAT_SHAPE, Clock())


def generate_dialect() -> OllamaDialect:
    return OllamaDialect("ollama.generate", decode_generate, GENERATE_SHAPE, Clock())


def stream(dialect: OllamaDialect, *events: Event) -> bytes:
    encoder = dialect.encoder(REQUEST, "smart", "7f", CREATED)
    return b"".join(map(encoder.encode, events)) + encoder.close()


def lines(body: bytes) -> list[dict[str, Any]]:
    assert body.endswith(b"\n")
    return [json.loads(line) for line in body.splitlines()]


HEAD = {"model": "smart", "created_at": "2026-01-01T00:00:00.250000Z"}
DURATIONS = {
    "total_duration": 2_000_000_000,
    "load_duration": 0,
    "prompt_eval_duration": 1_000_000_000,
    "eval_duration": 1_000_000_000,
}
COUNTS = {"prompt_eval_count": 3, "eval_count": 2}

# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_chat_stream() -> None:
    body = stream(
        chat_dialect(),
        Start(),
        ReasoningDelta("hm"),
        ReasoningDelta(signature="proof"),
        TextDelta(""),
        TextDelta('é"\n🙂'),
        Finish("stop"),
        UsageReport(Usage(3, 2)),
    )
    assert lines(body) == [
        {**HEAD, "message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False},
        {**HEAD, "message": {"role": "assistant", "content": 'é"\n🙂'}, "done": False},
        {
            **HEAD,
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "stop",
            **DURATIONS,
            **COUNTS,
        },
    ]


def test_a_generate_stream() -> None:
    body = stream(generate_dialect(), ReasoningDelta("hm"), TextDelta("a"), Finish("length"))
    assert lines(body) == [
        {**HEAD, "response": "", "thinking": "hm", "done": False},
        {**HEAD, "response": "a", "done": False},
        {**HEAD, "response": "", "done": True, "done_reason": "length", **DURATIONS},
    ]


def test_the_providers_name_for_the_model_is_shown() -> None:
    body = stream(chat_dialect(), Start(model="gpt-4o"), TextDelta("a"), Finish("stop"))
    assert [line["model"] for line in lines(body)] == ["gpt-4o", "gpt-4o"]


def test_a_refusal_is_text() -> None:
    body = stream(chat_dialect(), RefusalDelta("no"), Finish("refusal"))
    assert lines(body)[0]["message"]["content"] == "no"
    assert lines(body)[1]["done_reason"] == "stop"


@pytest.mark.parametrize(
    ("dialect", "place"),
    [(chat_dialect, lambda line: line["message"]), (generate_dialect, lambda line: line)],
)
def test_calls_come_whole_with_the_finish(
    dialect: Callable[[], OllamaDialect], place: Callable[[Any], dict[str, Any]]
) -> None:
    encoder = dialect().encoder(REQUEST, "smart", "7f", CREATED)
    for event in (
        ToolCallDelta(0, "call_a", "f"),
        ToolCallDelta(0, arguments='{"x":'),
        ToolCallDelta(1, None, "g", "not json"),
        ToolCallDelta(0, arguments="\n 1}"),
    ):
        assert encoder.encode(event) == b""
    first, last = lines(encoder.encode(Finish("tool_calls")) + encoder.close())
    assert place(first)["tool_calls"] == [
        {"id": "call_a", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}},
        {"id": "call_7f_1", "function": {"index": 1, "name": "g", "arguments": {}}},
    ]
    assert not first["done"]
    assert last["done_reason"] == "stop"


def test_a_call_that_was_cut_off_is_not_told() -> None:
    # Clients run every call that they get, whatever the end says.
    whole, cut = ToolCallDelta(0, "call_a", "f", '{"x":1}'), ToolCallDelta(1, "call_b", "g", '{"y":')
    told = {"id": "call_a", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}
    first, last = lines(stream(chat_dialect(), whole, cut, Finish("length")))
    assert first["message"]["tool_calls"] == [told]
    assert last["done_reason"] == "length"
    (only,) = lines(stream(chat_dialect(), cut, Finish("length")))
    assert only["done_reason"] == "length"
    parts = (ToolCall("call_a", "f", '{"x":1}'), ToolCall("call_b", "g", '{"y":'))
    answer = Answer(None, "m", parts, "length", Usage())
    body = json.loads(chat_dialect().encode_answer(answer, REQUEST, "smart", "7f", CREATED))
    assert body["message"]["tool_calls"] == [told]


def test_an_error_takes_the_place_of_the_end() -> None:
    encoder = chat_dialect().encoder(REQUEST, "smart", "7f", CREATED)
    assert encoder.encode(Failure("x")) == b""
    assert encoder.error(UpstreamTimeout("too slow")) == b'{"error":"upstream_timeout: too slow"}\n'


@pytest.mark.parametrize("now", [CREATED - 5, CREATED, CREATED + 0.0001])
def test_a_clock_that_did_not_run_measured_nothing(now: float) -> None:
    dialect = OllamaDialect("ollama", decode_chat, CHAT_SHAPE, lambda: now)
    last = lines(stream(dialect, TextDelta("a"), Finish("stop")))[-1]
    assert [name for name in last if name.endswith("_duration")] == ["load_duration"]


def test_encoded_streams_decode_to_what_was_encoded() -> None:
    events: list[Event] = [
        Start(model="m"),
        ReasoningDelta("hm"),
        TextDelta("a"),
        ToolCallDelta(0, "call_a", "f", '{"x":1}'),
        UsageReport(Usage(3, 2)),
        Finish("tool_calls"),
    ]
    for dialect in (chat_dialect(), generate_dialect()):
        decoder = Decoder()
        encoded = stream(dialect, *events[:4], UsageReport(Usage(3, 2)), Finish("tool_calls"))
        assert decoder.feed(encoded) + decoder.close() == events


# --- whole answers ----------------------------------------------------------------------------------------------------

ANSWER = Answer(
    "id",
    None,
    (Reasoning("hm"), Text("a"), ToolCall("call_a", "f", '{"x":1}'), Text("b"), ToolCall("", "g", "")),
    "tool_calls",
    Usage(3, 2),
)
WHOLE_DURATIONS = {"total_duration": 1_000_000_000, "load_duration": 0, "eval_duration": 1_000_000_000}


def test_a_whole_chat() -> None:
    body = chat_dialect().encode_answer(ANSWER, REQUEST, "smart", "7f", CREATED)
    assert json.loads(body) == {
        **HEAD,
        "message": {
            "role": "assistant",
            "content": "ab",
            "thinking": "hm",
            "tool_calls": [
                {"id": "call_a", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}},
                {"id": "call_7f_1", "function": {"index": 1, "name": "g", "arguments": {}}},
            ],
        },
        "done": True,
        "done_reason": "stop",
        **WHOLE_DURATIONS,
        **COUNTS,
    }


def test_a_whole_generate() -> None:
    answer = Answer(None, "gpt-4o", (), "refusal", Usage(), refusal="no")
    body = generate_dialect().encode_answer(answer, REQUEST, "smart", "7f", CREATED)
    assert json.loads(body) == {
        **HEAD,
        "model": "gpt-4o",
        "response": "no",
        "done": True,
        "done_reason": "stop",
        **WHOLE_DURATIONS,
    }


def whole(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "created_at": "x", "done": True, "done_reason": "stop", **fields}).encode()


WHOLE: dict[str, tuple[bytes, Answer]] = {
    "text": (
        whole(message={"role": "assistant", "content": "a"}, prompt_eval_count=3, eval_count=2),
        Answer(None, "m", (Text("a"),), "stop", Usage(3, 2)),
    ),
    "thinking-and-call": (
        whole(
            message={
                "role": "assistant",
                "content": "",
                "thinking": "hm",
                "tool_calls": [{"id": "call_a", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}],
            }
        ),
        Answer(None, "m", (Reasoning("hm"), ToolCall("call_a", "f", '{"x": 1}')), "tool_calls", Usage()),
    ),
    "generate": (
        whole(response="a", thinking="hm", context=[1], done_reason="length"),
        Answer(None, "m", (Reasoning("hm"), Text("a")), "length", Usage()),
    ),
    "nothing": (whole(message={"role": "assistant", "content": ""}), Answer(None, "m", (), "stop", Usage())),
}


@pytest.mark.parametrize(("body", "answer"), WHOLE.values(), ids=WHOLE)
def test_whole_answers_decode(body: bytes, answer: Answer) -> None:
    assert WIRE.decode_answer(body) == answer
    progress = WIRE.watch_answer(body)
    assert (progress.finish, progress.usage, progress.model) == (answer.finish, answer.usage, answer.model)
    assert progress.complete
    assert progress.content == bool(answer.parts)


def test_a_call_without_an_id_gets_one() -> None:
    body = whole(message={"tool_calls": [{"function": {"name": "f"}}, {"function": {"name": "f"}}]})
    one, two = WIRE.decode_answer(body).parts
    assert isinstance(one, ToolCall)
    assert isinstance(two, ToolCall)
    assert one.id.startswith("call_")
    assert one.id != two.id
    assert WIRE.watch_answer(body).tool_call_id == ""


@pytest.mark.parametrize("read", [WIRE.decode_answer, WIRE.watch_answer])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"<html>",
        whole(),
        whole(done=False, response="a"),
        whole(message="a"),
        b'{"response":"a"}',
    ],
)
def test_what_is_no_answer(read: Callable[[bytes], object], body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        read(body)


@pytest.mark.parametrize("read", [WIRE.decode_answer, WIRE.watch_answer])
def test_an_error_in_place_of_an_answer(read: Callable[[bytes], object]) -> None:
    with pytest.raises(UpstreamFailed, match="out of memory"):
        read(b'{"error":"out of memory"}')


# --- loading a model --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep_alive", "reason"),
    [
        (None, "load"),
        (5, "load"),
        ("10m", "load"),
        (-1, "load"),
        ("0.5s", "load"),
        (0, "unload"),
        (0.0, "unload"),
        ("0", "unload"),
        ("0h0m0s", "unload"),
    ],
)
def test_loading(keep_alive: Any, reason: str) -> None:
    body = json.dumps({"model": "smart", "prompt": "", "keep_alive": keep_alive}).encode()
    request = GENERATE.decode_request(body)
    assert json.loads(load_answer(request, CREATED)) == {**HEAD, "response": "", "done": True, "done_reason": reason}


def test_loading_for_a_chat() -> None:
    assert json.loads(load_answer(REQUEST, CREATED)) == {
        **HEAD,
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "load",
    }


# --- the official client ----------------------------------------------------------------------------------------------


def client(body: bytes, status: int = 200) -> ollama.Client:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, content=body)

    return ollama.Client("http://relay.test", transport=httpx.MockTransport(answer))


def test_the_official_client_reads_a_chat_stream() -> None:
    body = stream(
        chat_dialect(),
        ReasoningDelta("hm"),
        TextDelta("a"),
        TextDelta("b"),
        ToolCallDelta(0, "i", "f", '{"x":1}'),
        Finish("tool_calls"),
        UsageReport(Usage(3, 2)),
    )
    with client(body) as official:
        parts = list(official.chat("smart", [{"role": "user", "content": "x"}], stream=True))
    assert "".join(part.message.content or "" for part in parts) == "ab"
    assert "".join(part.message.thinking or "" for part in parts) == "hm"
    (made,) = [made for part in parts for made in part.message.tool_calls or ()]
    assert (made.function.name, made.function.arguments) == ("f", {"x": 1})
    assert [part.done for part in parts] == [False, False, False, False, True]
    assert (parts[-1].done_reason, parts[-1].prompt_eval_count, parts[-1].eval_count) == ("stop", 3, 2)


def test_the_official_client_reads_a_generate_stream() -> None:
    with client(stream(generate_dialect(), TextDelta("a"), Finish("stop"))) as official:
        parts = list(official.generate("smart", "x", stream=True))
    assert [(part.response, part.done) for part in parts] == [("a", False), ("", True)]


def test_the_official_client_reads_whole_answers() -> None:
    with client(chat_dialect().encode_answer(ANSWER, REQUEST, "smart", "7f", CREATED)) as official:
        chat = official.chat("smart", [{"role": "user", "content": "x"}])
    assert (chat.message.content, chat.message.thinking, chat.eval_count) == ("ab", "hm", 2)
    assert [made.function.name for made in chat.message.tool_calls or ()] == ["f", "g"]
    with client(load_answer(GENERATE.decode_request(b'{"model":"smart"}'), CREATED)) as official:
        loaded = official.generate("smart")
    assert (loaded.response, loaded.done, loaded.done_reason) == ("", True, "load")


def test_the_official_client_reads_an_error_inside_a_stream() -> None:
    encoder = chat_dialect().encoder(REQUEST, "smart", "7f", CREATED)
    body = encoder.encode(TextDelta("a")) + encoder.error(UpstreamTimeout("too slow"))
    with client(body) as official:
        parts = official.chat("smart", [{"role": "user", "content": "x"}], stream=True)
        assert next(iter(parts)).message.content == "a"
        with pytest.raises(ollama.ResponseError, match="upstream_timeout: too slow"):
            list(parts)
