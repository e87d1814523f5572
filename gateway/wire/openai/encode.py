"""A request to a provider of this wire: a client's own fields passed on, or the hub's put into its words."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.chat import Audio, ChatRequest, Document, Image, Message, Part, Reasoning, Text, ToolCall, ToolResult
from gateway.errors import BadRequest
from gateway.wire.forward import forward
from gateway.wire.openai.models import Manners, manners
from gateway.wire.openai.schemas import may_be_strict, with_properties
from gateway.wire.protocol import Target

PATH = "/chat/completions"

_json = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_USAGE = msgspec.Raw(b'{"include_usage":true}')

# Models that take reasoning_effort, with the level that is the nearest to none; anywhere else the field is an error.
_EFFORT = (
    ("gpt-5-codex", "low"),
    ("gpt-5.", "none"),
    ("gpt-5", "minimal"),
    ("o1", "low"),
    ("o3", "low"),
    ("o4", "low"),
    ("gpt-oss", "low"),
    ("openai/gpt-oss", "low"),
    ("gemini-2.5-flash", "none"),
    ("gemini-2.5", "low"),
    ("gemini-3", "low"),
)
_LEVELS = {"none": None, "minimal": "low", "xhigh": "high", "max": "high"}

_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")

# What does not change an answer, and who refuses unknown fields may refuse.
_DISPENSABLE = ("seed", "user", "store", "service_tier", "safety_identifier", "prompt_cache_key")

_JSON_RULE = "Answer with a JSON object."
#: OpenAI refuses a longer ``user``.
_MAX_USER = 64


def encode_request(request: ChatRequest, target: Target) -> tuple[str, bytes]:
    """See :meth:`gateway.wire.protocol.Wire.encode_request`."""
    return PATH, _same(request, target) if request.dialect == "openai" else _json(_translated(request, target))


# --- the same wire ----------------------------------------------------------------------------------------------------


def _same(request: ChatRequest, target: Target) -> bytes:
    """The client's own fields; beside the model only what the provider must see otherwise differs."""
    fields = request.fields.copy()
    ways = manners(target.model)
    if ways.new_limit and "max_tokens" in fields:
        fields.setdefault("max_completion_tokens", fields.pop("max_tokens"))
    if not ways.samples:
        for name in _SAMPLING:
            fields.pop(name, None)
    if not target.stream_usage:
        for name in _DISPENSABLE:
            fields.pop(name, None)
        if "max_completion_tokens" in fields:
            fields["max_tokens"] = fields.pop("max_completion_tokens")
    if (messages := _reworded(request, ways)) is not None:
        fields["messages"] = messages
    if request.stream and target.stream_usage:
        fields["stream_options"] = _with_usage(fields.get("stream_options"))
    elif request.stream:
        fields.pop("stream_options", None)
    return forward(fields, target.model)


def _reworded(request: ChatRequest, ways: Manners) -> msgspec.Raw | None:
    """The client's messages as the model takes them; None where it takes them as they are."""
    raw = request.fields["messages"]
    text = bytes(raw)
    developed = not ways.developers and b'"developer"' in text
    thinking = ways.thoughtless and b'"reasoning_content"' in text
    tooled = (ways.mistral or ways.signed) and any(message.role == "tool" for message in request.messages)
    if not (developed or thinking or tooled):
        return None
    messages = _decode(raw)
    for message in messages:
        if developed and message["role"] == "developer":
            message["role"] = "system"
        if thinking and message.pop("reasoning_content", None) is not None and not message.get("tool_calls"):
            # A turn must still say something, be it nothing.
            message["content"] = message.get("content") or ""
    return msgspec.Raw(_json(ways.converse(messages) if tooled else messages))


def _with_usage(raw: msgspec.Raw | None) -> msgspec.Raw:
    """A client's stream options, with the usage that the gateway's own account needs."""
    options = None if raw is None else _decode(raw)
    if raw is None or not options:
        return _USAGE
    return raw if options.get("include_usage") else msgspec.Raw(_json({**options, "include_usage": True}))


# --- from the hub -----------------------------------------------------------------------------------------------------


def _translated(request: ChatRequest, target: Target) -> dict[str, Any]:
    if request.n > 1:
        raise BadRequest("unsupported", "n must be 1 here", param="n")
    model = target.model
    reasons = manners(model).new_limit
    body: dict[str, Any] = {"model": model, "messages": _messages(request.messages, model)}
    if request.stream:
        body["stream"] = True
        if target.stream_usage:
            body["stream_options"] = {"include_usage": True}
    if request.max_tokens is not None:
        # Clients of other wires must name a limit and name a large one.
        limit = request.max_tokens if target.max_output is None else min(request.max_tokens, target.max_output)
        body["max_completion_tokens" if reasons else "max_tokens"] = limit
    if not reasons:
        for name in _SAMPLING:
            if (value := getattr(request, name)) is not None:
                body[name] = value
    if request.stop:
        body["stop"] = list(request.stop)
    if target.stream_usage:
        # Who refuses one unknown field refuses these too.
        if request.seed is not None:
            body["seed"] = request.seed
        if request.user is not None and len(request.user) <= _MAX_USER:
            body["user"] = request.user
    if request.tools:
        _put_tools(body, request)
    if request.response_format is not None:
        body["response_format"] = wanted = _response_format(request)
        if wanted["type"] == "json_object" and not any("json" in it.text.lower() for it in request.messages):
            _ask_for_json(body["messages"])
    if (effort := _effort(request, model)) is not None:
        body["reasoning_effort"] = effort
    return body


