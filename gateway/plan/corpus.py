"""Example requests to decide again: one JSON object a line, or a YAML list.

Each names its ``router`` and has an ``ask``, or ``messages`` and whatever else a request to
``/v1/chat/completions`` may have (tools, max_tokens, response_format, …). ``usage: {input: …, output: …}`` are the
tokens that it took, where they are known.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.chat import ChatRequest
from gateway.config import yaml
from gateway.config.problems import show
from gateway.errors import BadRequest
from gateway.routing.decide import Excerpt
from gateway.routing.eligible import Needs, needs
from gateway.wire import DIALECTS
from gateway.wire.text import shown

#: Tokens of an answer whose length nobody recorded.
ASSUMED_OUTPUT = 500
#: Requests in one file.
MOST = 10_000
_SHOWN = 72

Tokens = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class Usage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens that a request took."""

    input: Tokens | None = None
    output: Tokens | None = None


class Recorded(msgspec.Struct, frozen=True):
    """What came of asking a designator about a request when it was served."""

    #: See :func:`gateway.routing.decide.question`.
    question: str
    #: The candidate that it named; empty where it named none or did not answer, and the fallback served.
    text: str


class Sample(msgspec.Struct, frozen=True):
    """One request: written down by somebody, or what a gateway kept of it."""

    router: str
    request: ChatRequest | Excerpt
    usage: Usage = Usage()
    #: The place in the file, or the request's id.
    where: str = ""
    recorded: Recorded | None = None

    @property
    def needs(self) -> Needs:
        """What the request demands of a model."""
        request = self.request
        return request.needs if isinstance(request, Excerpt) else needs(request)

    @property
    def shown(self) -> str:
        """The head of the latest user turn, in one line that is safe to print."""
        text = " ".join(shown(self._ask).split())
        return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"

    @property
    def _ask(self) -> str:
        if isinstance(self.request, Excerpt):
            return self.request.brief.ask
        return next((message.text for message in reversed(self.request.messages) if message.role == "user"), "")


class CorpusError(Exception):
    """The file is not what it should be; says where, and why."""


class _Written(msgspec.Struct, frozen=True):
    """The fields that are ours; all others are the request's."""

    router: str
    ask: str | UnsetType = UNSET
    messages: list[Any] | UnsetType = UNSET
    usage: Usage = Usage()


def read(path: Path) -> list[Sample]:
    """The requests in ``path``, in order. Raises CorpusError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror or error}") from error
    entries = _yaml(path, data) if path.suffix in (".yaml", ".yml") else _lines(path, data)
    if not entries:
        raise CorpusError(f"{path}: there are no requests in it")
    if len(entries) > MOST:
        raise CorpusError(f"{path}: more than {MOST:,} requests")
    return [_sample(where, value) for where, value in entries]


def check_routers(samples: Iterable[Sample], *routers: Container[str]) -> None:
    """Raises CorpusError where a request is for a router that is in none of ``routers``: it is misspelt, not moved."""
    for sample in samples:
        if not any(sample.router in there for there in routers):
            raise CorpusError(f"{sample.where}: there is no router {show(sample.router)}, before or after")


def _lines(path: Path, data: bytes) -> list[tuple[str, Any]]:
    entries = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            where = f"{path}:{number}"
            try:
                entries.append((where, msgspec.json.decode(line)))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise CorpusError(f"{where}: not one JSON object a line: {error}") from error
    return entries


def _yaml(path: Path, data: bytes) -> list[tuple[str, Any]]:
    written = yaml.read(data)
    if written.problems:
        first = written.problems[0]
        raise CorpusError(f"{path}:{first.line}:{first.column}: {first.message}")
    if not isinstance(written.value, list):
        raise CorpusError(f"{path}: {show(written.value)} is not a list of requests")
    return [(f"{path}:{written.marks.value((index,))[0]}", value) for index, value in enumerate(written.value)]


def _sample(where: str, value: Any) -> Sample:
    try:
        ours = msgspec.convert(value, _Written)
    except msgspec.ValidationError as error:
        raise CorpusError(f"{where}: {error}") from error
    if (ours.ask is UNSET) == (ours.messages is UNSET):
        raise CorpusError(f"{where}: a request has either ask or messages")
    body = {name: field for name, field in value.items() if name not in ("router", "ask", "usage")}
    messages = ours.messages if ours.ask is UNSET else [{"role": "user", "content": ours.ask}]
    try:
        request = DIALECTS["openai"].decode_request(
            msgspec.json.encode({**body, "model": ours.router, "messages": messages})
        )
    except BadRequest as error:
        raise CorpusError(f"{where}: {error.message}") from error
    return Sample(ours.router, request, ours.usage, where)
