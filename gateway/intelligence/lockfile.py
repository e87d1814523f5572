"""Assessments as YAML files, one a router, to be reviewed and versioned like everything else of a configuration.

They stand in ``intelligence/`` below the folder of routers, whose own documents end at its top. Equal assessments are
equal bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from gateway.config import yaml
from gateway.config.files import Unreadable, read_regular
from gateway.intelligence.assessment import PARTS, Assessment, Assessments, Confidence, Source, Statement, by_key

FOLDER = "intelligence"
#: Bytes of one file.
_MOST_BYTES = 4 << 20
_HEAD = """\
# Assessments of the candidates of {router}, gathered from the web and to be reviewed like code:
# designators read them. Written by `llm-relay intelligence export`.
"""


class LockfileError(Exception):
    """A lockfile that cannot be used; the message names the file and the reason."""


def path(folder: Path, router: str) -> Path:
    """Where the assessments of a router stand."""
    return folder / FOLDER / f"{router}.yaml"


def render(router: str, assessments: Iterable[Assessment]) -> str:
    """The file of one router."""
    lines = [_HEAD.format(router=router), f"router: {_text(router)}", "assessments:"]
    for each in by_key(assessments).values():
        lines += _assessment(each)
    return "\n".join(lines) + "\n"


def write(folder: Path, router: str, assessments: Iterable[Assessment]) -> Path:
    """Write the file of one router, with one rename."""
    target = path(folder, router)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_text(render(router, assessments), encoding="utf-8")
    temporary.replace(target)
    return target


def read(folder: Path, router: str) -> Assessments:
    """The assessments in the file of one router; none where there is no file. Raises LockfileError."""
    target = path(folder, router)
    if not os.path.exists(target):
        return {}
    try:
        data = read_regular(target, _MOST_BYTES)
    except Unreadable as error:
        raise LockfileError(f"{target}: {error}") from None
    written = yaml.read(data)
    for problem in written.problems:
        raise LockfileError(f"{target}:{problem.line}:{problem.column} {problem.message}")
    try:
        file = msgspec.convert(written.value, _File)
    except msgspec.ValidationError as error:
        raise LockfileError(f"{target}: {error}") from None
    if file.router != router:
        raise LockfileError(f"{target}: it belongs to the router {file.router!r}")
    found = {}
    for entry in file.assessments:
        assessment = Assessment(router=router, **msgspec.structs.asdict(entry))
        if flaw := assessment.flaw:
            raise LockfileError(f"{target}: {assessment.candidate}: {flaw}")
        found[router, assessment.candidate] = assessment
    return found


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As in the file, where the router stands once."""

    candidate: str
    assessment: Statement
    strengths: tuple[Statement, ...] = ()
    weaknesses: tuple[Statement, ...] = ()
    best_for: tuple[Statement, ...] = ()
    avoid_for: tuple[Statement, ...] = ()
    confidence: Confidence
    sources: tuple[Source, ...]
    summarizer: str
    generated_at: str
    expires_at: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    router: str
    assessments: list[_Entry]


def _assessment(each: Assessment) -> Iterator[str]:
    yield f"  - candidate: {_text(each.candidate)}"
    yield f"    assessment: {_statement(each.assessment)}"
    for part in PARTS:
        statements: tuple[Statement, ...] = getattr(each, part)
        if statements:
            yield f"    {part}:"
            yield from (f"      - {_statement(statement)}" for statement in statements)
    yield f"    confidence: {each.confidence}"
    yield "    sources:"
    for source in each.sources:
        yield f"      - url: {_text(source.url)}"
        yield f"        title: {_text(source.title)}"
        if source.date:
            yield f"        date: {_text(source.date)}"
    yield f"    summarizer: {_text(each.summarizer)}"
    yield f"    generated_at: {_text(each.generated_at)}"
    yield f"    expires_at: {_text(each.expires_at)}"


def _statement(statement: Statement) -> str:
    sources = ", ".join(str(index) for index in statement.sources)
    return f"{{text: {_text(statement.text)}, sources: [{sources}]}}"


def _text(text: str) -> str:
    """A JSON string, which is a YAML one too, as nothing unseen is in an assessment."""
    return msgspec.json.encode(text).decode()
