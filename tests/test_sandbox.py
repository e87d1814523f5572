from __future__ import annotations

import asyncio
import base64
import struct
from typing import Any

import httpx
import jsonschema
import msgspec
import openai
import pytest

from gateway.chat import ChatRequest, Message, Text
from gateway.config.model import Candidate, Designator, Model, Provider, Router
from gateway.routing.decide import Ask, Policy
from gateway.sandbox import SandboxTransport

URL = httpx.URL("sandbox://local/v1/chat/completions")
NOTE = "This is the sandbox provider, no model was called."
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer"},
            },
            "required": ["city", "unit"],
        },
    },
}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


async def send(body: Any, *, url: httpx.URL = URL, method: str = "POST", slow: float = 3.0) -> httpx.Response:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    response = await SandboxTransport(slow=slow).handle_async_request(httpx.Request(method, url, content=content))
    await response.aread()
    return response


async def chat(*messages: dict[str, Any] | str, model: str = "coder", **settings: Any) -> dict[str, Any]:
    turns = [user(each) if isinstance(each, str) else each for each in messages]
    response = await send({"model": model, "messages": turns, **settings})
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


async def events(*messages: str, model: str = "coder", **settings: Any) -> list[Any]:
    """A stream's events as JSON, "[DONE]" as it is."""
    turns = [user(each) for each in messages]
    response = await send({"model": model, "messages": turns, "stream": True, **settings})
    assert response.headers["content-type"] == "text/event-stream"
    lines = response.text.split("\n\n")
    assert lines.pop() == ""
    data = [line.removeprefix("data: ") for line in lines]
    return [each if each == "[DONE]" else msgspec.json.decode(each) for each in data]


# --- as a candidate -------------------------------------------------------------------------------------------------


async def test_a_chat_is_echoed_and_the_echo_says_what_it_is() -> None:
    answer = await chat({"role": "system", "content": "You help."}, "Hi, how are you?")
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": f"[sandbox/coder] {NOTE} You asked: Hi, how are you?"},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert answer["model"] == "coder"
    assert answer["usage"] == {"prompt_tokens": 6, "completion_tokens": 16, "total_tokens": 22}


async def test_parts_are_read_and_long_asks_are_cut() -> None:
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    answer = await chat({"role": "user", "content": parts})
    assert answer["choices"][0]["message"]["content"].endswith("You asked: What is this?")
    answer = await chat("word " * 10_000)
    assert len(answer["choices"][0]["message"]["content"]) < 500


async def test_equal_requests_get_equal_bytes() -> None:
    bodies = [{"model": "coder", "messages": [user(ask)]} for ask in ("a", "a", "b")]
    one, same, other = [(await send(body)).content for body in bodies]
    assert one == same != other


@pytest.mark.parametrize("limit", [{"max_tokens": 3}, {"max_completion_tokens": 3}])
async def test_the_answers_length_is_limited(limit: dict[str, Any]) -> None:
    choice = (await chat("Hi", **limit))["choices"][0]
    assert (choice["message"]["content"].split(), choice["finish_reason"]) == (
        ["[sandbox/coder]", "This", "is"],
        "length",
    )
    assert [event["choices"][0]["finish_reason"] for event in (await events("Hi", **limit))[:-1]][-1] == "length"


async def test_a_stream_says_the_same_as_a_whole_answer() -> None:
    whole = await chat("Hi, how are you?")
    *chunks, last, done = await events("Hi, how are you?")
    assert done == "[DONE]"
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert len(chunks) > 10
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    assert text == whole["choices"][0]["message"]["content"]
    assert all("usage" not in chunk for chunk in (*chunks, last))


async def test_a_stream_ends_with_usage_where_that_is_asked_for() -> None:
    whole = await chat("Hi")
    *_, usage, done = await events("Hi", stream_options={"include_usage": True})
    assert done == "[DONE]"
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])


async def test_a_stream_lets_others_work_between_its_chunks() -> None:
    body = msgspec.json.encode({"model": "coder", "messages": [user("Hi")], "stream": True})
    response = await SandboxTransport().handle_async_request(httpx.Request("POST", URL, content=body))
    turns: list[str] = []

    async def other() -> None:
        for _ in range(5):
            turns.append("other")
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async for _ in response.aiter_raw():
        turns.append("chunk")
    await task
    assert turns[:6] == ["chunk", "other", "chunk", "other", "chunk", "other"]


# --- tools and JSON -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "settings", "called"),
    [
        ("Is it warm?", {}, None),
        ("Is it warm?", {"tool_choice": "required"}, "get_weather"),
        ("Is it warm?", {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}}, "get_weather"),
        ("Use get_weather for Paris", {"tool_choice": "auto"}, "get_weather"),
        ("Use get_weather for Paris", {"tool_choice": "none"}, None),
    ],
)
async def test_a_tool_is_called_when_it_must_be_or_is_mentioned(
    ask: str, settings: dict[str, Any], called: str | None
) -> None:
    choice = (await chat(ask, tools=[WEATHER], **settings))["choices"][0]
    if called is None:
        assert choice["finish_reason"] == "stop"
        assert "tool_calls" not in choice["message"]
        return
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert (call["type"], call["function"]["name"]) == ("function", called)
    assert msgspec.json.decode(call["function"]["arguments"]) == {"city": "sandbox", "unit": "celsius"}


