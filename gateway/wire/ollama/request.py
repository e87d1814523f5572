"""Clients' requests to ``/api/chat`` and ``/api/generate``: bytes to a :class:`~gateway.chat.ChatRequest`.

Source: Ollama's API documentation (docs/api.md) and the Go types that its server reads (api/types.go).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.chat import Audio, ChatRequest, Image, Message, Part, Reasoning, Role, Text, Tool, ToolCall, ToolResult
from gateway.errors import BadRequest
from gateway.wire import body as bodies
from gateway.wire.ollama import media, settings

#: A conversation may have this many messages.
MAX_MESSAGES = 10_000

_ROLES: dict[Any, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_TAG = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LATEST = ":latest"


def decode_chat(body: bytes) -> ChatRequest:
    """A request to ``/api/chat``.

    Raises BadRequest with the codes of :func:`gateway.wire.body.parse`, missing_model, invalid_messages,
    invalid_tools, invalid_stream and ``invalid_<field>`` for every other field that is read here.
    """
    parsed = bodies.parse(body)
    values = parsed.values
    model, tags = _model(values)
    request = ChatRequest("ollama", model, _messages(values.get("messages")), parsed.raw, stream=True, tags=tags)
    if (tools := values.get("tools")) is not None:
        request.tools = _tools(tools)
    settings.apply(request, values)
    return request


def decode_generate(body: bytes) -> ChatRequest:
    """A request to ``/api/generate``: system prompt, prompt and images become a conversation of one turn.

    Without a prompt Ollama only loads the model, so the request has no messages then. Raises BadRequest as
    :func:`decode_chat`, with invalid_prompt in place of invalid_messages.
    """
    parsed = bodies.parse(body)
    values = parsed.values
    model, tags = _model(values)
    prompt = _optional(values, "prompt", str) or ""
    system = _optional(values, "system", str) or ""
    for name, kind in (("suffix", str), ("template", str), ("raw", bool), ("context", list)):
        _optional(values, name, kind)
    images = _images(values.get("images"), "images")
    messages: list[Message] = []
    if prompt:
        if system:
            messages.append(Message("system", (Text(system),)))
        messages.append(Message("user", (Text(prompt), *images)))
    request = ChatRequest("ollama.generate", model, tuple(messages), parsed.raw, stream=True, tags=tags)
    settings.apply(request, values)
    return request


def check_translatable(request: ChatRequest) -> None:
    """Refuse what only Ollama can do: call it before a request goes to a provider of another wire.

    Raises BadRequest unsupported for ``raw`` and ``suffix`` of ``/api/generate``: both say how the prompt is laid out
    for the model, which no chat protocol can.
    """
    if request.dialect != "ollama.generate":
        return
    fields = request.fields
    if "raw" in fields and bytes(fields["raw"]) == b"true":
        raise BadRequest("unsupported", "raw prompts can only be sent to an Ollama model", param="raw")
    if "suffix" in fields and bytes(fields["suffix"]) not in (b"null", b'""'):
        raise BadRequest("unsupported", "a suffix can only be sent to an Ollama model", param="suffix")


def unloads(request: ChatRequest) -> bool:
    """Whether a request without messages asks to unload the model: its ``keep_alive`` is zero, in any unit."""
    raw = request.fields.get("keep_alive")
    if raw is None:
        return False
    value = msgspec.json.decode(raw)
    if isinstance(value, str):
        return "0" in value and re.search(r"[1-9]", value) is None
    return bool(value == 0)


def split_model(name: str) -> tuple[str, tuple[str, ...]]:
    """A model's name as clients write it, ``smart@team:latest``, to the name proper and its tags.

    ``:latest`` means nothing here. That is so for names without a slash: ``provider/model`` may hold an ``@`` or a
    ``:latest`` of its own. A name whose tags are malformed stays whole, so that it is not found.
    """
    if "/" in name:
        return name, ()
    name = _without_latest(name)
    if "@" in name:
        base, *tags = name.split("@")
        if base and all(_TAG.fullmatch(tag) for tag in tags):
            return _without_latest(base), tuple(tags)
    return name, ()


def _without_latest(name: str) -> str:
    base = name[: -len(_LATEST)]
    return base if base and name[-len(_LATEST) :].lower() == _LATEST else name


def _model(values: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    name = values.get("model")
    if type(name) is not str or not name:
        raise BadRequest("missing_model", "model must be the name of a model or router", param="model")
    if "@" not in name and ":" not in name:
        return name, ()
    return split_model(name)


def _optional(values: dict[str, Any], name: str, kind: type) -> Any:
    value = values.get(name)
    if value is not None and type(value) is not kind:
        raise BadRequest(f"invalid_{name}", f"{name} must be of JSON type {_JSON_TYPES[kind]}", param=name)
    return value


_JSON_TYPES = {str: "string", bool: "boolean", list: "array"}


# --- messages ---------------------------------------------------------------------------------------------------------


class _Calls:
    """Tool calls of a conversation, so that results which carry no id find theirs: by name, else in order."""

    __slots__ = ("count", "open")

    def __init__(self) -> None:
        self.count = 0
        #: Calls of the latest assistant turn that have no result yet.
        self.open: list[ToolCall] = []

    def turn(self, calls: list[ToolCall]) -> None:
        self.open = calls

    def next_id(self) -> str:
        """An id for a call that has none: its position in the conversation, the same at every turn."""
        return f"call_{self.count}"

    def answered(self, call_id: str, name: str | None) -> tuple[str, str | None]:
        """Id and name of the call that a result belongs to; what the result says itself where no call is open."""
        match = next((call for call in self.open if call.id == call_id), None)
        if match is None and name is not None:
            match = next((call for call in self.open if call.name == name), None)
        if match is None and not call_id:
            match = next(iter(self.open), None)
        if match is None:
            return call_id, name
        self.open.remove(match)
        return match.id, match.name


def _messages(value: Any) -> tuple[Message, ...]:
    if type(value) is not list or not value:
        raise _invalid("messages", "must be a non-empty array")
    if len(value) > MAX_MESSAGES:
        raise _invalid("messages", f"must have at most {MAX_MESSAGES} items")
    calls: _Calls | None = None
    messages: list[Message] = []
    for item in value:
        if type(item) is dict and len(item) == 2:
            role = item.get("role")
            content = item.get("content")
            if type(content) is str and type(role) is str and role != "tool" and role in _ROLES:
                messages.append(Message(_ROLES[role], (Text(content),)))
                continue
        if calls is None:
            calls = _Calls()
        messages.append(_message(item, f"messages[{len(messages)}]", calls))
    return tuple(messages)


def _message(value: Any, where: str, calls: _Calls) -> Message:
    if type(value) is not dict:
        raise _invalid(where, "must be an object")
    role = value.get("role")
    # Ollama's server folds the letter case of roles.
    known = _ROLES.get(role.lower()) if type(role) is str else None
    if known is None:
        raise _invalid(f"{where}.role", "must be system, user, assistant or tool")
    # Ollama's own client for Python leaves empty values out.
    content = _string(value, "content", where) if "content" in value else ""
    images = _images(value.get("images"), f"{where}.images")
    if known == "tool":
        if content is None:
            raise _invalid(f"{where}.content", "must be a string")
        name = _string(value, "tool_name", where) or _string(value, "name", where) or None
        call_id, name = calls.answered(_string(value, "tool_call_id", where) or "", name)
        texts = (Text(content),) if content or not images else ()
        pictures = tuple(image for image in images if isinstance(image, Image))
        return Message(known, (ToolResult(call_id, (*texts, *pictures), name),))
    parts: list[Part] = []
    if thinking := _string(value, "thinking", where):
        parts.append(Reasoning(thinking))
    if content:
        parts.append(Text(content))
    parts.extend(images)
    if value.get("tool_calls") is not None:
        made = _tool_calls(value["tool_calls"], f"{where}.tool_calls", calls)
        if known != "assistant":
            raise _invalid(f"{where}.tool_calls", "belong to the assistant")
        calls.turn(made)
        parts.extend(made)
    if not parts:
        if content is None:
            raise _invalid(f"{where}.content", "must be a string")
        parts.append(Text(content))
    return Message(known, tuple(parts))


def _tool_calls(value: Any, where: str, calls: _Calls) -> list[ToolCall]:
    if type(value) is not list:
        raise _invalid(where, "must be an array")
    made: list[ToolCall] = []
    for position, item in enumerate(value):
        here = f"{where}[{position}]"
        function = item.get("function") if type(item) is dict else None
        if type(function) is not dict:
            raise _invalid(here, "must be an object with a function")
        name = function.get("name")
        if type(name) is not str or not name:
            raise _invalid(f"{here}.function.name", "must be a string")
        arguments = function.get("arguments")
        if arguments is not None and type(arguments) is not dict:
            raise _invalid(f"{here}.function.arguments", "must be an object")
        text = msgspec.json.encode(arguments).decode() if arguments else "{}"
        made.append(ToolCall(_string(item, "id", here) or calls.next_id(), name, text))
        calls.count += 1
    return made


def _images(value: Any, where: str) -> list[Image | Audio]:
    if value is None:
        return []
    if type(value) is not list:
        raise _invalid(where, "must be an array of base64 strings")
    parts: list[Image | Audio] = []
    for position, item in enumerate(value):
        part = media.decode(item) if type(item) is str else None
        if part is None:
            raise _invalid(f"{where}[{position}]", "must be a base64 string")
        parts.append(part)
    return parts


def _string(value: dict[str, Any], name: str, where: str) -> str | None:
    found = value.get(name)
    if found is not None and type(found) is not str:
        raise _invalid(f"{where}.{name}", "must be a string")
    return found


def _invalid(where: str, what: str) -> BadRequest:
    code = "invalid_images" if where.startswith("images") else "invalid_messages"
    return BadRequest(code, f"{where} {what}", param=where)


# --- tools ------------------------------------------------------------------------------------------------------------


def _tools(value: Any) -> tuple[Tool, ...]:
    if type(value) is not list:
        raise BadRequest("invalid_tools", "tools must be an array", param="tools")
    tools: list[Tool] = []
    for position, item in enumerate(value):
        where = f"tools[{position}].function"
        function = item.get("function") if type(item) is dict else None
        if type(function) is not dict:
            raise BadRequest("invalid_tools", f"{where} must be an object", param=where)
        name, about, parameters = function.get("name"), function.get("description"), function.get("parameters")
        if type(name) is not str or not name:
            raise BadRequest("invalid_tools", f"{where}.name must be a string", param=f"{where}.name")
        if about is not None and type(about) is not str:
            raise BadRequest("invalid_tools", f"{where}.description must be a string", param=f"{where}.description")
        if parameters is not None and type(parameters) is not dict:
            raise BadRequest("invalid_tools", f"{where}.parameters must be an object", param=f"{where}.parameters")
        tools.append(Tool(name, about, parameters))
    return tuple(tools)
