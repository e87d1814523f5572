"""Anthropic's official Python SDK against a real gateway, whichever wire the chosen candidate speaks."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import pytest
from anthropic.types import MessageParam
from pydantic import BaseModel

from tests.faultserver import answer, chunk, end, head
from tests.matrix.providers import PROVIDERS, Provider
from tests.matrix.said import Assistant, Call, Reply, Result, Tool, User
from tests.matrix.stage import KEY, PIXEL, Stage

pytestmark = pytest.mark.asyncio(loop_scope="package")

HELLO: list[MessageParam] = [{"role": "user", "content": "Hello"}]
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CLOCK: Any = {"name": "clock", "description": "Tells the time", "input_schema": SCHEMA}
PARIS = Call("call_1", "clock", {"city": "Paris"})

each_provider = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.wire)


class Person(BaseModel):
    name: str
    age: int


@each_provider
async def test_a_whole_answer(stage: Stage, anthropic_sdk: anthropic.AsyncAnthropic, provider: Provider) -> None:
    stage.set(provider, Reply("Grüß dich \u2028 🙂", thinking="Who is it?"))
    raw = await anthropic_sdk.messages.with_raw_response.create(model="smart", messages=HELLO, max_tokens=100)
    stage.check_decision(raw.headers)
    message = await raw.parse()
    assert [block.type for block in message.content] == ["thinking", "text"]
    thought, text = message.content
    assert thought.type == "thinking"
    assert text.type == "text"
    assert (thought.thinking, text.text) == ("Who is it?", "Grüß dich \u2028 🙂")
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("end_turn", 7, 5)
    assert stage.asked.turns == (User("Hello"),)
    assert stage.asked.max_tokens == 100


@each_provider
async def test_the_stream_helper(stage: Stage, anthropic_sdk: anthropic.AsyncAnthropic, provider: Provider) -> None:
    stage.set(provider, Reply("Grüß dich \u2028 🙂", thinking="Who is it?"))
    async with anthropic_sdk.messages.stream(model="smart", messages=HELLO, max_tokens=100) as stream:
        heard = "".join([text async for text in stream.text_stream])
        message = await stream.get_final_message()
        stage.check_decision(stream.response.headers)
    assert heard == "Grüß dich \u2028 🙂"
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == 5


@each_provider
async def test_a_plain_stream(stage: Stage, anthropic_sdk: anthropic.AsyncAnthropic, provider: Provider) -> None:
    stage.set(provider, Reply("1 2 3", stop="length"))
    stream = await anthropic_sdk.messages.create(model="smart", messages=HELLO, max_tokens=3, stream=True)
    events = [event async for event in stream]
    assert (events[0].type, events[-1].type) == ("message_start", "message_stop")
    (delta,) = (event for event in events if event.type == "message_delta")
    assert (delta.delta.stop_reason, delta.usage.output_tokens) == ("max_tokens", 5)


@each_provider
async def test_the_stream_helper_gathers_tool_calls(
    stage: Stage, anthropic_sdk: anthropic.AsyncAnthropic, provider: Provider
) -> None:
    stage.set(provider, Reply("I look.", calls=(PARIS, Call("call_2", "clock", {"city": "Oslo"})), stop="tools"))
    async with anthropic_sdk.messages.stream(model="smart", messages=HELLO, max_tokens=100, tools=[CLOCK]) as stream:
        message = await stream.get_final_message()
    uses = [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
    assert uses == [("call_1", "clock", {"city": "Paris"}), ("call_2", "clock", {"city": "Oslo"})]
    assert message.stop_reason == "tool_use"
    assert stage.asked.tools == (Tool("clock", "Tells the time", SCHEMA),)


@each_provider
async def test_a_tool_and_its_result(stage: Stage, anthropic_sdk: anthropic.AsyncAnthropic, provider: Provider) -> None:
    stage.set(provider, Reply("I look.", thinking="A tool?", calls=(PARIS,), stop="tools"))
    first = await anthropic_sdk.messages.create(model="smart", messages=HELLO, max_tokens=100, tools=[CLOCK])
    use = first.content[-1]
    assert use.type == "tool_use"
    stage.set(provider, Reply("Noon."))
    raw = await anthropic_sdk.messages.with_raw_response.create(
        model="smart",
        messages=[
            *HELLO,
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "noon"}]},
        ],
        max_tokens=100,
        tools=[CLOCK],
    )
    assert raw.headers["x-llm-relay-decision"] == "tool_loop"
    second = await raw.parse()
    assert [block.text for block in second.content if block.type == "text"] == ["Noon."]
    asked = Assistant("I look.", (Call("call 0", "clock", {"city": "Paris"}),))
    assert stage.asked.turns == (User("Hello"), asked, Result("call 0", "clock", "noon"))


@each_provider
async def test_a_picture_and_a_system_prompt(
    stage: Stage, anthropic_sdk: anthropic.AsyncAnthropic, provider: Provider
) -> None:
    stage.set(provider)
    await anthropic_sdk.messages.create(
        model="smart",
        max_tokens=100,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        stop_sequences=["END"],
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                ],
            }
        ],
    )
    assert (stage.asked.system, stage.asked.stop) == ("Be brief.", ("END",))
    assert stage.asked.turns == (User("What is it?", (PIXEL,)),)


@each_provider
async def test_a_structured_answer(stage: Stage, anthropic_sdk: anthropic.AsyncAnthropic, provider: Provider) -> None:
    stage.set(provider, Reply('{"name": "Ada", "age": 36}'))
    message = await anthropic_sdk.messages.parse(model="smart", messages=HELLO, max_tokens=100, output_format=Person)
    assert message.parsed_output == Person(name="Ada", age=36)
    wanted = {
        "openai": lambda body: body["response_format"]["json_schema"]["schema"],
        "anthropic": lambda body: body["output_config"]["format"]["schema"],
        "ollama": lambda body: body["format"],
    }
    assert set(wanted[provider.wire](stage.body)["properties"]) == {"name", "age"}


@each_provider
async def test_the_beta_api(stage: Stage, anthropic_sdk: anthropic.AsyncAnthropic, provider: Provider) -> None:
    stage.set(provider, Reply("Hello."))
    message = await anthropic_sdk.beta.messages.create(
        model="smart", messages=[{"role": "user", "content": "Hello"}], max_tokens=100, betas=["context-1m-2025-08-07"]
    )
    assert [block.text for block in message.content if block.type == "text"] == ["Hello."]
    sent = stage.company.requests[-1].headers.get("anthropic-beta")
    assert sent == ("context-1m-2025-08-07" if provider.wire == "anthropic" else None)


async def test_tokens_are_counted(stage: Stage, anthropic_sdk: anthropic.AsyncAnthropic) -> None:
    long: list[MessageParam] = [{"role": "user", "content": "word " * 400}]
    # Only an estimate, where the model's provider cannot say.
    assert 300 < (await anthropic_sdk.messages.count_tokens(model="smart", messages=long)).input_tokens < 700
    stage.set(PROVIDERS[1], None, answer('{"input_tokens": 401}'))
    exact = await anthropic_sdk.messages.count_tokens(model="my-anthropic/m", messages=long)
    assert exact.input_tokens == 401
    assert stage.company.requests[-1].target == "/anthropic/v1/messages/count_tokens"


async def test_models(anthropic_sdk: anthropic.AsyncAnthropic) -> None:
    listed = [model.id async for model in anthropic_sdk.models.list()]
    assert listed[0] == "smart"
    assert {"my-openai/m", "my-anthropic/m", "my-ollama/m"} <= set(listed)
    smart = await anthropic_sdk.models.retrieve("smart")
    assert (smart.id, smart.type, smart.display_name) == ("smart", "model", "smart")
    with pytest.raises(anthropic.NotFoundError):
        await anthropic_sdk.models.retrieve("dumb")


# --- errors -----------------------------------------------------------------------------------------------------------


@each_provider
async def test_the_provider_refuses_the_request(
    stage: Stage, anthropic_sdk: anthropic.AsyncAnthropic, provider: Provider
) -> None:
    stage.set(provider, None, answer(provider.error("the picture is broken", "invalid_request_error"), 400))
    for stream in (False, True):
        with pytest.raises(anthropic.BadRequestError) as caught:
            await anthropic_sdk.messages.create(model="smart", messages=HELLO, max_tokens=100, stream=stream)
        assert (caught.value.type, caught.value.api_message) == ("invalid_request_error", "the picture is broken")
        stage.check_decision(caught.value.response.headers)


@each_provider
async def test_the_provider_limits_the_rate(
    stage: Stage, anthropic_sdk: anthropic.AsyncAnthropic, provider: Provider
) -> None:
    stage.set(provider, None, answer(provider.error("come again later", "rate_limit_error"), 429))
    with pytest.raises(anthropic.RateLimitError) as caught:
        await anthropic_sdk.messages.create(model=f"my-{provider.wire}/m", messages=HELLO, max_tokens=100)
    assert (caught.value.type, caught.value.api_message) == ("rate_limit_error", "come again later")


@each_provider
async def test_the_provider_is_overloaded(
    stage: Stage, anthropic_sdk: anthropic.AsyncAnthropic, provider: Provider
) -> None:
    stage.set(provider, None, answer(provider.error("too many people", "overloaded_error"), 503))
    with pytest.raises(anthropic.OverloadedError) as caught:
        await anthropic_sdk.messages.create(model=f"my-{provider.wire}/m", messages=HELLO, max_tokens=100)
    assert caught.value.type == "overloaded_error"


@each_provider
async def test_the_stream_breaks_off(stage: Stage, anthropic_sdk: anthropic.AsyncAnthropic, provider: Provider) -> None:
    broken = provider.begun(Reply("Hello.")) + provider.failure("out of memory")
    stage.set(provider, None, head(provider.stream_type), chunk(broken), end())
    heard = []

    async def listen() -> None:
        async with anthropic_sdk.messages.stream(model="smart", messages=HELLO, max_tokens=100) as stream:
            async for text in stream.text_stream:
                heard.append(text)

    with pytest.raises(anthropic.APIStatusError) as caught:
        await listen()
    assert "".join(heard) == "Hello."
    assert caught.value.type == "api_error"
    assert "out of memory" in str(caught.value.api_message)


async def test_the_gateway_refuses(anthropic_sdk: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        await anthropic_sdk.messages.create(model="dumb", messages=HELLO, max_tokens=100)
    assert unknown.value.type == "not_found_error"
    with pytest.raises(anthropic.BadRequestError) as invalid:
        await anthropic_sdk.messages.create(model="smart", messages=[], max_tokens=100)
    assert invalid.value.type == "invalid_request_error"
    assert invalid.value.response.headers["x-llm-relay-error"] == "invalid_messages"
    with pytest.raises(anthropic.AuthenticationError):
        await anthropic_sdk.with_options(api_key="not-a-key").messages.create(
            model="smart", messages=HELLO, max_tokens=100
        )


async def test_the_key_as_a_bearer_token(stage: Stage) -> None:
    stage.set(PROVIDERS[0])
    async with anthropic.AsyncAnthropic(base_url=stage.gateway.url, auth_token=KEY, max_retries=0) as sdk:
        message = await sdk.messages.create(model="smart", messages=HELLO, max_tokens=100)
    assert message.stop_reason == "end_turn"


async def test_the_blocking_client(stage: Stage) -> None:
    stage.set(PROVIDERS[0], Reply("Hello."))

    def chat() -> str:
        with (
            anthropic.Anthropic(base_url=stage.gateway.url, api_key=KEY, max_retries=0) as sdk,
            sdk.messages.stream(model="smart", messages=HELLO, max_tokens=100) as stream,
        ):
            return stream.get_final_text()

    assert await asyncio.to_thread(chat) == "Hello."