async def test_every_tool_that_is_mentioned_is_called() -> None:
    other = {"type": "function", "function": {"name": "get_time"}}
    answer = await chat("Use get_time and get_weather", tools=[WEATHER, other])
    calls = answer["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["get_weather", "get_time"]
    assert len({call["id"] for call in calls}) == 2


async def test_a_streamed_tool_call_adds_up() -> None:
    *chunks, last, _ = await events("Use get_weather", tools=[WEATHER])
    deltas = [each for chunk in chunks for each in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert deltas[0]["id"]
    assert deltas[0]["function"]["name"] == "get_weather"
    arguments = "".join(delta["function"]["arguments"] for delta in deltas)
    assert msgspec.json.decode(arguments) == {"city": "sandbox", "unit": "celsius"}
    assert last["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_tools_result_is_echoed() -> None:
    first = (await chat("Use get_weather", tools=[WEATHER]))["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "18 degrees"}
    choice = (await chat("Use get_weather", first, result, tools=[WEATHER]))["choices"][0]
    assert choice["message"]["content"] == f"[sandbox/coder] {NOTE} The tool answered: 18 degrees"


async def test_json_mode_answers_json() -> None:
    answer = await chat("Say hi", response_format={"type": "json_object"})
    said = msgspec.json.decode(answer["choices"][0]["message"]["content"])
    assert said == {"sandbox": "coder", "note": NOTE, "asked": "Say hi"}


async def test_a_schema_is_honoured() -> None:
    schema = WEATHER["function"]["parameters"]  # type: ignore[index]
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "schema": schema}}
    answer = await chat("Say hi", response_format=wanted)
    jsonschema.validate(msgspec.json.decode(answer["choices"][0]["message"]["content"]), schema)


# --- as a designator ------------------------------------------------------------------------------------------------

SANDBOX = Provider(name="sandbox", wire="openai", base_url="sandbox:")
STRICT = Provider(name="sandbox", wire="openai", base_url="sandbox:", structured="json_schema")


def candidate(name: str, purpose: str) -> Candidate:
    return Candidate(model=Model(id=f"sandbox/{name}", name=name, provider=SANDBOX), purpose=purpose)


TEAM = (
    candidate("coder", "Writing and reviewing code: functions, scripts, bugs, Python, SQL"),
    candidate("writer:8b", "Long texts: essays, letters, translations and summaries"),
    candidate("fast", "Small talk, greetings and quick questions"),
)
TRIO = (
    candidate("coder", "Best for coding and analysis"),
    candidate("chat", "Good all-rounder"),
    candidate("fast", "Fast for simple queries"),
)


@pytest.mark.parametrize("provider", [SANDBOX, STRICT], ids=["plain", "strict"])
@pytest.mark.parametrize(
    ("candidates", "ask", "chosen"),
    [
        (TEAM, "Write a Python function to parse JSON", "sandbox/coder"),
        (TEAM, "Fix the bug in this script", "sandbox/coder"),
        (TEAM, "Hi, how are you?", "sandbox/fast"),
        (TEAM, "Please summarise this letter", "sandbox/writer:8b"),
        (TEAM, "Translate it into Dutch", "sandbox/writer:8b"),
        (TRIO, "Write a Python function to parse JSON", "sandbox/coder"),
        (TRIO, "Analyse our sales", "sandbox/coder"),
        (TRIO, "Hello!", "sandbox/fast"),
        # A tie goes to the first.
        (TEAM, "Qwerty", "sandbox/coder"),
        (TEAM[::-1], "Qwerty", "sandbox/fast"),
        (TEAM[::-1], "", "sandbox/fast"),
    ],
)
async def test_the_candidate_that_shares_most_words_is_named(
    provider: Provider, candidates: tuple[Candidate, ...], ask: str, chosen: str
) -> None:
    model = Model(id="sandbox/designator", name="designator", provider=provider)
    designator = Designator(model=model, timeout=1.0)
    policy = Policy(Router(name="demo", designator=designator, candidates=candidates, fallback=candidates[1]))
    question = policy.decide(ChatRequest("openai", "demo", (Message("user", (Text(ask),)),), {}), None)
    assert isinstance(question, Ask)
    settings: dict[str, Any] = {}
    if question.prompt.response_format is not None:
        wanted = {"name": "choice", "schema": question.prompt.response_format.schema}
        settings["response_format"] = {"type": "json_schema", "json_schema": wanted}
    turns = [{"role": message.role, "content": message.text} for message in question.prompt.messages]
    answer = await chat(*turns, model="designator", **settings)
    decision = policy.settle(question, answer["choices"][0]["message"]["content"])
    assert (decision.candidate.id, decision.reason) == (chosen, "designated")


@pytest.mark.parametrize(
    ("system", "ask"),
    [
        ("You help.", '{"eligible": ["a/b"], "ask": "Hi"}'),
        ("- a/b: code; cost: low", '{"eligible": ["c/d"], "ask": "Hi"}'),
        ("- a/b: code; cost: low", '{"eligible": [], "ask": "Hi"}'),
        ("- a/b: code; cost: low", '{"eligible": ["a/b"]}'),
        ("- a/b: code; cost: low", "Hi"),
    ],
)
async def test_what_only_looks_like_a_designators_prompt_is_echoed(system: str, ask: str) -> None:
    answer = await chat({"role": "system", "content": system}, ask)
    assert answer["choices"][0]["message"]["content"] == f"[sandbox/coder] {NOTE} You asked: {ask}"


# --- faults on demand -----------------------------------------------------------------------------------------------


async def test_the_model_that_is_down() -> None:
    response = await send({"model": "down", "messages": [user("Hi")]})
    assert response.status_code == 503
    assert response.json()["error"]["type"] == "server_error"


@pytest.mark.parametrize("stream", [True, False])
async def test_the_model_that_is_cut_breaks_off_inside_its_answer(stream: bool) -> None:
    body = msgspec.json.encode({"model": "cut", "messages": [user("Hi")], "stream": stream})
    response = await SandboxTransport().handle_async_request(httpx.Request("POST", URL, content=body))
    assert response.status_code == 200
    received: list[bytes] = []

    async def receive() -> None:
        async for piece in response.aiter_raw():
            received.append(piece)

    with pytest.raises(httpx.RemoteProtocolError):
        await receive()
    assert b"[san" in b"".join(received)
    assert b'"stop"' not in b"".join(received)


async def test_the_slow_model_takes_its_time_and_can_be_cancelled() -> None:
    body = {"model": "slow", "messages": [user("Hi")]}
    assert (await send(body, slow=0.0)).status_code == 200
    task = asyncio.create_task(send(body, slow=3600.0))
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"model":"a"}', b'{"model":"a","messages":[5]}', b"\xff"])
async def test_what_is_no_chat_is_refused(body: bytes) -> None:
    response = await send(body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/chat/completions", 405), ("POST", "/v1/models", 405), ("POST", "/v1/images", 404)],
)
async def test_other_paths_and_methods_are_refused(method: str, path: str, status: int) -> None:
    assert (await send(b"", url=httpx.URL(f"sandbox://local{path}"), method=method)).status_code == status


# --- with OpenAI's own client ---------------------------------------------------------------------------------------


async def test_openais_client_reads_it_all() -> None:
    # Typed for its own copy of httpx; what it uses of a client is the same in both.
    http: Any = httpx.AsyncClient(transport=SandboxTransport())
    async with openai.AsyncOpenAI(api_key="none", base_url="http://sandbox.test/v1", http_client=http) as client:
        answer = await client.chat.completions.create(model="coder", messages=[{"role": "user", "content": "Hi"}])
        assert answer.choices[0].message.content == f"[sandbox/coder] {NOTE} You asked: Hi"
        stream = await client.chat.completions.create(
            model="coder", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert text == answer.choices[0].message.content
        assert "coder" in {model.id async for model in client.models.list()}
        # The client asks for base64 and unpacks it.
        vectors = await client.embeddings.create(model="any", input=["one", "two", "one"])
        one, two, again = (each.embedding for each in vectors.data)
        assert one == again != two


async def embed(given: Any, **settings: Any) -> list[Any]:
    url = httpx.URL("sandbox://local/v1/embeddings")
    response = await send({"model": "any", "input": given, **settings}, url=url)
    assert response.status_code == 200
    return [each["embedding"] for each in response.json()["data"]]


async def test_embeddings_are_small_unit_vectors_of_their_text_alone() -> None:
    (one,) = await embed("one")
    assert len(one) == 8
    assert sum(value * value for value in one) == pytest.approx(1)
    assert await embed(["one", "two"]) == [one, *await embed("two")]
    (packed,) = await embed("one", encoding_format="base64")
    assert list(struct.unpack("<8f", base64.b64decode(packed))) == pytest.approx(one)


@pytest.mark.parametrize(("given", "count"), [([1, 2, 3], 1), ([[1, 2], [3]], 2), (["a", "b"], 2), ([], 0)])
async def test_embeddings_of_tokens_and_lists(given: Any, count: int) -> None:
    assert len(await embed(given)) == count


@pytest.mark.parametrize(("asked", "size"), [(1, 1), (256, 256), (0, 8), (-5, 1), (10**9, 1024)])
async def test_the_size_of_embeddings_is_bounded(asked: int, size: int) -> None:
    (vector,) = await embed("one", dimensions=asked)
    assert len(vector) == size