def _put_tools(body: dict[str, Any], request: ChatRequest) -> None:
    tools = []
    for tool in request.tools:
        function: dict[str, Any] = {"name": tool.name}
        if tool.description is not None:
            function["description"] = tool.description
        function["parameters"] = with_properties(tool.parameters)
        # Anthropic's strict tools may have optional parameters, which OpenAI refuses in strict ones.
        if tool.strict is not None and may_be_strict(function["parameters"]):
            function["strict"] = tool.strict
        tools.append({"type": "function", "function": function})
    body["tools"] = tools
    choice = request.tool_choice
    if choice is not None:
        named = {"type": "function", "function": {"name": choice.name}}
        body["tool_choice"] = named if choice.mode == "named" else choice.mode
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls


def _ask_for_json(messages: list[dict[str, Any]]) -> None:
    """OpenAI and others refuse JSON mode where no message speaks of JSON; Ollama's clients need not."""
    first = messages[0]
    if first["role"] == "system":
        first["content"] = f"{first['content']}\n\n{_JSON_RULE}".lstrip()
    else:
        messages.insert(0, {"role": "system", "content": _JSON_RULE})


def _response_format(request: ChatRequest) -> dict[str, Any]:
    wanted = request.response_format
    if wanted is None or wanted.mode == "json" or wanted.schema is None:
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": wanted.name or "answer", "schema": wanted.schema}
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": schema}


def _effort(request: ChatRequest, model: str) -> str | None:
    effort = request.effort
    if effort is None or "-chat" in model:
        return None
    lowest = next((level for prefix, level in _EFFORT if model.startswith(prefix)), None)
    if lowest is None:
        return None
    if not effort.enabled:
        return lowest
    if effort.level is not None:
        return _LEVELS.get(effort.level, effort.level)
    if effort.budget is None:
        return None
    # Google's table of equivalents ("OpenAI compatibility", "Thinking"): 1,024, 8,192 and 24,576 tokens.
    return "low" if effort.budget < 4096 else "medium" if effort.budget < 16384 else "high"


# --- messages ---------------------------------------------------------------------------------------------------------


def _messages(messages: tuple[Message, ...], model: str) -> list[dict[str, Any]]:
    ways = manners(model)
    written: list[dict[str, Any]] = []
    ids = _Ids()
    #: What tools returned beside text: this wire takes it only from the user, after all of a turn's results.
    shown: list[Part] = []
    for message in messages:
        if message.role == "tool":
            for part in message.parts:
                if type(part) is ToolResult:
                    text = "\n".join(piece.text for piece in part.parts if type(piece) is Text)
                    written.append({"role": "tool", "tool_call_id": ids.answered(part), "content": text})
                    shown.extend(piece for piece in part.parts if type(piece) is not Text)
            continue
        if shown:
            written.append(_user(tuple(shown)))
            shown.clear()
        if message.role == "system":
            written.append({"role": "system", "content": message.text})
        elif message.role == "user":
            written.append(_user(message.parts))
        else:
            written.append(_assistant(message, ids, ways.replays))
    if shown:
        written.append(_user(tuple(shown)))
    return ways.converse(written)


def _user(parts: tuple[Part, ...]) -> dict[str, Any]:
    if all(type(part) is Text for part in parts):
        # Not every provider of this wire takes a list of parts.
        return {"role": "user", "content": Message("user", parts).text}
    return {"role": "user", "content": [_part(part) for part in parts]}


def _assistant(message: Message, ids: _Ids, replays: bool) -> dict[str, Any]:
    calls = [part for part in message.parts if type(part) is ToolCall]
    # What a model wrote follows without a seam, in however many parts another wire keeps it.
    text = "".join(part.text for part in message.parts if type(part) is Text)
    written: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
    thoughts = [part.text for part in message.parts if type(part) is Reasoning and part.text]
    if replays and thoughts:
        written["reasoning_content"] = "\n".join(thoughts)
    if calls:
        written["tool_calls"] = [
            {
                "id": ids.called(call),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments or "{}"},
            }
            for call in calls
        ]
    return written


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            image = {"url": part.url or f"data:{part.media_type};base64,{part.data}"}
            if part.detail is not None:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        case Document(text=str(text)):
            return {"type": "text", "text": text if part.name is None else f"{part.name}:\n{text}"}
        case Document(data=str(data)):
            media_type = part.media_type or "application/pdf"
            name = part.name or "document." + media_type.rpartition("/")[2]
            return {"type": "file", "file": {"filename": name, "file_data": f"data:{media_type};base64,{data}"}}
        case _:
            raise BadRequest("unsupported", "the provider takes a document only with its data", param="messages")


class _Ids:
    """Ids for tool calls that come from a wire without them: results answer calls of their name, in order."""

    def __init__(self) -> None:
        self._made = 0
        self._open: list[tuple[str, str]] = []

    def called(self, call: ToolCall) -> str:
        """The id to write for a call."""
        if call.id:
            return call.id
        self._made += 1
        made = f"call_{self._made}"
        self._open.append((made, call.name))
        return made

    def answered(self, result: ToolResult) -> str:
        """The id to write for a result."""
        if result.id:
            return result.id
        for position, (made, name) in enumerate(self._open):
            if result.name in (None, name):
                del self._open[position]
                return made
        return "call_0"
