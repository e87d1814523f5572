"""The fields that ``/api/chat`` and ``/api/generate`` share: ``stream``, ``format``, ``think``, ``options``."""

from __future__ import annotations

from typing import Any, NamedTuple

from gateway.chat import ChatRequest, Effort, ResponseFormat
from gateway.errors import BadRequest

#: The levels that ``think`` may name (api/types.go, ThinkValue).
THINK_LEVELS = frozenset({"low", "medium", "high", "max"})


class _Range(NamedTuple):
    """An option's attribute in the hub, and which numbers it may be, both ends included."""

    attribute: str
    low: float
    high: float


_FLOATS = {
    "temperature": _Range("temperature", 0.0, 100.0),
    "top_p": _Range("top_p", 0.0, 1.0),
    "presence_penalty": _Range("presence_penalty", -100.0, 100.0),
    "frequency_penalty": _Range("frequency_penalty", -100.0, 100.0),
}
_INTEGERS = {
    "num_predict": _Range("max_tokens", -2, 2**31 - 1),
    "top_k": _Range("top_k", -(2**31), 2**31 - 1),
    "seed": _Range("seed", -(2**63), 2**63 - 1),
}
#: The least number that says something; below it Ollama means no limit, or chance.
_MEANINGFUL = {"num_predict": 1, "top_k": 1, "seed": 0}


def apply(request: ChatRequest, values: dict[str, Any]) -> None:
    """Read the shared fields of ``values`` into ``request``. Raises BadRequest ``invalid_<field>``."""
    stream = values.get("stream")
    if stream is not None:
        if type(stream) is not bool:
            raise BadRequest("invalid_stream", "stream must be true or false", param="stream")
        request.stream = stream
    if (options := values.get("options")) is not None:
        _apply_options(request, options)
    if (format_ := values.get("format")) is not None:
        request.response_format = _response_format(format_)
    if (think := values.get("think")) is not None:
        request.effort = _effort(think)
    keep_alive = values.get("keep_alive")
    if keep_alive is not None and type(keep_alive) not in (str, int, float):
        raise BadRequest("invalid_keep_alive", "keep_alive must be a number or a string", param="keep_alive")


def _apply_options(request: ChatRequest, options: Any) -> None:
    if type(options) is not dict:
        raise BadRequest("invalid_options", "options must be an object", param="options")
    for name, value in options.items():
        if value is None:
            continue
        if (bounds := _FLOATS.get(name)) is not None:
            setattr(request, bounds.attribute, float(_number(name, value, bounds)))
        elif (bounds := _INTEGERS.get(name)) is not None:
            # Ollama cuts the fraction off: its server reads every number as a float.
            number = int(_number(name, value, bounds))
            setattr(request, bounds.attribute, number if number >= _MEANINGFUL[name] else None)
        elif name == "stop":
            if type(value) is not list or not all(type(item) is str for item in value):
                raise BadRequest("invalid_stop", "options.stop must be an array of strings", param="options.stop")
            request.stop = tuple(item for item in value if item)


def _number(name: str, value: Any, bounds: _Range) -> int | float:
    if (type(value) is int or type(value) is float) and bounds.low <= value <= bounds.high:
        return value
    where = f"options.{name}"
    what = f"{where} must be a number from {bounds.low:g} to {bounds.high:g}"
    raise BadRequest(f"invalid_{name}", what, param=where)


def _response_format(value: Any) -> ResponseFormat | None:
    if value == "":
        return None
    if value == "json":
        return ResponseFormat("json")
    if type(value) is dict:
        return ResponseFormat("json_schema", value)
    raise BadRequest("invalid_format", 'format must be "json" or a JSON schema', param="format")


def _effort(value: Any) -> Effort:
    if type(value) is bool:
        return Effort(enabled=value)
    if type(value) is str and value in THINK_LEVELS:
        return Effort(value)
    raise BadRequest("invalid_think", "think must be true, false, low, medium, high or max", param="think")
