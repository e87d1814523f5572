"""The legacy completions endpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types import Completion

from gateway.chat import (
    Answer,
    ChatRequest,
    Event,
    Failure,
    Finish,
    FinishReason,
    Message,
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
from gateway.errors import BadRequest, UpstreamFailed
from gateway.wire.openai import COMPLETIONS, WIRE
from gateway.wire.protocol import Target


def decode(**fields: Any) -> ChatRequest:
    return COMPLETIONS.decode_request(json.dumps({"model": "smart", "prompt": "Once", **fields}).encode())


def test_it_is_always_translated() -> None:
    assert (COMPLETIONS.name, COMPLETIONS.wire) == ("openai.completions", "")
    COMPLETIONS.check_translatable(decode())
    path, body = WIRE.encode_request(decode(best_of=1, max_tokens=5), Target("m"))
    assert path == "/chat/completions"
    assert json.loads(body) == {"model": "m", "messages": [{"role": "user", "content": "Once"}], "max_tokens": 5}


@pytest.mark.parametrize("prompt", ["Once", ["Once"]])
def test_a_prompt_is_a_users_message(prompt: object) -> None:
    assert decode(prompt=prompt).messages == (Message("user", (Text("Once"),)),)


def test_fields() -> None:
    request = decode(
        stream=True,
        stream_options={"include_usage": True},
        temperature=0.5,
        top_p=0.5,
        max_tokens=5,
        stop="x",
        seed=1,
        presence_penalty=1,
        frequency_penalty=1,
        user="ann",
        n=1,
        echo=False,
        suffix=None,
        logprobs=None,
        best_of=1,
    )
    assert (request.dialect, request.model, request.stream, request.include_usage) == (
        "openai.completions",
        "smart",
        True,
        True,
    )
    assert (request.temperature, request.top_p, request.max_tokens, request.stop, request.seed) == (
        0.5,
        0.5,
        5,
        ("x",),
        1,
    )
    assert bytes(request.fields["prompt"]) == b'"Once"'


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"model": None}, "missing_model", "model"),
        ({"prompt": None}, "invalid_prompt", "prompt"),
        ({"prompt": ""}, "invalid_prompt", "prompt"),
        ({"prompt": []}, "invalid_prompt", "prompt"),
        ({"prompt": 5}, "invalid_prompt", "prompt"),
        ({"prompt": [""]}, "invalid_prompt", "prompt"),
        ({"prompt": ["a", "b"]}, "unsupported", "prompt"),
        ({"prompt": [1, 2, 3]}, "unsupported", "prompt"),
        ({"prompt": [[1, 2, 3]]}, "unsupported", "prompt"),
        ({"suffix": "end"}, "unsupported", "suffix"),
        ({"echo": True}, "unsupported", "echo"),
        ({"logprobs": 5}, "unsupported", "logprobs"),
        ({"best_of": 2}, "unsupported", "best_of"),
        ({"n": 2}, "unsupported", "n"),
        ({"stream": "yes"}, "invalid_stream", "stream"),
        ({"max_tokens": -1}, "invalid_max_tokens", "max_tokens"),
        ({"api_base": "http://evil"}, "forbidden_field", "api_base"),
    ],
)
def test_wrong_fields(fields: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(**fields)
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize(
    ("finish", "expected"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "stop"), ("refusal", "content_filter"), ("pause", "stop")],
)
def test_a_whole_answer(finish: FinishReason, expected: str) -> None:
    answer = Answer(None, None, (Reasoning("hm"), Text("upon a time"), ToolCall("a", "f", "{}")), finish, Usage(3, 2))
    sent = COMPLETIONS.encode_answer(answer, decode(), "smart-model", "req1", 1700000000.9)
    Completion.model_validate_json(sent, strict=True)
    assert json.loads(sent) == {
        "id": "cmpl-req1",
        "object": "text_completion",
        "created": 1700000000,
        "model": "smart-model",
        "choices": [{"index": 0, "text": "upon a time", "logprobs": None, "finish_reason": expected}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


def test_a_refusal_is_text() -> None:
    answer = Answer("c1", "m", (), "stop", Usage(), refusal="No")
    assert json.loads(COMPLETIONS.encode_answer(answer, decode(), "x", "y", 1.0))["choices"][0]["text"] == "No"


def test_a_stream() -> None:
    events: list[Event] = [
        Start("c1", "m"),
        ReasoningDelta("hm"),
        TextDelta("upon"),
        RefusalDelta(" no"),
        ToolCallDelta(0, "a", "f", "{}"),
        UsageReport(Usage(3, 2)),
        Finish("tool_calls"),
    ]
    encoder = COMPLETIONS.encoder(decode(stream_options={"include_usage": True}), "x", "req1", 1.0)
    sent = b"".join(map(encoder.encode, events)) + encoder.close()
    found = [event.removeprefix(b"data: ") for event in sent.split(b"\n\n")]
    assert found[-2:] == [b"[DONE]", b""]
    envelope = {"id": "c1", "object": "text_completion", "created": 1, "model": "m"}
    choice = {"index": 0, "logprobs": None, "finish_reason": None}
    assert [json.loads(data) for data in found[:-2]] == [
        envelope | {"choices": [choice | {"text": "upon"}], "usage": None},
        envelope | {"choices": [choice | {"text": " no"}], "usage": None},
        envelope | {"choices": [choice | {"text": "", "finish_reason": "stop"}], "usage": None},
        envelope | {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
    ]


def test_a_stream_without_a_start() -> None:
    encoder = COMPLETIONS.encoder(decode(), "smart-model", "req1", 1.0)
    first = json.loads(encoder.encode(TextDelta("a")).removeprefix(b"data: "))
    assert (first["id"], first["model"]) == ("cmpl-req1", "smart-model")
    assert encoder.encode(Failure("m")) == encoder.encode(Start("late")) == b""
    assert encoder.error(UpstreamFailed("m")).startswith(b'data: {"error":{"message":"m"')
    assert encoder.close() == b"data: [DONE]\n\n"
