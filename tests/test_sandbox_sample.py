from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
import pytest

from gateway.sandbox.sample import sample


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 10, "maxLength": 12},
        {"type": "string", "maxLength": 3},
        {"type": "string", "format": "date-time"},
        {"type": "integer", "minimum": 5},
        {"type": "integer", "exclusiveMinimum": 5},
        {"type": "number", "maximum": -2},
        {"type": ["null", "boolean"]},
        {"type": "null"},
        {"const": {"a": 1}},
        {"enum": [3, 4]},
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"type": "array", "items": {"type": "integer"}, "minItems": 2},
        {"type": "array"},
        {"properties": {"a": {"type": "boolean"}}, "required": ["a"]},
        {
            "$defs": {"City": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
            "type": "object",
            "properties": {"from": {"$ref": "#/$defs/City"}, "to": {"allOf": [{"$ref": "#/$defs/City"}]}},
            "required": ["from", "to"],
        },
    ],
)
def test_a_sample_is_valid(schema: dict[str, Any]) -> None:
    jsonschema.validate(sample(schema), schema)


@pytest.mark.parametrize(
    "schema",
    [
        None,
        5,
        {"type": 5},
        {"type": []},
        {"enum": []},
        {"required": 5, "type": "object"},
        {"$ref": "#/nowhere/at/all"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#"},
        {"type": "object", "properties": {name: {"$ref": "#"} for name in "abcdefgh"}, "required": list("abcdefgh")},
        {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}},
        {"type": "string", "minLength": 10**12},
    ],
)
def test_an_absurd_schema_gives_something_small(schema: Any) -> None:
    assert len(msgspec.json.encode(sample(schema))) < 50_000
