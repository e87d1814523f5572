"""OpenAI's official Python SDK against a real gateway, whichever wire the chosen candidate speaks."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessage, ChatCompletionMessageParam
from pydantic import BaseModel

from tests.faultserver import answer, chunk, end, head
from tests.matrix.providers import PROVIDERS, Provider
from tests.matrix.said import Assistant, Call, Reply, Result, Tool, User
from tests.matrix.stage import KEY, PIXEL, VECTOR, Stage

pytestmark = pytest.mark.asyncio(loop_scope="package")

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
CLOCK: Any = {
    "type": "function",
    "function": {"name": "clock", "description": "Tells the time", "parameters": SCHEMA, "strict": True},
}
PARIS = Call("call_1", "clock", {"city": "Paris"})

each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.wire)


def as_param(message: ChatCompletionMessage) -> Any:
    """A message as the SDK's users send it back."""
    return message.model_dump(exclude_none=True)


class Person(BaseModel):
    name: str
    age: int


@each_provider
async def test_a_whole_answer(stage: Stage, openai_sdk: openai.AsyncOpenAI, provider: Provider) -> None:
    stage.set(provider, Reply("Grüß dich \u2028 🙂", thinking="Who is it?"))
    raw = await openai_sdk.chat.completions.with_raw_response.create(model="smart", messages=HELLO, max_tokens=100)
    stage.check_decision(raw.headers)
    completion = raw.parse()
    (choice,) = completion.choices
    assert (choice.message.content, choice.finish_reason) == ("Grüß dich \u2028 🙂", "stop")
    assert choice.message.model_extra is not None
    assert choice.message.model_extra["reasoning_content"] == "Who is it?"
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (7, 5)
    assert completion._request_id == raw.headers["x-request-id"]
    assert stage.asked.turns == (User("Hello"),)


@each_provider
async def test_a_stream(stage: Stage, openai_sdk: openai.AsyncOpenAI, provider: Provider) -> None:
    stage.set(provider, Reply("Grüß dich \u2028 🙂"))
    raw = await openai_sdk.chat.completions.with_raw_response.create(
        model="smart", messages=HELLO, max_tokens=100, stream=True, stream_options={"include_usage": True}
    )
    stage.check_decision(raw.headers)
    chunks = [chunk async for chunk in raw.parse()]
    assert "".join(it.delta.content or "" for chunk in chunks for it in chunk.choices) == "Grüß dich \u2028 🙂"
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (7, 5)


@each_provider
async def test_nobody_asked_for_usage(stage: Stage, openai_sdk: openai.AsyncOpenAI, provider: Provider) -> None:
    stage.set(provider)
    stream = await openai_sdk.chat.completions.create(model="smart", messages=HELLO, max_tokens=100, stream=True)
    assert all(chunk.choices and chunk.usage is None for chunk in [chunk async for chunk in stream])


@each_provider
async def test_the_stream_helper_gathers_tool_calls(
    stage: Stage, openai_sdk: openai.AsyncOpenAI, provider: Provider
) -> None:
    stage.set(provider, Reply("I look.", calls=(PARIS, Call("call_2", "clock", {"city": "Oslo"})), stop="tools"))
    async with openai_sdk.chat.completions.stream(
        model="smart", messages=HELLO, max_tokens=100, tools=[CLOCK]
    ) as stream:
        done = [event async for event in stream if event.type == "tool_calls.function.arguments.done"]
        completion = await stream.get_final_completion()
    assert [event.parsed_arguments for event in done] == [{"city": "Paris"}, {"city": "Oslo"}]
    (choice,) = completion.choices
    assert (choice.message.content, choice.finish_reason) == ("I look.", "tool_calls")
    assert [call.id for call in choice.message.tool_calls or ()] == ["call_1", "call_2"]
    assert stage.asked.tools == (Tool("clock", "Tells the time", SCHEMA),)


@each_provider
async def test_a_tool_and_its_result(stage: Stage, openai_sdk: openai.AsyncOpenAI, provider: Provider) -> None:
    stage.set(provider, Reply(calls=(PARIS,), stop="tools"))
    first = await openai_sdk.chat.completions.create(model="smart", messages=HELLO, max_tokens=100, tools=[CLOCK])
    message = first.choices[0].message
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert call.type == "function"
    assert (call.id, call.function.name, json.loads(call.function.arguments)) == ("call_1", "clock", {"city": "Paris"})
    # The model that asked gets the result, whoever would be chosen now.
    stage.set(provider, Reply("Noon."))
    raw = await openai_sdk.chat.completions.with_raw_response.create(
        model="smart",
        messages=[*HELLO, as_param(message), {"role": "tool", "tool_call_id": call.id, "content": "noon"}],
        max_tokens=100,
        tools=[CLOCK],
    )
    assert raw.headers["x-llm-relay-decision"] == "tool_loop"
    assert raw.parse().choices[0].message.content == "Noon."
    asked = (Call("call 0", "clock", {"city": "Paris"}),)
    assert stage.asked.turns == (User("Hello"), Assistant("", asked), Result("call 0", "clock", "noon"))


@each_provider
async def test_a_picture_and_a_system_prompt(stage: Stage, openai_sdk: openai.AsyncOpenAI, provider: Provider) -> None:
    stage.set(provider)
    await openai_sdk.chat.completions.create(
        model="smart",
        max_tokens=100,
        messages=[
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                ],
            },
        ],
    )
    if provider.wire != "openai":
        assert stage.asked.system == "Be brief."
        assert stage.asked.turns == (User("What is it?", (PIXEL,)),)
    else:
        # The same wire: not a word is changed.
        assert stage.body["messages"][0] == {"role": "developer", "content": "Be brief."}


