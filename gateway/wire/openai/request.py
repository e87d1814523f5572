"""A request's body to the hub (API reference, "Create chat completion").

A field is checked where the reference gives it a type or a range; whatever else a body holds travels on unread to
providers of this wire. ``null`` is the same as leaving a field out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.chat import ChatRequest, Effort, ResponseFormat, Tool, ToolChoice
from gateway.errors import BadRequest
from gateway.wire import body as bodies
from gateway.wire.openai.messages import decode_messages

#: The levels that ``reasoning_effort`` has had so far; a provider's own words travel only on this wire.
LEVELS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})

Reader = Callable[[ChatRequest, Any], None]


def decode_request(body: bytes) -> ChatRequest:
    """See :meth:`gateway.wire.protocol.Dialect.decode_request`."""
    parsed = bodies.parse(body)
    values = parsed.values
    messages = decode_messages(values.get("messages"))
    request = ChatRequest("openai", model_of(values), messages, parsed.raw, include_usage=False)
    read_fields(request, values, FIELDS)
    _keep_allowed(request, values.get("tool_choice"))
    return request


def check_translatable(request: ChatRequest) -> None:
    """See :meth:`gateway.wire.protocol.Dialect.check_translatable`."""
    if request.n > 1:
        raise BadRequest("unsupported", "the chosen model gives one answer at a time", param="n")
    modalities = request.fields.get("modalities")
    if modalities is not None and b'"audio"' in bytes(modalities):
        raise BadRequest("unsupported", "the chosen model does not answer with sound", param="modalities")
    choice = request.tool_choice
    if choice is not None and choice.mode == "named" and all(tool.name != choice.name for tool in request.tools):
        raise BadRequest("unsupported", "the chosen model cannot call that tool", param="tool_choice")
    if choice is not None and choice.mode == "required" and not request.tools:
        raise BadRequest("unsupported", "the chosen model can call none of these tools", param="tool_choice")


def model_of(values: dict[str, Any]) -> str:
    """The model that a body asks for. Raises BadRequest(missing_model)."""
    model = values.get("model")
    if type(model) is not str or not model:
        raise BadRequest("missing_model", "model must name the model to ask", param="model")
    return model


def read_fields(request: ChatRequest, values: dict[str, Any], fields: dict[str, Reader]) -> None:
    """Take every field that ``fields`` can read over into ``request``. Raises BadRequest(invalid_<field>)."""
    for name, value in values.items():
        if value is not None and (read := fields.get(name)) is not None:
            read(request, value)


# --- kinds of fields --------------------------------------------------------------------------------------------------


def invalid(name: str, rule: str, param: str | None = None) -> BadRequest:
    """The refusal of a field's value."""
    return BadRequest(f"invalid_{name}", f"{param or name} {rule}", param=param or name)


def flag(name: str, attribute: str | None = None) -> Reader:
    """A reader of true or false; without an ``attribute`` the value is only checked."""

    def read(request: ChatRequest, value: Any) -> None:
        if type(value) is not bool:
            raise invalid(name, "must be true or false")
        if attribute is not None:
            setattr(request, attribute, value)

    return read


def integer(name: str, low: int, high: int, attribute: str | None = None) -> Reader:
    """A reader of a whole number in a range."""

    def read(request: ChatRequest, value: Any) -> None:
        if type(value) is not int or not low <= value <= high:
            raise invalid(name, f"must be a whole number from {low} to {high}")
        if attribute is not None:
            setattr(request, attribute, value)

    return read


def number(name: str, low: float, high: float) -> Reader:
    """A reader of a number in a range."""

    def read(request: ChatRequest, value: Any) -> None:
        if type(value) not in (int, float) or not low <= value <= high:
            raise invalid(name, f"must be a number from {low:g} to {high:g}")
        setattr(request, name, float(value))

    return read


# --- fields -----------------------------------------------------------------------------------------------------------


def _max_tokens(request: ChatRequest, value: Any) -> None:
    _tokens("max_tokens", value)
    # The newer max_completion_tokens wins where both are given, in any order.
    if request.max_tokens is None:
        request.max_tokens = value


def _max_completion_tokens(request: ChatRequest, value: Any) -> None:
    _tokens("max_completion_tokens", value)
    request.max_tokens = value


def _tokens(name: str, value: Any) -> None:
    if type(value) is not int or not 1 <= value < 1 << 31:
        raise invalid(name, "must be a whole number above 0")


def _top_k(request: ChatRequest, value: Any) -> None:
    # Not in the reference; vLLM turns it off with -1.
    if type(value) is not int or not -1 <= value < 1 << 31:
        raise invalid("top_k", "must be a whole number")
    request.top_k = value if value > 0 else None


def _stop(request: ChatRequest, value: Any) -> None:
    sequences = [value] if type(value) is str else value
    if type(sequences) is not list or not all(type(sequence) is str for sequence in sequences):
        raise invalid("stop", "must be a string or a list of strings")
    request.stop = tuple(sequence for sequence in sequences if sequence)


def _user(request: ChatRequest, value: Any) -> None:
    if type(value) is not str:
        raise invalid("user", "must be a string")
    request.user = value


def _stream_options(request: ChatRequest, value: Any) -> None:
    wanted = value.get("include_usage") if type(value) is dict else value
    if wanted is not None and type(wanted) is not bool:
        raise invalid("stream_options", "must be an object whose include_usage is true or false")
    request.include_usage = wanted is True


def _reasoning_effort(request: ChatRequest, value: Any) -> None:
    if type(value) is not str:
        raise invalid("reasoning_effort", "must be a string")
    if value in LEVELS:
        request.effort = Effort(value, enabled=value != "none")


