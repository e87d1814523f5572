"""Assessments as YAML files, one a router, to be reviewed and versioned like everything else of a configuration.

They stand in ``intelligence/`` below the folder of routers, whose own documents end at its top. Equal assessments are
equal bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from gateway.config import yaml
from gateway.config.files import Unreadable, read_regular, shown
from gateway.config.model import Router
from gateway.config.problems import Marks, Place, Problem, show
from gateway.intelligence.assessment import PARTS, Assessment, Assessments, Confidence, Source, Statement, by_key

FOLDER = "intelligence"
#: Bytes of one file.
_MOST_BYTES = 4 << 20
_HEAD = """\
# Assessments of the candidates of {router}, gathered from the web and to be reviewed like code:
# designators read them. Written by `llm-relay intelligence export`.
"""


#: Where msgspec says that a value is wrong, as in ``- at `$.assessments[0].sources[1].url```.
_AT = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.([A-Za-z_]+)|\[(\d+)\]")


class LockfileError(Exception):
    """A lockfile that cannot be used, with the places in it that say why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


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
    # A link that leads nowhere is a mistake, and not the absence of a file.
    if not os.path.lexists(target):
        return {}
    file = shown(folder, f"{FOLDER}/{router}.yaml")
    try:
        data = read_regular(target, _MOST_BYTES)
    except Unreadable as error:
        raise LockfileError((_problem(Place(file, Marks()), f"cannot be read: {error}"),)) from None
    if len(data) > _MOST_BYTES:
        raise LockfileError((_problem(Place(file, Marks()), f"the file is larger than {_MOST_BYTES:,} bytes"),))
    written = yaml.read(data)
    if written.problems:
        raise LockfileError(tuple(msgspec.structs.replace(problem, file=file) for problem in written.problems))
    return _read(written, Place(file, written.marks), router)


def check(folder: Path, routers: Iterable[Router]) -> tuple[Problem, ...]:
    """What is wrong with the files of all routers that are to read them."""
    found: list[Problem] = []
    for router in routers:
        if router.intelligence is not None and router.intelligence.source == "file":
            try:
                read(folder, router.name)
            except LockfileError as error:
                found += error.problems
    return tuple(found)


def _read(written: yaml.Written, place: Place, router: str) -> Assessments:
    try:
        file = msgspec.convert(written.value, _File)
    except msgspec.ValidationError as error:
        words = str(error)
        where = _AT.search(words)
        steps = tuple(name or int(index) for name, index in _STEP.findall(where[1] if where else ""))
        raise LockfileError((_problem(Place(place.file, place.marks, steps), _AT.sub("", words)),)) from None
    if file.router != router:
        raise LockfileError((_problem(place / "router", f"it belongs to the router {show(file.router)}"),))
    found = {}
    for index, entry in enumerate(file.assessments):
        here = place / "assessments" / index
        assessment = Assessment(router=router, **msgspec.structs.asdict(entry))
        if flaw := assessment.flaw:
            raise LockfileError((_problem(here, flaw),))
        if (router, entry.candidate) in found:
            raise LockfileError((_problem(here / "candidate", f"{show(entry.candidate)} stands twice"),))
        found[router, entry.candidate] = assessment
    return found


def _problem(place: Place, message: str) -> Problem:
    return place.problem("E404", message, "correct it, or write it anew with `llm-relay intelligence export`")


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