@each_provider
async def test_a_structured_answer(stage: Stage, openai_sdk: openai.AsyncOpenAI, provider: Provider) -> None:
    stage.set(provider, Reply('{"name": "Ada", "age": 36}'))
    completion = await openai_sdk.chat.completions.parse(
        model="smart", messages=HELLO, max_tokens=100, response_format=Person
    )
    assert completion.choices[0].message.parsed == Person(name="Ada", age=36)
    # Each wire has its own way to ask for it; all tell the fields.
    assert '"age"' in json.dumps(stage.body).replace('\\"', '"')


@each_provider
async def test_legacy_completions(stage: Stage, openai_sdk: openai.AsyncOpenAI, provider: Provider) -> None:
    stage.set(provider, Reply("Hello."))
    whole = await openai_sdk.completions.create(model="smart", prompt="Hello", max_tokens=100)
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("Hello.", "stop")
    stream = await openai_sdk.completions.create(model="smart", prompt="Hello", max_tokens=100, stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == "Hello."


@pytest.mark.parametrize("wire", ["openai", "ollama"])
async def test_embeddings(stage: Stage, openai_sdk: openai.AsyncOpenAI, wire: str) -> None:
    # The SDK asks for base64 unless it is told otherwise.
    got = await openai_sdk.embeddings.create(model=f"my-{wire}/m", input=["one", "two"])
    assert [each.embedding for each in got.data] == [list(VECTOR)] * 2
    assert got.usage.prompt_tokens == 2
    plain = await openai_sdk.embeddings.create(model=f"my-{wire}/m", input="one", encoding_format="float")
    assert [each.embedding for each in plain.data] == [list(VECTOR)]


async def test_models(openai_sdk: openai.AsyncOpenAI) -> None:
    listed = [model.id async for model in openai_sdk.models.list()]
    assert listed[0] == "smart"
    assert {"my-openai/m", "my-anthropic/m", "my-ollama/m"} <= set(listed)
    smart = await openai_sdk.models.retrieve("smart")
    assert (smart.id, smart.object, smart.owned_by) == ("smart", "model", "llm-relay")
    assert (await openai_sdk.models.retrieve("my-openai/m")).id == "my-openai/m"
    with pytest.raises(openai.NotFoundError):
        await openai_sdk.models.retrieve("dumb")


# --- errors -----------------------------------------------------------------------------------------------------------


@each_provider
async def test_the_provider_refuses_the_request(
    stage: Stage, openai_sdk: openai.AsyncOpenAI, provider: Provider
) -> None:
    stage.set(provider, None, answer(provider.error("the picture is broken", "invalid_request_error"), 400))
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="the picture is broken") as caught:
            await openai_sdk.chat.completions.create(model="smart", messages=HELLO, max_tokens=100, stream=stream)
        assert caught.value.type == "invalid_request_error"
        stage.check_decision(caught.value.response.headers)


@each_provider
async def test_the_provider_limits_the_rate(stage: Stage, openai_sdk: openai.AsyncOpenAI, provider: Provider) -> None:
    limited = answer(provider.error("come again later", "rate_limit_error"), 429)
    stage.set(provider, None, limited)
    with pytest.raises(openai.RateLimitError, match="come again later") as caught:
        await openai_sdk.chat.completions.create(model=f"my-{provider.wire}/m", messages=HELLO, max_tokens=100)
    assert caught.value.code == "upstream_rate_limited"


@each_provider
async def test_the_provider_breaks_down(stage: Stage, openai_sdk: openai.AsyncOpenAI, provider: Provider) -> None:
    stage.set(provider, None, answer("<html>Bad gateway</html>", 502, content_type="text/html"))
    with pytest.raises(openai.InternalServerError) as caught:
        await openai_sdk.chat.completions.create(model="smart", messages=HELLO, max_tokens=100)
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_error")


@each_provider
async def test_the_stream_breaks_off(stage: Stage, openai_sdk: openai.AsyncOpenAI, provider: Provider) -> None:
    broken = provider.begun(Reply("Hello.")) + provider.failure("out of memory")
    stage.set(provider, None, head(provider.stream_type), chunk(broken), end())
    heard = []

    async def listen() -> None:
        async for piece in await openai_sdk.chat.completions.create(
            model="smart", messages=HELLO, max_tokens=100, stream=True
        ):
            heard.append(piece.choices[0].delta.content or "")

    with pytest.raises(openai.APIError, match="out of memory"):
        await listen()
    assert "".join(heard) == "Hello."


async def test_the_gateway_refuses(openai_sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await openai_sdk.chat.completions.create(model="dumb", messages=HELLO)
    assert (unknown.value.code, unknown.value.type) == ("model_not_found", "invalid_request_error")
    with pytest.raises(openai.BadRequestError) as invalid:
        await openai_sdk.chat.completions.create(model="smart", messages=HELLO, temperature=99)
    assert (invalid.value.code, invalid.value.param) == ("invalid_temperature", "temperature")
    with pytest.raises(openai.AuthenticationError) as stranger:
        await openai_sdk.with_options(api_key="not-a-key").chat.completions.create(model="smart", messages=HELLO)
    assert stranger.value.code == "invalid_api_key"


async def test_the_blocking_client(stage: Stage) -> None:
    stage.set(PROVIDERS[1], Reply("Hello."))

    def chat() -> str:
        with openai.OpenAI(base_url=f"{stage.gateway.url}/v1", api_key=KEY, max_retries=0) as sdk:
            stream = sdk.chat.completions.create(model="smart", messages=HELLO, max_tokens=100, stream=True)
            return "".join(piece.choices[0].delta.content or "" for piece in stream)

    assert await asyncio.to_thread(chat) == "Hello."
