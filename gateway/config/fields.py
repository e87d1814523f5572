"""The forms that single values take: names, durations, references to secrets."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

#: ``(?!\n)`` because Python's ``$`` also matches before a final line break.
_END = r"(?!\n)$"


def form(pattern: str, hint: str, *examples: str) -> Meta:
    """The form of a text, and what editors and our own problems say where it is another one.

    The pattern is a keyword of the JSON Schema only. Not ``Meta(pattern=…)``: msgspec then frees the compiled pattern
    before the types that use it, and the interpreter may crash when it ends (seen with 0.22 on Python 3.11).
    """
    schema = {"pattern": f"^(?:{pattern}){_END}", "errorMessage": hint}
    return Meta(examples=list(examples), extra_json_schema=schema) if examples else Meta(extra_json_schema=schema)


def default(value: object, description: str) -> Meta:
    """A field whose default is not kept by its class."""
    return Meta(description=description, extra_json_schema={"default": value})


Text = Annotated[str, Meta(max_length=1000)]
Name = Annotated[
    str,
    form(
        r"[a-z0-9][a-z0-9._-]{0,63}",
        "use up to 64 lower-case letters, digits and . _ -, beginning with a letter or digit",
    ),
]
ModelId = Annotated[
    str, form(r"[!-~]{1,200}", "write provider/model in printable ASCII without spaces", "openai/gpt-4o")
]
Duration = Annotated[
    str,
    form(
        r"(?![0.]*[a-z])[0-9]{1,7}(?:\.[0-9]{1,3})?(?:ms|s|m|h|d)",
        "write a number above zero and a unit: 250ms, 5s, 10m, 1h or 90d",
        *("250ms", "5s", "10m", "1h", "90d"),
    ),
]
Size = Annotated[
    str,
    form(
        r"(?!0+[A-Z])[0-9]{1,7}(?:B|KiB|MiB|GiB)",
        "write a number above zero and a unit: 64KiB or 32MiB",
        *("64KiB", "32MiB"),
    ),
]
Share = Annotated[
    str,
    form(
        r"(?:100(?:\.0{1,3})?|[0-9]{1,2}(?:\.[0-9]{1,3})?)%",
        "write a percentage from 0% to 100%, with up to three decimals: 1% or 0.5%",
        *("1%", "0.5%", "100%"),
    ),
]
SecretReference = Annotated[
    str,
    form(
        r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+",
        "write env:NAME or file:/run/secrets/name, and put the key there",
        *("env:OPENAI_API_KEY", "file:/run/secrets/openai"),
    ),
]
Tag = Annotated[
    str, form(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}", "use up to 64 letters, digits and . _ : / -", "team:search")
]
Host = Annotated[
    str,
    form(
        r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]",
        "write a host name without scheme, port or path",
        "relay.example.com",
    ),
]
Url = Annotated[str, Meta(max_length=2000, examples=["https://api.example.com/v1"])]
Tokens = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Count = Annotated[int, Meta(ge=1, le=10_000_000)]
Usd = Annotated[float, Meta(ge=0, le=1_000_000)]
Tags = Annotated[list[Tag], Meta(max_length=20)]
SchemaVersion = Literal[1]