def _reasoning(request: ChatRequest, value: Any) -> None:
    # OpenRouter's own, and the Responses API's; reasoning_effort wins where both are given.
    if type(value) is not dict or request.effort is not None:
        return
    level, budget, enabled = value.get("effort"), value.get("max_tokens"), value.get("enabled")
    known = level if type(level) is str and level in LEVELS else None
    tokens = budget if type(budget) is int and budget > 0 else None
    if known or tokens or type(enabled) is bool:
        request.effort = Effort(known, tokens, enabled is not False and known != "none")


def _response_format(request: ChatRequest, value: Any) -> None:
    kind = value.get("type") if type(value) is dict else None
    if type(kind) is not str:
        raise invalid("response_format", "must be an object with a type")
    if kind == "json_object":
        request.response_format = ResponseFormat("json")
    elif kind == "json_schema":
        wanted = value.get("json_schema")
        if type(wanted) is not dict:
            raise invalid("response_format", "must be an object", "response_format.json_schema")
        schema, name, strict = wanted.get("schema"), wanted.get("name"), wanted.get("strict")
        if schema is not None and type(schema) is not dict:
            raise invalid("response_format", "must be an object", "response_format.json_schema.schema")
        request.response_format = ResponseFormat(
            "json_schema", schema, name if type(name) is str else None, strict if type(strict) is bool else None
        )


def _tools(request: ChatRequest, value: Any) -> None:
    if type(value) is not list:
        raise invalid("tools", "must be a list")
    tools: list[Tool] = []
    for index, item in enumerate(value):
        where = f"tools[{index}]"
        if type(item) is not dict:
            raise invalid("tools", "must be an object", where)
        # Other types are run by their provider, or take free text: the hub has no word for either.
        if item.get("type", "function") == "function":
            tools.append(_tool(item.get("function"), "tools", f"{where}.function"))
    request.tools = tuple(tools)


def _functions(request: ChatRequest, value: Any) -> None:
    if type(value) is not list:
        raise invalid("functions", "must be a list")
    functions = tuple(_tool(item, "functions", f"functions[{index}]") for index, item in enumerate(value))
    request.tools = request.tools or functions


def _tool(function: Any, field: str, where: str) -> Tool:
    if type(function) is not dict:
        raise invalid(field, "must be an object", where)
    name, description = function.get("name"), function.get("description")
    parameters, strict = function.get("parameters"), function.get("strict")
    if type(name) is not str or not name:
        raise invalid(field, "must be a string", f"{where}.name")
    if description is not None and type(description) is not str:
        raise invalid(field, "must be a string", f"{where}.description")
    if parameters is not None and type(parameters) is not dict:
        raise invalid(field, "must be an object", f"{where}.parameters")
    if strict is not None and type(strict) is not bool:
        raise invalid(field, "must be true or false", f"{where}.strict")
    return Tool(name, description, parameters, strict)


# "any" is Mistral's word.
_CHOICES = {
    "auto": ToolChoice("auto"),
    "none": ToolChoice("none"),
    "required": ToolChoice("required"),
    "any": ToolChoice("required"),
}


def _tool_choice(request: ChatRequest, value: Any) -> None:
    if type(value) is str and value in _CHOICES:
        request.tool_choice = _CHOICES[value]
        return
    if type(value) is not dict:
        raise invalid("tool_choice", "must be none, auto, required or an object that names a tool")
    allowed = value.get("allowed_tools")
    if type(allowed) is dict:
        mode = allowed.get("mode")
        request.tool_choice = _CHOICES.get(mode) if type(mode) is str else None
        return
    named = value.get("function", value.get("custom"))
    name = named.get("name") if type(named) is dict else None
    if type(name) is not str or not name:
        raise invalid("tool_choice", "must be a string", "tool_choice.function.name")
    request.tool_choice = ToolChoice("named", name)


def _keep_allowed(request: ChatRequest, choice: Any) -> None:
    """Of the tools only those that an ``allowed_tools`` choice lists: no other wire has a word for it."""
    allowed = choice.get("allowed_tools") if type(choice) is dict else None
    listed = allowed.get("tools") if type(allowed) is dict else None
    if type(listed) is list:
        functions = [item.get("function", item) for item in listed if type(item) is dict]
        names = [function.get("name") for function in functions if type(function) is dict]
        request.tools = tuple(tool for tool in request.tools if tool.name in names)


def _function_call(request: ChatRequest, value: Any) -> None:
    name = value.get("name") if type(value) is dict else None
    if value in ("auto", "none"):
        choice = _CHOICES[value]
    elif type(name) is str and name:
        choice = ToolChoice("named", name)
    else:
        raise invalid("function_call", "must be none, auto or an object that names a function")
    request.tool_choice = request.tool_choice or choice


#: The fields that both kinds of completion have.
SHARED: dict[str, Reader] = {
    "stream": flag("stream", "stream"),
    "stream_options": _stream_options,
    "max_tokens": _max_tokens,
    "temperature": number("temperature", 0, 2),
    "top_p": number("top_p", 0, 1),
    "top_k": _top_k,
    "presence_penalty": number("presence_penalty", -2, 2),
    "frequency_penalty": number("frequency_penalty", -2, 2),
    "stop": _stop,
    "seed": integer("seed", -(1 << 63), (1 << 63) - 1, "seed"),
    "user": _user,
    "n": integer("n", 1, 128, "n"),
}

FIELDS: dict[str, Reader] = SHARED | {
    "max_completion_tokens": _max_completion_tokens,
    "reasoning_effort": _reasoning_effort,
    "reasoning": _reasoning,
    "response_format": _response_format,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "functions": _functions,
    "function_call": _function_call,
    "parallel_tool_calls": flag("parallel_tool_calls", "parallel_tool_calls"),
    "logprobs": flag("logprobs"),
    "top_logprobs": integer("top_logprobs", 0, 20),
}
