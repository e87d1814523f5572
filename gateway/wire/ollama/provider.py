"""Requests to an Ollama server: forwarded as they came, or built from the hub for ``/api/chat``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.chat import (
    Audio,
    ChatRequest,
    Document,
    Effort,
    Image,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from gateway.errors import BadRequest
from gateway.wire.forward import forward
from gateway.wire.ollama.settings import THINK_LEVELS
from gateway.wire.protocol import Target

CHAT_PATH = "/api/chat"
GENERATE_PATH = "/api/generate"

_PATHS = {"ollama": CHAT_PATH, "ollama.generate": GENERATE_PATH}

#: Levels of effort that other protocols know, as Ollama's own OpenAI endpoint reads them (openai/openai.go).
_LEVELS = {"minimal": "low", "xhigh": "max", "ultra": "max"}

_encode = msgspec.json.encode


def encode_request(request: ChatRequest, target: Target) -> tuple[str, bytes]:
    """Path and body of ``request`` for ``target.model``.

    A request of Ollama's own dialects keeps every field, byte for byte. Of the others' wishes, those that only tune
    (``user``, parallel calls, a required tool call) are dropped, as Ollama's own OpenAI endpoint drops them; a named
    tool is the only one offered. ``num_ctx`` stays the server's choice. Raises BadRequest unsupported for several
    answers, pictures by URL and files that hold no text.
    """
    path = _PATHS.get(request.dialect)
    if path is not None:
        return path, forward(request.fields, target.model)
    if request.n > 1:
        raise BadRequest("unsupported", "Ollama gives one answer; n must be 1", param="n")
    body: dict[str, Any] = {
        "model": target.model,
        "messages": _messages(request.messages),
        "stream": request.stream,
    }
    if tools := _tools(request):
        body["tools"] = tools
    if request.response_format is not None:
        body["format"] = _format(request.response_format)
    if options := _options(request):
        body["options"] = options
    if request.effort is not None and (think := _think(request.effort)) is not None:
        body["think"] = think
    return CHAT_PATH, _encode(body)


# --- messages ---------------------------------------------------------------------------------------------------------


def _messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    encoded: list[dict[str, Any]] = []
    #: Names of the tools that were called, by call id: Ollama's templates want the name beside a result.
    names: dict[str, str] = {}
    for message in messages:
        parts = message.parts
        if len(parts) == 1 and type(parts[0]) is Text:
            encoded.append({"role": message.role, "content": parts[0].text})
        else:
            encoded.extend(_message(message, names))
    return encoded


def _message(message: Message, names: dict[str, str]) -> Iterable[dict[str, Any]]:
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    names.update((call.id, call.name) for call in calls)
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    for result in results:
        answer = _content("tool", result.parts)
        if name := result.name or names.get(result.id):
            answer["tool_name"] = name
        if result.id:
            answer["tool_call_id"] = result.id
        yield answer
    if results and len(results) == len(message.parts):
        return
    turn = _content(message.role, message.parts)
    thinking = "\n".join(part.text for part in message.parts if isinstance(part, Reasoning) and part.text)
    if thinking:
        turn["thinking"] = thinking
    if calls:
        turn["tool_calls"] = [tool_call(position, call) for position, call in enumerate(calls)]
    yield turn


def _content(role: str, parts: Iterable[Part]) -> dict[str, Any]:
    texts: list[str] = []
    files: list[str] = []
    for part in parts:
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, Image):
            files.append(_image(part))
        elif isinstance(part, Audio):
            files.append(part.data)
        elif isinstance(part, Document):
            if part.text is None:
                raise BadRequest("unsupported", "Ollama takes no files but pictures; send a document's text instead")
            texts.append(part.text if part.name is None else f"{part.name}:\n{part.text}")
    # What a model wrote follows without a seam, in however many parts another wire keeps it.
    content: dict[str, Any] = {"role": role, "content": ("" if role == "assistant" else "\n").join(texts)}
    if files:
        content["images"] = files
    return content


def _image(image: Image) -> str:
    if image.data is None:
        # A URL would have to be fetched here, which would let a client reach into the gateway's own network.
        raise BadRequest("unsupported", "Ollama takes inline pictures only: send base64 data instead of a URL")
    return image.data


def tool_call(position: int, call: ToolCall) -> dict[str, Any]:
    """One call as a message carries it. Arguments that are no JSON object become an empty one."""
    function = {"index": position, "name": call.name, "arguments": arguments_object(call.arguments)}
    return {"id": call.id, "function": function} if call.id else {"function": function}


def arguments_object(text: str) -> msgspec.Raw:
    """JSON text as a JSON object on one line, numbers as they were written; ``{}`` for anything but an object."""
    if text and text != "{}":
        try:
            compact = msgspec.json.format(text, indent=-1)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return _NO_ARGUMENTS
        if compact.startswith("{"):
            return msgspec.Raw(compact)
    return _NO_ARGUMENTS


_NO_ARGUMENTS = msgspec.Raw("{}")


# --- settings ---------------------------------------------------------------------------------------------------------


def _tools(request: ChatRequest) -> list[dict[str, Any]]:
    choice = request.tool_choice
    if choice is None or choice.mode in ("auto", "required"):
        return [_tool(tool) for tool in request.tools]
    return [_tool(tool) for tool in request.tools if choice.mode == "named" and tool.name == choice.name]


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = {"type": "object", "properties": {}} if tool.parameters is None else tool.parameters
    return {"type": "function", "function": function}


def _format(wanted: ResponseFormat) -> str | dict[str, Any]:
    return "json" if wanted.schema is None else wanted.schema


def _options(request: ChatRequest) -> dict[str, Any]:
    options = {
        "num_predict": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "seed": request.seed,
        "presence_penalty": request.presence_penalty,
        "frequency_penalty": request.frequency_penalty,
        "stop": request.stop or None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _think(effort: Effort) -> bool | str | None:
    """None leaves it to the server: a model that can think does, and one that cannot refuses to be told to."""
    if not effort.enabled or effort.level == "none":
        return False
    level = _LEVELS.get(effort.level or "", effort.level)
    return level if level in THINK_LEVELS else None
