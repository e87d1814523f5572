"""A client's Messages request to the hub.

The hub holds what every wire can say. What only Anthropic can (its own tools, their results, citations, cache marks)
stays in ``ChatRequest.fields`` and reaches a provider of this wire untouched; on the way to another wire it is left
out, and a request that needs it is that provider's to refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.chat import ChatRequest, Effort, Message, ResponseFormat, Role, Text, Tool, ToolChoice
from gateway.errors import BadRequest
from gateway.wire.anthropic.blocks import read_blocks, texts
from gateway.wire.body import Body, parse

#: As in the bad-input table of every dialect.
MAX_MESSAGES = 10_000
#: Counts above this are no counts; they also fit any provider's integers.
MAX_COUNT = 2**31 - 1

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
#: Levels above the highest that every wire knows.
_LEVELS = {"xhigh": "high", "max": "high"}
_CHOICES: dict[str, ToolChoice] = {
    "auto": ToolChoice("auto"),
    "any": ToolChoice("required"),
    "none": ToolChoice("none"),
}


def decode_request(body: bytes) -> ChatRequest:
    """A body of ``POST /v1/messages``; raises BadRequest with a code of the bad-input table."""
    parsed = parse(body)
    request = _decode(parsed)
    if request.max_tokens is None:
        raise BadRequest("invalid_max_tokens", "max_tokens is required", param="max_tokens")
    return request


def decode_count(body: bytes) -> ChatRequest:
    """A body of ``POST /v1/messages/count_tokens``: the same without ``max_tokens``."""
    return _decode(parse(body))


def _decode(body: Body) -> ChatRequest:
    values = body.values
    model = values.get("model")
    if type(model) is not str or not model:
        raise BadRequest("missing_model", "model must be the name of a router or a model", param="model")
    messages: list[Message] = []
    system = values.get("system")
    if system is not None:
        _read_system(system, messages)
    _read_messages(values.get("messages"), messages)
    request = ChatRequest("anthropic", model, tuple(messages), body.raw)
    for name, value in values.items():
        if value is not None and (read := _FIELDS.get(name)) is not None:
            read(request, value)
    if not request.tools and request.tool_choice is not None and request.tool_choice.mode in ("auto", "none"):
        # Only Anthropic's own tools were offered: nothing is left to choose from.
        request.tool_choice = None
    return request


def _read_system(system: Any, into: list[Message]) -> None:
    parts = texts(system, "system", "invalid_system")
    if parts:
        into.append(Message("system", parts))


def _read_messages(messages: Any, into: list[Message]) -> None:
    if type(messages) is not list or not messages:
        raise BadRequest("invalid_messages", "messages must be a list with at least one message", param="messages")
    if len(messages) > MAX_MESSAGES:
        raise BadRequest("invalid_messages", f"messages may hold {MAX_MESSAGES} messages", param="messages")
    before = len(into)
    for number, message in enumerate(messages):
        if type(message) is not dict:
            raise _bad("messages", "must be an object", f"messages[{number}]")
        said = message.get("role")
        role = _ROLES.get(said) if type(said) is str else None
        if role is None:
            raise _bad("messages", "must be user, assistant or system", f"messages[{number}].role")
        content = message.get("content")
        if type(content) is str:
            # A turn without content says nothing; other wires refuse it.
            if content:
                into.append(Message(role, (Text(content),)))
        elif type(content) is list:
            read_blocks(role, content, f"messages[{number}].content", into)
        else:
            raise _bad("messages", "must be a string or a list of content blocks", f"messages[{number}].content")
    if len(into) == before:
        raise BadRequest("invalid_messages", "messages must hold some content", param="messages")


# --- the optional fields --------------------------------------------------------------------------------------------


def _bad(field: str, rule: str, param: str | None = None) -> BadRequest:
    return BadRequest(f"invalid_{field}", f"{param or field} {rule}", param=param or field)


def _read_max_tokens(request: ChatRequest, value: Any) -> None:
    # Zero is a request of its own: it only fills the prompt cache.
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise _bad("max_tokens", "must be a whole number, not negative")
    request.max_tokens = value


def _read_stream(request: ChatRequest, value: Any) -> None:
    if type(value) is not bool:
        raise _bad("stream", "must be true or false")
    request.stream = value


def _read_temperature(request: ChatRequest, value: Any) -> None:
    request.temperature = _share("temperature", value)


def _read_top_p(request: ChatRequest, value: Any) -> None:
    request.top_p = _share("top_p", value)


def _share(field: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise _bad(field, "must be a number from 0 to 1")
    return float(value)


def _read_top_k(request: ChatRequest, value: Any) -> None:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise _bad("top_k", "must be a whole number, not negative")
    request.top_k = value


def _read_stop(request: ChatRequest, value: Any) -> None:
    if type(value) is not list or not all(type(stop) is str for stop in value):
        raise _bad("stop_sequences", "must be a list of strings")
    request.stop = tuple(value)


def _read_metadata(request: ChatRequest, value: Any) -> None:
    if type(value) is not dict:
        raise _bad("metadata", "must be an object")
    user = value.get("user_id")
    if user is not None and type(user) is not str:
        raise _bad("metadata", "must be a string", "metadata.user_id")
    request.user = user


def _read_tools(request: ChatRequest, value: Any) -> None:
    if type(value) is not list:
        raise _bad("tools", "must be a list")
    tools: list[Tool] = []
    for number, tool in enumerate(value):
        where = f"tools[{number}]"
        if type(tool) is not dict:
            raise _bad("tools", "must be an object", where)
        kind = tool.get("type")
        if kind is not None and type(kind) is not str:
            raise _bad("tools", "must be a string", f"{where}.type")
        if kind is None or kind == "custom":
            tools.append(_tool(tool, where))
    request.tools = tuple(tools)


def _tool(tool: dict[str, Any], where: str) -> Tool:
    name, description, schema, strict = map(tool.get, ("name", "description", "input_schema", "strict"))
    if type(name) is not str or not name:
        raise _bad("tools", "must be the tool's name", f"{where}.name")
    if description is not None and type(description) is not str:
        raise _bad("tools", "must be a string", f"{where}.description")
    if schema is not None and type(schema) is not dict:
        raise _bad("tools", "must be a JSON Schema", f"{where}.input_schema")
    if strict is not None and type(strict) is not bool:
        raise _bad("tools", "must be true or false", f"{where}.strict")
    return Tool(name, description, schema, strict)


def _read_tool_choice(request: ChatRequest, value: Any) -> None:
    kind = value.get("type") if type(value) is dict else None
    if kind == "tool":
        name = value.get("name")
        if type(name) is not str or not name:
            raise _bad("tool_choice", "must be the tool's name", "tool_choice.name")
        request.tool_choice = ToolChoice("named", name)
    elif type(kind) is str and kind in _CHOICES:
        request.tool_choice = _CHOICES[kind]
    else:
        raise _bad("tool_choice", "must be an object with the type auto, any, tool or none")
    alone = value.get("disable_parallel_tool_use")
    if alone is not None:
        if type(alone) is not bool:
            raise _bad("tool_choice", "must be true or false", "tool_choice.disable_parallel_tool_use")
        request.parallel_tool_calls = not alone


def _read_thinking(request: ChatRequest, value: Any) -> None:
    kind = value.get("type") if type(value) is dict else None
    if type(kind) is not str:
        raise _bad("thinking", "must be an object with a type")
    level = request.effort.level if request.effort is not None else None
    if kind == "disabled":
        request.effort = Effort(level=level, enabled=False)
        return
    budget = value.get("budget_tokens")
    if (kind == "enabled" or budget is not None) and (type(budget) is not int or not 0 < budget <= MAX_COUNT):
        raise _bad("thinking", "must be a whole number above zero", "thinking.budget_tokens")
    request.effort = Effort(level=level, budget=budget)


def _read_output_config(request: ChatRequest, value: Any) -> None:
    if type(value) is not dict:
        raise _bad("output_config", "must be an object")
    level = value.get("effort")
    if level is not None:
        if type(level) is not str:
            raise _bad("output_config", "must be a string", "output_config.effort")
        known = request.effort or Effort()
        request.effort = Effort(_LEVELS.get(level, level), known.budget, known.enabled)
    if value.get("format") is not None:
        request.response_format = _format(value["format"], "output_config", "output_config.format")


def _read_output_format(request: ChatRequest, value: Any) -> None:
    request.response_format = _format(value, "output_format", "output_format")


def _format(value: Any, field: str, where: str) -> ResponseFormat:
    schema = value.get("schema") if type(value) is dict else None
    if type(schema) is not dict or value.get("type") != "json_schema":
        raise _bad(field, "must be an object with the type json_schema and a schema", where)
    return ResponseFormat("json_schema", schema)


_FIELDS: dict[str, Callable[[ChatRequest, Any], None]] = {
    "max_tokens": _read_max_tokens,
    "stream": _read_stream,
    "temperature": _read_temperature,
    "top_p": _read_top_p,
    "top_k": _read_top_k,
    "stop_sequences": _read_stop,
    "metadata": _read_metadata,
    "tools": _read_tools,
    "tool_choice": _read_tool_choice,
    "thinking": _read_thinking,
    "output_config": _read_output_config,
    "output_format": _read_output_format,
}
