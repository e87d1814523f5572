"""The legacy completions endpoint: one prompt in, one text out, always over the hub (API reference, "Completions")."""

from __future__ import annotations

from typing import Any

from gateway.chat import Answer, ChatRequest, Message, Text
from gateway.errors import BadRequest
from gateway.wire import body as bodies
from gateway.wire.openai.answer import envelope, text_of
from gateway.wire.openai.request import SHARED, invalid, model_of, read_fields
from gateway.wire.openai.vocabulary import FINISH


def decode_request(body: bytes) -> ChatRequest:
    """See :meth:`gateway.wire.protocol.Dialect.decode_request`. What only a text model can do is ``unsupported``."""
    parsed = bodies.parse(body)
    values = parsed.values
    model = model_of(values)
    _refuse_the_unsayable(values)
    messages = (Message("user", (Text(_prompt(values.get("prompt"))),)),)
    request = ChatRequest("openai.completions", model, messages, parsed.raw, include_usage=False)
    read_fields(request, values, SHARED)
    if request.n > 1:
        raise _unsupported("n", "n must be 1")
    return request


def _prompt(value: Any) -> str:
    if type(value) is list and len(value) == 1 and type(value[0]) is str:
        value = value[0]
    if type(value) is str and value:
        return value
    if type(value) is list and value:
        raise _unsupported("prompt", "prompt must be one string; several prompts and tokens are not supported")
    raise invalid("prompt", "must be a string")


def _refuse_the_unsayable(values: dict[str, Any]) -> None:
    if values.get("suffix"):
        raise _unsupported("suffix", "suffix is not supported")
    if values.get("echo"):
        raise _unsupported("echo", "echo is not supported")
    if values.get("logprobs"):
        raise _unsupported("logprobs", "logprobs are not supported")
    if values.get("best_of") not in (None, 1):
        raise _unsupported("best_of", "best_of must be 1")


def _unsupported(param: str, message: str) -> BadRequest:
    return BadRequest("unsupported", message, param=param)


def encode_answer(answer: Answer, request: ChatRequest, model: str, answer_id: str, created: float) -> bytes:
    """See :meth:`gateway.wire.protocol.Dialect.encode_answer`."""
    finish = "stop" if answer.finish == "tool_calls" else FINISH[answer.finish]
    text = text_of(answer) + (answer.refusal or "")
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    return envelope(answer, choice, "text_completion", answer.id or f"cmpl-{answer_id}", model, created)
