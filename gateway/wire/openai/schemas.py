"""Tools' JSON Schemas as OpenAI takes them."""

from __future__ import annotations

from typing import Any

_NOTHING: dict[str, Any] = {"type": "object", "properties": {}}


def with_properties(schema: dict[str, Any] | None) -> dict[str, Any]:
    """The schema of a tool's parameters; an object's without ``properties`` is refused ("object schema missing
    properties").
    """
    if schema is None:
        return _NOTHING
    return {**schema, "properties": {}} if schema.get("type") == "object" and "properties" not in schema else schema


def may_be_strict(schema: Any) -> bool:
    """Whether every object in a schema is closed and needs all its properties ("Structured Outputs", "Supported
    schemas").
    """
    try:
        return _is_closed(schema)
    except RecursionError:
        return False


def _is_closed(schema: Any) -> bool:
    if type(schema) is list:
        return all(map(_is_closed, schema))
    if type(schema) is not dict:
        return True
    if schema.get("type") == "object":
        properties, required = schema.get("properties"), schema.get("required")
        if schema.get("additionalProperties") is not False or type(properties) is not dict:
            return False
        if type(required) is not list or any(name not in required for name in properties):
            return False
    return all(map(_is_closed, schema.values()))
