"""What is lost, made up or put differently where a client and a provider speak different protocols."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.matrix.clients import CLIENTS, Anthropic, Client, Ollama, OpenAI
from tests.matrix.providers import PROVIDERS
from tests.matrix.providers import OpenAI as OpenAIProvider
from tests.matrix.said import Ask, Reply, User
from tests.relaykit import Kit, Recorder, answered, model, router, snapshot

CHATS: tuple[Client, ...] = (OpenAI(), Anthropic(), Ollama())
HELLO = Ask((User("Hello"),))

every_chat = pytest.mark.parametrize("client", CHATS, ids=lambda client: client.dialect)


@pytest.fixture
async def kit() -> AsyncIterator[Kit]:
    models = [model(f"{provider.wire}/m", wire=provider.wire) for provider in PROVIDERS]
    async with Kit(snapshot(router(*models), models=models)) as kit:
        yield kit


async def ask(kit: Kit, client: Client, wire: str, body: bytes, stream_type: str = "") -> Recorder:
    """One chat with the provider of ``wire``, which answers with ``body``: a stream where a type is given for it."""
    kit.tame.plays[wire] = lambda _: answered(body, content_type=stream_type or "application/json")
    return await kit.ask(client.dialect, model=f"{wire}/m", stream=bool(stream_type), **client.write(HELLO))


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", ["openai", "ollama"])
async def test_a_model_s_words_have_no_seam(kit: Kit, wire: str) -> None:
    # Anthropic's models write a text with citations in many blocks.
    blocks = [{"type": "text", "text": text} for text in ("It is ", "noon", ".")]
    messages = [
        {"role": "user", "content": "How late is it?"},
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": "And now?"},
    ]
    await kit.ask("anthropic", model=f"{wire}/m", messages=messages)
    assert kit.tame.asked[wire][0]["messages"][1]["content"] == "It is noon."


PICTURE = {"type": "image_url", "image_url": {"url": "https://pictures.test/cat.png"}}
BY_URL = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, PICTURE]}]


async def test_what_a_wire_cannot_say_another_candidate_s_may(kit: Kit) -> None:
    kit.tame.choice = "ollama/m"
    got = await kit.ask("openai", messages=BY_URL)
    assert (got.status, got.routed_to, got.decision) == (200, "openai/m", "failover")
    assert kit.tame.calls("ollama") == 0
    assert kit.entries[-1].failover_from == "ollama/m"


async def test_what_no_candidate_s_wire_can_say_is_refused() -> None:
    models = [model(f"{name}/m", wire="ollama") for name in ("one", "two")]
    async with Kit(snapshot(router(*models))) as kit:
        got = await kit.ask("openai", messages=BY_URL)
        assert (got.status, got.code) == (400, "unsupported")
        assert "base64" in json.loads(got.body)["error"]["message"]
        assert kit.tame.calls("one") + kit.tame.calls("two") == 0


async def test_a_candidate_that_failed_is_not_asked_in_place_of_a_speechless_one() -> None:
    models = [model("one/m"), model("two/m", wire="ollama")]
    async with Kit(snapshot(router(*models))) as kit:
        kit.tame.plays["one"] = lambda _: answered("{}", 500)
        got = await kit.ask("openai", messages=BY_URL)
        assert (got.status, got.code) == (502, "upstream_error")
        assert (kit.tame.calls("one"), kit.tame.calls("two")) == (1, 0)


# --- answers ----------------------------------------------------------------------------------------------------------


def completion(message: dict[str, Any], finish: str = "stop") -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    whole = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return json.dumps(whole).encode()


def events(*deltas: dict[str, Any], finish: str = "stop") -> bytes:
    chunks: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    chunks.append({"index": 0, "delta": {}, "finish_reason": finish})
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    told = [f"data: {json.dumps({**head, 'choices': [choice]})}\n\n" for choice in chunks]
    return "".join([*told, "data: [DONE]\n\n"]).encode()


REFUSED = ({"refusal": "I will "}, {"refusal": "not."})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.dialect)
async def test_a_refusal_reaches_everybody(kit: Kit, client: Client, stream: bool) -> None:
    body = events(*REFUSED) if stream else completion({"refusal": "I will not."})
    got = await ask(kit, client, "openai", body, "text/event-stream" if stream else "")
    text = got.body.decode()
    match client.dialect:
        case "openai":
            assert '"refusal":' in text
            assert '"finish_reason": "stop"' in text
        case "anthropic":
            assert '"stop_reason":"refusal"' in text
    assert all(piece in text for piece in ("I will ", "not."))


async def test_a_stop_sequence_is_an_ordinary_stop_elsewhere(kit: Kit) -> None:
    message: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "usage": {}}
    message |= {"content": [{"type": "text", "text": "1 2"}], "stop_reason": "stop_sequence", "stop_sequence": "3"}
    got = await ask(kit, OpenAI(), "anthropic", json.dumps(message).encode())
    assert json.loads(got.body)["choices"][0]["finish_reason"] == "stop"
    got = await ask(kit, Ollama(), "anthropic", json.dumps(message).encode())
    assert json.loads(got.body)["done_reason"] == "stop"


def fragment(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    """A part of tool call number ``index``."""
    name = more.pop("name", None)
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"tool_calls": [{"index": index, **more, "function": function}]}


@every_chat
async def test_tool_calls_that_are_written_at_the_same_time(kit: Kit, client: Client) -> None:
    stream = events(
        fragment(0, '{"ci', id="call_1", type="function", name="clock"),
        fragment(1, "", id="call_2", type="function", name="wake"),
        fragment(0, 'ty": "Pa'),
        fragment(1, '{"room"'),
        fragment(0, 'ris"}'),
        fragment(1, ": 7}"),
        finish="tool_calls",
    )
    got = await ask(kit, client, "openai", stream, "text/event-stream")
    if client.dialect == "openai":
        # The client's own wire: not a byte differs.
        assert got.body == stream
        return
    heard = client.listen(got.body)
    assert [(it.id, it.name, it.arguments) for it in heard.calls] == [
        ("call_1", "clock", {"city": "Paris"}),
        ("call_2", "wake", {"room": 7}),
    ]
    assert heard.stop == "tools"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@every_chat
async def test_calls_without_ids_get_some(kit: Kit, client: Client, stream: bool) -> None:
    # Older Ollama servers give none, and their answers name the same tool twice.
    calls = [{"function": {"name": "clock", "arguments": {"city": city}}} for city in ("Paris", "Oslo")]
    line: dict[str, Any] = {"model": "m", "created_at": "2026-01-01T00:00:00Z"}
    said = {**line, "message": {"role": "assistant", "content": "", "tool_calls": calls}}
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 5}
    last = {**line, "message": {"role": "assistant", "content": ""}, **end}
    lines = [{**said, "done": False}, last] if stream else [{**said, **end}]
    body = "".join(json.dumps(each) + "\n" for each in lines).encode()
    got = await ask(kit, client, "ollama", body, "application/x-ndjson" if stream else "")
    heard = client.listen(got.body) if stream else client.hear(got.body)
    assert [it.arguments for it in heard.calls] == [{"city": "Paris"}, {"city": "Oslo"}]
    assert heard.stop == "tools"
    if client.wire != "ollama":
        first, second = (it.id for it in heard.calls)
        assert first
        assert second
        assert first != second


@every_chat
async def test_an_answer_that_was_cut_by_a_filter(kit: Kit, client: Client) -> None:
    got = await ask(kit, client, "openai", completion({"content": "I"}, "content_filter"))
    told = json.loads(got.body)
    match client.dialect:
        case "openai":
            assert told["choices"][0]["finish_reason"] == "content_filter"
        case "anthropic":
            assert told["stop_reason"] == "refusal"
        case _:
            assert told["done_reason"] == "stop"


@every_chat
async def test_unknown_usage_is_not_made_up(kit: Kit, client: Client) -> None:
    got = await ask(kit, client, "openai", completion({"content": "Hello"}))
    told = json.loads(got.body)
    match client.dialect:
        case "openai":
            assert "usage" not in told
        case "anthropic":
            # Both numbers are required there.
            assert told["usage"] == {"input_tokens": 0, "output_tokens": 0}
        case _:
            assert "eval_count" not in told
    assert kit.entries[-1].input is None
    assert kit.entries[-1].output is None


@every_chat
async def test_what_nobody_knows_does_no_harm(kit: Kit, client: Client) -> None:
    reply = Reply("Hello.")
    empty = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-2026", "choices": []}
    odd = [b": keep-alive\n\n", f"data: {json.dumps({**empty, 'new': [1]})}\n\n".encode(), b"event: new\nid: 7\n\n"]
    strewn = b"".join(piece for event in OpenAIProvider().stream(reply) for piece in (*odd, event))
    got = await ask(kit, client, "openai", strewn, "text/event-stream")
    assert client.listen(got.body) == reply
