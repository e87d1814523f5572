"""OpenAI's wire as far as the sandbox needs it: requests read, answers written."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

#: ``created`` of every answer: 2026-01-01T00:00:00Z, so that answers stay the same.
CREATED = 1_767_225_600


class Part(msgspec.Struct):
    """One part of a message; parts other than text count as empty."""

    text: str = ""


class Message(msgspec.Struct):
    """One turn."""

    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        """The plain text."""
        content = self.content
        if isinstance(content, list):
            return "\n".join(part.text for part in content if part.text)
        return content or ""


class Function(msgspec.Struct):
    """A declared or named function; ``parameters`` is a JSON Schema."""

    name: str
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct):
    """A tool, declared or chosen by name."""

    function: Function


class JsonSchema(msgspec.Struct):
    """What a structured answer must look like."""

    schema: dict[str, Any] | None = None


class Format(msgspec.Struct):
    """``text``, ``json_object`` or ``json_schema``."""

    type: str
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct):
    """Whether a stream ends with a chunk of usage."""

    include_usage: bool | None = None


class Chat(msgspec.Struct):
    """A chat completion request."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Tool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    response_format: Format | None = None


class Embeddings(msgspec.Struct):
    """An embeddings request: one text, several, or the same as token numbers."""

    model: str
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None


class Call(msgspec.Struct):
    """A tool call; ``arguments`` is JSON text."""

    id: str
    name: str
    arguments: str


class Usage(msgspec.Struct):
    """Tokens: words."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Reply(msgspec.Struct):
    """An answer; every piece of ``text`` is one token and, in a stream, one chunk."""

    id: str
    model: str
    text: list[str]
    calls: list[Call]
    finish: Literal["stop", "length", "tool_calls"]
    usage: Usage


decode_chat = msgspec.json.Decoder(Chat).decode
decode_embeddings = msgspec.json.Decoder(Embeddings).decode
encode = msgspec.json.Encoder().encode


def whole(reply: Reply) -> bytes:
    """The answer as one ``chat.completion``."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(reply.text) or None}
    if reply.calls:
        message["tool_calls"] = [_call(call) for call in reply.calls]
    return encode(
        {
            "id": reply.id,
            "object": "chat.completion",
            "created": CREATED,
            "model": reply.model,
            "system_fingerprint": "sandbox",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}],
            "usage": reply.usage,
        }
    )


def chunks(reply: Reply, *, usage: bool) -> list[bytes]:
    """The answer as server-sent ``chat.completion.chunk`` events, the terminator last."""
    head = b'data: {"id":%b,"model":%b,"created":%d,' % (encode(reply.id), encode(reply.model), CREATED)
    head += b'"object":"chat.completion.chunk","system_fingerprint":"sandbox","choices":['
    before, after = head + b'{"index":0,"delta":', b',"finish_reason":null}]}\n\n'
    events = [before + b'{"role":"assistant","content":""}' + after]
    events += [before + b'{"content":' + encode(piece) + b"}" + after for piece in reply.text]
    for index, call in enumerate(reply.calls):
        opened = {**_call(call), "index": index, "function": {"name": call.name, "arguments": ""}}
        rest = {"index": index, "function": {"arguments": call.arguments}}
        events += [before + encode({"tool_calls": [delta]}) + after for delta in (opened, rest)]
    events.append(before + b'{},"finish_reason":%b}]}\n\n' % encode(reply.finish))
    if usage:
        events.append(head + b'],"usage":%b}\n\n' % encode(reply.usage))
    events.append(b"data: [DONE]\n\n")
    return events


def error(status: int, message: str) -> bytes:
    """An error in OpenAI's shape."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return encode({"error": {"message": message, "type": kind, "param": None, "code": None}})


def _call(call: Call) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
