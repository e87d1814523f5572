"""Whole answers (API reference, "The chat completion object")."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.chat import Answer, ChatRequest, Reasoning, Text, ToolCall
from gateway.errors import UpstreamFailed, UpstreamInvalidResponse
from gateway.wire.openai import told
from gateway.wire.openai.calls import EVERY_CALLS_ID, whole_call
from gateway.wire.openai.chunks import Completion, Delta, WholeChoice, failed, finish_reason, legacy_call, usage_of
from gateway.wire.openai.content import said, thoughts
from gateway.wire.openai.vocabulary import FINISH, call_id, speaks_of_functions, usage_object
from gateway.wire.protocol import Progress
from gateway.wire.text import lenient

_completion = msgspec.json.Decoder(Completion).decode
_anything = msgspec.json.Decoder().decode
_json = msgspec.json.Encoder().encode


# --- from providers ---------------------------------------------------------------------------------------------------


def decode_answer(body: bytes) -> Answer:
    """See :meth:`gateway.wire.protocol.Wire.decode_answer`."""
    completion, choice, message = _read(body)
    calls = [
        msgspec.structs.replace(call, id="") if call.id == EVERY_CALLS_ID else call
        for value in _calls(message)
        if (call := whole_call(value)) is not None
    ]
    thinking = thoughts(message)
    refusal = message.refusal
    return Answer(
        id=_word(completion.id),
        model=_word(completion.model),
        parts=(*thinking, *said(message.content), *calls),
        finish=finish_reason(_reason(choice), called=bool(calls)),
        usage=usage_of(completion.usage),
        refusal=refusal if type(refusal) is str and refusal else None,
    )


def watch_answer(body: bytes) -> Progress:
    """See :meth:`gateway.wire.protocol.Wire.watch_answer`."""
    completion, choice, message = _read(body)
    call = message.first_call_id()
    return Progress(
        content=message.says_something(),
        complete=True,
        finish=finish_reason(_reason(choice), called=call is not None),
        usage=usage_of(completion.usage),
        model=_word(completion.model),
        tool_call_id=call,
    )


def _read(body: bytes) -> tuple[Completion, WholeChoice, Delta]:
    """A whole answer, its first choice and that one's message."""
    try:
        completion = lenient(_completion, body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        completion = Completion()
    choice = completion.choices[0] if completion.choices else None
    error = completion.error or (choice and choice.error)
    if not error and choice is not None:
        if failed(choice.finish_reason):
            error = f"the provider broke off with finish reason {choice.finish_reason}"
        elif choice.message is not None:
            return completion, choice, choice.message
    failure = told.failure(error) if error else _failure(body)
    raise UpstreamFailed(failure.message)


def _failure(body: bytes) -> Any:
    """The error that a body is which is no answer. Raises UpstreamInvalidResponse where it is none either."""
    try:
        value = _anything(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamInvalidResponse("the provider's answer is not JSON") from error
    if not told.is_error(value):
        raise UpstreamInvalidResponse("the provider's answer is not a chat completion")
    return told.failure(value)


def _calls(message: Delta) -> list[Any]:
    if calls := message.calls():
        return calls
    call = legacy_call(message)
    return [] if call is None else [call]


def _reason(choice: WholeChoice) -> Any:
    details = choice.finish_details
    return choice.finish_reason or (details.get("type") if type(details) is dict else None)


def _word(value: Any) -> str | None:
    return value if type(value) is str and value else None


# --- to clients -------------------------------------------------------------------------------------------------------


def encode_answer(answer: Answer, request: ChatRequest, model: str, answer_id: str, created: float) -> bytes:
    """See :meth:`gateway.wire.protocol.Dialect.encode_answer`."""
    message: dict[str, Any] = {"role": "assistant", "content": text_of(answer), "refusal": answer.refusal}
    calls = [part for part in answer.parts if type(part) is ToolCall]
    if not message["content"] and (calls or answer.refusal):
        message["content"] = None
    if thinking := "".join(part.text for part in answer.parts if type(part) is Reasoning):
        message["reasoning_content"] = thinking
    finish = "stop" if answer.refusal and answer.finish == "refusal" else FINISH[answer.finish]
    if calls and speaks_of_functions(request):
        message["function_call"] = {"name": calls[0].name, "arguments": calls[0].arguments or "{}"}
        finish = "function_call" if answer.finish == "tool_calls" else finish
    elif calls:
        message["tool_calls"] = [
            {
                "id": call.id or call_id(answer_id, index),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments or "{}"},
            }
            for index, call in enumerate(calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return envelope(answer, choice, "chat.completion", answer.id or f"chatcmpl-{answer_id}", model, created)


def text_of(answer: Answer) -> str:
    """An answer's text; its parts follow each other without a seam, as they were generated."""
    return "".join(part.text for part in answer.parts if type(part) is Text)


def envelope(answer: Answer, choice: dict[str, Any], kind: str, answer_id: str, model: str, created: float) -> bytes:
    """The object around an answer's one choice."""
    body = {
        "id": answer_id,
        "object": kind,
        "created": int(created),
        "model": answer.model or model,
        "choices": [choice],
    }
    usage = usage_object(answer.usage)
    return _json(body if usage is None else {**body, "usage": usage})
