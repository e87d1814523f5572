"""The least value that a JSON Schema allows, near enough for tool calls and structured answers of the sandbox."""

from __future__ import annotations

from typing import Any

#: Schemas come from clients: a recursive or huge one ends here, with null for what is left.
_MAX_DEPTH = 12
_MAX_VALUES = 500
_MAX_LENGTH = 1_000
_MAX_ITEMS = 20

#: Text of the formats that readers check most.
_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "sandbox@example.com",
    "uri": "https://example.com/sandbox",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample(schema: Any) -> Any:
    """A small value after ``schema``: required properties only, first choices, 0, false, "sandbox".

    ``pattern``, ``multipleOf`` and conditions are not honoured; what is no schema gives None.
    """
    return _Sampler(schema).value(schema, 0)


class _Sampler:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = _MAX_VALUES

    def value(self, schema: Any, depth: int) -> Any:
        self._left -= 1
        if not isinstance(schema, dict) or depth > _MAX_DEPTH or self._left < 0:
            return None
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        for key in ("enum", "examples", "anyOf", "oneOf", "allOf"):
            choices = schema.get(key)
            if isinstance(choices, list) and choices:
                return choices[0] if key in ("enum", "examples") else self.value(choices[0], depth + 1)
        if isinstance(reference := schema.get("$ref"), str):
            return self.value(self._resolve(reference), depth + 1)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        match next((each for each in kind if each != "null"), "null") if isinstance(kind, list) else kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                count = min(_whole(schema, "minItems", 0), _MAX_ITEMS)
                return [self.value(schema.get("items", {}), depth + 1) for _ in range(count)]
            case "string":
                return _text(schema)
            case "integer" | "number":
                return _number(schema)
            case "boolean":
                return False
            case _:
                return None

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties"), schema.get("required")
        if not isinstance(required, list):
            return {}
        known = properties if isinstance(properties, dict) else {}
        return {name: self.value(known.get(name, {}), depth + 1) for name in required if isinstance(name, str)}

    def _resolve(self, reference: str) -> Any:
        """A JSON Pointer into the same document (RFC 6901), as in ``#/$defs/City``."""
        found = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            if not isinstance(found, dict):
                return None
            found = found.get(step.replace("~1", "/").replace("~0", "~"))
        return found


def _text(schema: dict[str, Any]) -> str:
    kind = schema.get("format")
    if isinstance(kind, str) and kind in _FORMATS:
        return _FORMATS[kind]
    text = "sandbox".ljust(min(_whole(schema, "minLength", 0), _MAX_LENGTH), "x")
    return text[: _whole(schema, "maxLength", len(text))]


def _number(schema: dict[str, Any]) -> float:
    low, above, high = (_bound(schema, key) for key in ("minimum", "exclusiveMinimum", "maximum"))
    if above is not None:
        low = above + 1
    if low is not None and low > 0:
        return low
    return high if high is not None and high < 0 else 0


def _bound(schema: dict[str, Any], key: str) -> float | None:
    value = schema.get(key)
    return value if type(value) in (int, float) else None


def _whole(schema: dict[str, Any], key: str, otherwise: int) -> int:
    value = schema.get(key)
    return value if type(value) is int and value >= 0 else otherwise
