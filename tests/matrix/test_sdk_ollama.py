"""Ollama's official Python SDK against a real gateway, whichever wire the chosen candidate speaks."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import ollama
import pytest
from pydantic import BaseModel

from tests.faultserver import answer, chunk, end, head
from tests.matrix.providers import PROVIDERS, OllamaGenerate, Provider
from tests.matrix.said import Assistant, Call, Reply, Result, User
from tests.matrix.stage import KEY, PIXEL, VECTOR, Stage

pytestmark = pytest.mark.asyncio(loop_scope="package")

HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
OPTIONS = {"num_predict": 100}
PARIS = Call("call_1", "clock", {"city": "Paris"})
#: The SDK takes some of it for ends of lines, unless they are escaped.
LINES = "Grüß dich \u2028 \u2029 🙂"

each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.wire)


class Person(BaseModel):
    name: str
    age: int


def clock(city: str) -> str:
    """Tells the time.

    Args:
      city: Where
    """
    return f"noon in {city}"


@each_provider
async def test_a_whole_answer(stage: Stage, ollama_sdk: ollama.AsyncClient, provider: Provider) -> None:
    stage.set(provider, Reply(LINES, thinking="Who is it?"))
    got = await ollama_sdk.chat("smart", HELLO, options=OPTIONS, think=True)
    assert (got.message.content, got.message.thinking) == (LINES, "Who is it?")
    assert (got.done, got.done_reason, got.prompt_eval_count, got.eval_count) == (True, "stop", 7, 5)
    assert got.created_at is not None
    assert stage.asked.turns == (User("Hello"),)


@each_provider
async def test_a_stream(stage: Stage, ollama_sdk: ollama.AsyncClient, provider: Provider) -> None:
    stage.set(provider, Reply(LINES, thinking="Who is it?"))
    pieces = [piece async for piece in await ollama_sdk.chat("smart:latest", HELLO, options=OPTIONS, stream=True)]
    assert "".join(piece.message.content or "" for piece in pieces) == LINES
    assert "".join(piece.message.thinking or "" for piece in pieces) == "Who is it?"
    assert [bool(piece.done) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert (pieces[-1].done_reason, pieces[-1].prompt_eval_count, pieces[-1].eval_count) == ("stop", 7, 5)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@each_provider
async def test_a_tool_and_its_result(
    stage: Stage, ollama_sdk: ollama.AsyncClient, provider: Provider, stream: bool
) -> None:
    # Without ids, only the conversation tells whose call it is: another question for each test.
    question = [{"role": "user", "content": f"How late is it, {provider.wire}, {stream}?"}]
    stage.set(provider, Reply("I look.", calls=(PARIS, Call("call_2", "clock", {"city": "Oslo"})), stop="tools"))
    if stream:
        pieces = [
            piece.message
            async for piece in await ollama_sdk.chat("smart", question, tools=[clock], options=OPTIONS, stream=True)
        ]
        text = "".join(piece.content or "" for piece in pieces)
        calls = [call for piece in pieces for call in piece.tool_calls or ()]
        message = ollama.Message(role="assistant", content=text, tool_calls=calls)
    else:
        message = (await ollama_sdk.chat("smart", question, tools=[clock], options=OPTIONS)).message
        calls = list(message.tool_calls or ())
    assert message.content == "I look."
    assert [(it.function.name, it.function.arguments) for it in calls] == [
        ("clock", {"city": "Paris"}),
        ("clock", {"city": "Oslo"}),
    ]
    stage.set(provider, Reply("Noon."))
    results = [
        {"role": "tool", "tool_name": it.function.name, "content": clock(**it.function.arguments)} for it in calls
    ]
    second = await ollama_sdk.chat("smart", [*question, message, *results], tools=[clock], options=OPTIONS)
    assert second.message.content == "Noon."
    asked = (Call("call 0", "clock", {"city": "Paris"}), Call("call 1", "clock", {"city": "Oslo"}))
    assert stage.asked.turns[1:] == (
        Assistant("I look.", asked),
        Result("call 0", "clock", "noon in Paris"),
        Result("call 1", "clock", "noon in Oslo"),
    )
    (tool,) = stage.asked.tools
    assert (tool.name, tool.description, list(tool.schema["properties"])) == ("clock", "Tells the time.", ["city"])


@each_provider
async def test_a_picture_and_a_system_prompt(stage: Stage, ollama_sdk: ollama.AsyncClient, provider: Provider) -> None:
    stage.set(provider)
    picture = ollama.Image(value=base64.b64decode(PIXEL))
    await ollama_sdk.chat(
        "smart",
        [
            ollama.Message(role="system", content="Be brief."),
            ollama.Message(role="user", content="What is it?", images=[picture]),
        ],
        options={**OPTIONS, "stop": ["END"], "temperature": 0.5},
    )
    assert (stage.asked.system, stage.asked.stop, stage.asked.temperature) == ("Be brief.", ("END",), 0.5)
    assert stage.asked.turns == (User("What is it?", (PIXEL,)),)


@each_provider
async def test_a_structured_answer(stage: Stage, ollama_sdk: ollama.AsyncClient, provider: Provider) -> None:
    stage.set(provider, Reply('{"name": "Ada", "age": 36}'))
    got = await ollama_sdk.chat("smart", HELLO, options=OPTIONS, format=Person.model_json_schema())
    assert Person.model_validate_json(got.message.content or "") == Person(name="Ada", age=36)


@pytest.mark.parametrize("provider", [*PROVIDERS[:2], OllamaGenerate()], ids=lambda provider: provider.wire)
async def test_generate(stage: Stage, ollama_sdk: ollama.AsyncClient, provider: Provider) -> None:
    stage.set(provider, Reply(LINES, thinking="Who is it?"))
    whole = await ollama_sdk.generate("smart", "Hello", system="Be brief.", options=OPTIONS)
    assert (whole.response, whole.thinking, whole.done, whole.eval_count) == (LINES, "Who is it?", True, 5)
    assert (stage.asked.system, stage.asked.turns) == ("Be brief.", (User("Hello"),))
    pieces = [piece async for piece in await ollama_sdk.generate("smart", "Hello", options=OPTIONS, stream=True)]
    assert "".join(piece.response or "" for piece in pieces) == LINES
    assert (pieces[-1].done, pieces[-1].done_reason) == (True, "stop")


async def test_a_model_is_loaded_and_unloaded(ollama_sdk: ollama.AsyncClient) -> None:
    assert (await ollama_sdk.generate("smart", "")).done_reason == "load"
    assert (await ollama_sdk.generate("smart", "", keep_alive=0)).done_reason == "unload"


@pytest.mark.parametrize("wire", ["openai", "ollama"])
async def test_embed(ollama_sdk: ollama.AsyncClient, wire: str) -> None:
    got = await ollama_sdk.embed(f"my-{wire}/m", ["one", "two"])
    assert [list(vector) for vector in got.embeddings] == [list(VECTOR)] * 2
    assert got.prompt_eval_count == 2


async def test_embeddings(ollama_sdk: ollama.AsyncClient) -> None:
    assert list((await ollama_sdk.embeddings("my-openai/m", "one")).embedding) == list(VECTOR)


async def test_what_there_is(ollama_sdk: ollama.AsyncClient) -> None:
    listed = (await ollama_sdk.list()).models
    names = [model.model for model in listed]
    assert names[0] == "smart:latest"
    assert {"my-openai/m:latest", "my-anthropic/m:latest", "my-ollama/m:latest"} <= set(names)
    assert listed[0].modified_at is not None
    for name in ("smart", "smart:latest", "my-openai/m:latest"):
        shown = await ollama_sdk.show(name)
        assert shown.details is not None
        assert shown.modelinfo is not None
    assert "smart:latest" in [model.model for model in (await ollama_sdk.ps()).models]
    with pytest.raises(ollama.ResponseError) as unknown:
        await ollama_sdk.show("dumb")
    assert unknown.value.status_code == 404


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "gets"),
    [(400, "invalid_request_error", 400), (429, "rate_limit_error", 429), (500, "api_error", 502)],
)
@each_provider
async def test_the_provider_fails(
    stage: Stage, ollama_sdk: ollama.AsyncClient, provider: Provider, status: int, kind: str, gets: int
) -> None:
    stage.set(provider, None, answer(provider.error("the clock is broken", kind), status))
    with pytest.raises(ollama.ResponseError) as whole:
        await ollama_sdk.chat(f"my-{provider.wire}/m", HELLO)
    with pytest.raises(ollama.ResponseError) as streamed:
        _ = [piece async for piece in await ollama_sdk.chat(f"my-{provider.wire}/m", HELLO, stream=True)]
    for caught in (whole.value, streamed.value):
        assert caught.status_code == gets
        assert "the clock is broken" in caught.error


@each_provider
async def test_the_stream_breaks_off(stage: Stage, ollama_sdk: ollama.AsyncClient, provider: Provider) -> None:
    broken = provider.begun(Reply("Hello.")) + provider.failure("out of memory")
    stage.set(provider, None, head(provider.stream_type), chunk(broken), end())
    heard = []

    async def listen() -> None:
        async for piece in await ollama_sdk.chat("smart", HELLO, stream=True):
            heard.append(piece.message.content or "")

    with pytest.raises(ollama.ResponseError, match=r"upstream_error: .*out of memory"):
        await listen()
    assert "".join(heard) == "Hello."


async def test_the_gateway_refuses(stage: Stage, ollama_sdk: ollama.AsyncClient) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'dumb' not found") as unknown:
        await ollama_sdk.chat("dumb", HELLO)
    assert unknown.value.status_code == 404
    with pytest.raises(ollama.ResponseError) as invalid:
        await ollama_sdk.chat("smart", HELLO, options={"top_p": 7})
    assert invalid.value.status_code == 400
    async with ollama.AsyncClient(stage.gateway.url) as stranger:
        with pytest.raises(ollama.ResponseError) as keyless:
            await stranger.chat("smart", HELLO)
    assert keyless.value.status_code == 401


async def test_the_blocking_client(stage: Stage) -> None:
    stage.set(PROVIDERS[0], Reply("Hello."))

    def chat() -> str:
        with ollama.Client(stage.gateway.url, headers={"authorization": f"Bearer {KEY}"}) as sdk:
            return "".join(piece.message.content or "" for piece in sdk.chat("smart", HELLO, stream=True))

    assert await asyncio.to_thread(chat) == "Hello."
