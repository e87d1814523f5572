"""What a document that breaks its schema did wrong: every mistake, in words and with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from gateway.config.problems import MAX_PROBLEMS, Marks, Place, Problem, did_you_mean, secret_like, show
from gateway.config.schema import DOCUMENTS, Kind, schema

_TYPES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}
#: JSON has one number type, so that JSON Schema takes 5.0 for an integer. Here it is none, as for the typed documents.
_CHECKER = Draft202012Validator.TYPE_CHECKER.redefine(
    "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
)
_Validator: type[Draft202012Validator] = extend(Draft202012Validator, type_checker=_CHECKER)  # type: ignore[no-untyped-call]


class _Breach(NamedTuple):
    """One rule that a value breaks: the jsonschema error, without its many optional types."""

    keyword: str
    expected: Any
    value: Any
    #: The schema that the keyword stands in.
    rule: dict[str, Any]
    place: Place
    kind: Kind
    #: Whether ``value`` is a key.
    key: bool
    #: Where a union is broken: by branch, how.
    branches: list[tuple[int, ValidationError]]

    @property
    def shown(self) -> str:
        """The value, unless it may be a secret."""
        return "the value" if secret_like(self.place.steps) else show(self.value)

    @property
    def hint(self) -> str:
        """What the schema says to people whose value does not fit."""
        hint: str = self.rule.get("errorMessage", "")
        return hint


def find(value: dict[str, Any], kind: Kind, marks: Marks) -> list[Problem]:
    """Everything that is wrong with ``value``, after about a hundred problems no more."""
    errors = _validator(kind).iter_errors(value)
    found = (problem for error in errors for problem in _explain(_breach(error, kind, marks)))
    return list(islice(found, MAX_PROBLEMS + 1))


@cache
def _validator(kind: Kind) -> Draft202012Validator:
    return _Validator(schema(kind))


def _breach(error: ValidationError, kind: Kind, marks: Marks) -> _Breach:
    rule: Any = error.schema
    return _Breach(
        keyword=str(error.validator),
        expected=error.validator_value,
        value=error.instance,
        rule=rule,
        place=Place("", marks, tuple(error.absolute_path)),
        kind=kind,
        key="propertyNames" in error.absolute_schema_path,
        branches=[(int(inner.schema_path[0]), inner) for inner in error.context or ()],
    )


def _explain(breach: _Breach) -> Iterator[Problem]:
    place, value, expected = breach.place, breach.value, breach.expected
    match breach.keyword:
        case _ if breach.key:
            message = f"{show(value)} is not a possible name here"
            yield (place / str(value)).problem("E203", message, breach.hint, at_key=True)
        case "additionalProperties":
            yield from _unknown(breach)
        case "required":
            for name in expected:
                if name not in value:
                    description = breach.rule["properties"][name]["description"]
                    yield place.problem("E205", f"{show(name)} is missing", f"add it: {description}")
        case "enum":
            code = "E208" if place.steps[-1:] == ("schema_version",) else "E207"
            yield place.problem(code, f"{breach.shown} is not allowed here", _allowed(value, expected))
        case "minItems":
            yield place.problem("E206", f"{len(value):,} entries are too few", f"at least {expected:,}")
        case "maxItems":
            yield place.problem("E206", f"{len(value):,} entries are too many", f"at most {expected:,}")
        case "anyOf":
            yield from _union(breach)
        case "type":
            yield _wrong_type(breach)
        case _:
            yield _bad_value(breach)


def _unknown(breach: _Breach) -> Iterator[Problem]:
    fields = breach.rule["properties"]
    at_top = breach.kind == "router" and not breach.place.steps
    elsewhere = DOCUMENTS["gateway"].__struct_encode_fields__ if at_top else ()
    for name in breach.value:
        if name in fields:
            continue
        remedy = did_you_mean(name, fields, f"the fields are {', '.join(fields)}")
        if name in elsewhere:
            remedy = "it belongs into the gateway document; add 'kind: gateway' if this is one"
        yield (breach.place / name).problem("E204", f"there is no such field{_foreign(name)}", remedy, at_key=True)


def _union(breach: _Breach) -> Iterator[Problem]:
    """The problems of the one branch that has the value's type; without one, the types that are possible."""
    options: list[dict[str, Any]] = breach.expected
    fitting = {i for i, option in enumerate(options) if _CHECKER.is_type(breach.value, option["type"])}
    if not fitting:
        wanted = " or ".join(_TYPES[option["type"]] for option in options)
        yield breach.place.problem("E203", f"{breach.shown} is not {wanted}")
    for index, error in breach.branches:
        if index in fitting:
            yield from _explain(_breach(error, breach.kind, breach.place.marks))


def _wrong_type(breach: _Breach) -> Problem:
    wanted = _TYPES[breach.expected]
    if breach.value is None:
        return breach.place.problem("E203", "the field has no value", f"write {wanted}, or remove the field")
    return breach.place.problem("E203", f"{breach.shown} is not {wanted}", breach.hint or _written_as(breach))


def _written_as(breach: _Breach) -> str:
    """How a value of the type that is wanted is written, where one of another type stands."""
    match breach.expected, breach.value:
        case "string", str() | int() | float():
            return "quote it"
        case "array", _:
            return "write each entry on a line of its own, behind '- '"
        case "object", list() | str():
            fields = breach.rule.get("required") or list(breach.rule.get("properties", ()))
            return f"write its fields: {', '.join(f'{field}: …' for field in fields)}" if fields else ""
    return ""


def _bad_value(breach: _Breach) -> Problem:
    place, limit = breach.place, breach.expected
    match breach.keyword:
        case "maxLength":
            return place.problem("E203", f"{len(breach.value):,} characters are too many", f"at most {limit:,}")
        case "minLength":
            return place.problem("E203", "the text is empty", "write one, or remove the field")
        case "minimum":
            return place.problem("E203", f"{breach.shown} is too small", f"at least {limit:,}")
        case "maximum":
            return place.problem("E203", f"{breach.shown} is too large", f"at most {limit:,}")
        case _ if secret_like(place.steps[-1:]):
            return place.problem("E309", "a key must not stand in the file", breach.hint)
        case _ if place.steps == ("name",) and "/" in breach.value:
            return place.problem("E302", f"{breach.shown} is the name of a model, not of a router", breach.hint)
        case _:
            return place.problem("E203", f"{breach.shown} does not fit{_foreign(breach.value)}", breach.hint)


def _foreign(text: str) -> str:
    """Names a letter that only looks like one of those that are meant, as Cyrillic letters do."""
    found = next((character for character in text if not character.isascii()), None)
    return "" if found is None else f": it holds U+{ord(found):04X}"


def _allowed(value: object, options: list[Any]) -> str:
    texts = [str(option) for option in options]
    listed = f"use {' or '.join(texts)}"
    if not isinstance(value, str):
        return listed
    if value in texts:
        return f"write {value}, not in quotes"
    return did_you_mean(value, texts, listed)
