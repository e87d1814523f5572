"""JSON Schemas of the documents, generated from their classes, and documents read with them.

The schemas are JSON Schema 2020-12 with one addition that checkers ignore: ``errorMessage`` is what
yaml-language-server shows, and what our own problems say, where a pattern does not match.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from gateway.config.documents import GatewayDocument, RouterDocument
from gateway.config.problems import Marks, Problem

Kind = Literal["router", "gateway"]

DOCUMENTS: dict[Kind, type[RouterDocument] | type[GatewayDocument]] = {
    "router": RouterDocument,
    "gateway": GatewayDocument,
}
_TITLES: dict[Kind, str] = {"router": "LLM Relay router", "gateway": "LLM Relay gateway"}


@cache
def schema(kind: Kind) -> dict[str, Any]:
    """The JSON Schema of one kind of document."""
    document = DOCUMENTS[kind]
    _, definitions = msgspec.json.schema_components([document], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{kind}.schema.json",
        **definitions.pop(document.__name__),
        "title": _TITLES[kind],
        "$defs": dict(sorted(definitions.items())),
    }


def build(folder: Path) -> list[Path]:
    """Write ``router.schema.json`` and ``gateway.schema.json`` into ``folder``; the same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for kind in DOCUMENTS:
        path = folder / f"{kind}.schema.json"
        path.write_text(render(kind), encoding="utf-8")
        paths.append(path)
    return paths


def render(kind: Kind) -> str:
    """The text of a schema file."""
    return json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n"


def read(
    value: dict[str, Any], kind: Kind, marks: Marks
) -> tuple[RouterDocument | GatewayDocument | None, list[Problem]]:
    """``value`` as a typed document, or everything that it does not have as the schema wants it.

    The two ways agree: most documents are valid, and msgspec says so thirty times faster than a JSON Schema checker,
    which in turn knows of every mistake and not only of the first.
    """
    try:
        document = msgspec.convert(value, DOCUMENTS[kind])
    except msgspec.ValidationError:
        return None, _mistakes(value, kind, marks)
    rules = schema(kind)
    return (document, []) if _formed(value, rules, rules["$defs"]) else (None, _mistakes(value, kind, marks))


def _mistakes(value: dict[str, Any], kind: Kind, marks: Marks) -> list[Problem]:
    # Imported when a document is wrong: a gateway that serves a valid configuration never needs a schema checker.
    from gateway.config.mistakes import find

    return find(value, kind, marks)


def _formed(value: object, rule: dict[str, Any], definitions: dict[str, Any]) -> bool:
    """Whether every text in ``value``, whose types are right, matches its pattern."""
    if "$ref" in rule:
        rule = definitions[rule["$ref"].rpartition("/")[2]]
    if isinstance(value, str):
        branches = [branch for branch in rule.get("anyOf", (rule,)) if branch.get("type", "string") == "string"]
        return any("pattern" not in branch or _matches(branch["pattern"], value) for branch in branches)
    if isinstance(value, list):
        for branch in rule.get("anyOf", (rule,)):
            if "items" in branch:
                return all(_formed(entry, branch["items"], definitions) for entry in value)
    if isinstance(value, dict):
        fields, names, others = rule.get("properties", {}), rule.get("propertyNames"), rule.get("additionalProperties")
        for name, entry in value.items():
            if names is not None and not _formed(name, names, definitions):
                return False
            field = fields.get(name, others)
            if isinstance(field, dict) and not _formed(entry, field, definitions):
                return False
    return True


def _matches(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None
