"""What a designator answered once, so that tests need neither keys nor a network: a file a router, for review.

``<folder>/recordings/<router>.yaml`` lies in a sub-folder, hence is no part of the configuration. An answer belongs to
one question: to the designator's model, its system prompt, with the assessments in it, and the user prompt. A change of
any of them leaves it stale, and a stale answer is as good as none.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from gateway.config import yaml
from gateway.config.files import Unreadable, read_regular, shown
from gateway.config.problems import show
from gateway.routing.decide import Ask, Policy

FOLDER = "recordings"

_MAX_BYTES = 4 << 20
#: Characters of an ask that are kept for whoever reads the file.
_FIRST_WORDS = 72


class RecordingsUnreadable(Exception):
    """The file is there and cannot be used; the message says where and why."""


class NotRecorded(Exception):
    """Nobody has recorded the answer to a question; the message says why."""


class Exchange(msgspec.Struct, frozen=True):
    """One question to a designator and its answer."""

    #: The latest ask in the request that was to be decided.
    ask: str
    #: The user prompt.
    user: str
    answer: str


class Recordings:
    """The answers to one router's tests that hold for ``policy``; ``missing`` says why there are no others."""

    def __init__(self, policy: Policy, answers: Mapping[str, str], missing: str = "", *, stale: bool = False) -> None:
        self._policy = policy
        self._answers = answers
        self.missing = missing
        #: Whether something is recorded, and none of it holds.
        self.stale = stale

    def find(self, user: str) -> str:
        """The answer to a user prompt. Raises NotRecorded."""
        answer = self._answers.get(_key(self._policy, user))
        if answer is not None:
            return answer
        raise NotRecorded(
            self.missing
            or "no answer of the designator is recorded for this request: it is new or has changed, or what is eligible"
        )

    def answer(self, policy: Policy, ask: Ask) -> str | None:
        """The answer to ``ask``, None where there is none, or where ``policy`` asks in another way."""
        return self._answers.get(_key(policy, ask.prompt.messages[-1].text))


def path_of(folder: Path, router: str) -> Path:
    """Where the answers for ``router`` are kept."""
    return folder / FOLDER / f"{router}.yaml"


def load(folder: Path, policy: Policy) -> Recordings:
    """What is recorded for the router of ``policy``; maybe nothing. Raises RecordingsUnreadable."""
    path = path_of(folder, policy.router.name)
    if not os.path.lexists(path):
        return Recordings(policy, {}, "no answers of the designator are recorded")
    written = _read(path, shown(folder, f"{FOLDER}/{path.name}"))
    if why := _outdated(written, policy):
        return Recordings(policy, {}, f"its recording is stale: {why}", stale=True)
    return Recordings(policy, {each.key: each.answer for each in written.answers})


def recorder(folder: Path, router: str) -> str:
    """The command that records what is missing."""
    named = "" if folder == Path("routers.d") else f"{shlex.quote(str(folder))} "
    return f"llm-relay test {named}--record --router {router}"


def save(folder: Path, policy: Policy, exchanges: Iterable[Exchange]) -> bool:
    """Replace what is recorded for the router of ``policy``; whether the file has changed.

    Equal exchanges give equal bytes. Without any the file is removed. Raises OSError.
    """
    path = path_of(folder, policy.router.name)
    by_key = {_key(policy, exchange.user): exchange for exchange in reversed(list(exchanges))}
    before = path.read_bytes() if path.exists() else None
    if not by_key:
        path.unlink(missing_ok=True)
        return before is not None
    data = _render(policy, dict(reversed(by_key.items()))).encode()
    if data == before:
        return False
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
    return True


def first_words(text: str, most: int = _FIRST_WORDS) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def quoted(text: str) -> str:
    """A quoted YAML scalar in one line, in which nothing hides."""
    if '"' in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character == "\n":
        return "\\n"
    if character.isprintable():
        return character
    code = ord(character)
    if 0xD800 <= code < 0xE000:
        # Half a character, which no text in YAML can hold.
        return "\ufffd"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


# --- the file ---------------------------------------------------------------------------------------------------------


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ask: str
    answer: str
    key: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    router: str
    designator: str
    prompt: str
    answers: list[_Answer]
    #: The prompt's digest without assessments, where there are some: it tells what has changed.
    unassessed: str | None = None


_HEAD = """\
# What the designator of {router} answered to the requests of the router's tests.
# Written by: llm-relay test --record --router {router}. Review a change here as you review code.
"""


def _key(policy: Policy, user: str) -> str:
    """16 hex digits over the question."""
    digest = hashlib.blake2b(digest_size=8)
    for text in (policy.router.designator.model.id, policy.digest, user):
        data = text.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def _outdated(written: _File, policy: Policy) -> str:
    """Why what was written does not hold for ``policy``; empty where it does."""
    if written.designator != policy.router.designator.model.id:
        return f"it is of another designator, {written.designator}"
    if written.prompt == policy.digest:
        return ""
    if (written.unassessed or written.prompt) == Policy(policy.router).digest:
        return "the assessments of its candidates have changed"
    return "the candidates, or what is said of them, have changed"


def _render(policy: Policy, exchanges: Mapping[str, Exchange]) -> str:
    router, unassessed = policy.router, Policy(policy.router).digest
    lines = [_HEAD.format(router=router.name)]
    fields = {"router": router.name, "designator": router.designator.model.id, "prompt": policy.digest}
    if unassessed != policy.digest:
        fields["unassessed"] = unassessed
    for name, value in fields.items():
        lines.append(f"{name}: {quoted(value)}\n")
    lines.append("answers:\n")
    for key, exchange in exchanges.items():
        lines.append(f"  - ask: {quoted(first_words(exchange.ask))}\n")
        lines.append(f"    answer: {quoted(exchange.answer)}\n    key: {quoted(key)}\n")
    return "".join(lines)


def _read(path: Path, name: str) -> _File:
    try:
        data = read_regular(path, _MAX_BYTES)
    except Unreadable as error:
        raise RecordingsUnreadable(f"{name}: cannot be read: {error}") from None
    if len(data) > _MAX_BYTES:
        raise RecordingsUnreadable(f"{name}: larger than {_MAX_BYTES:,} bytes")
    written = yaml.read(data)
    if written.problems:
        problem = written.problems[0]
        raise RecordingsUnreadable(f"{name}:{problem.line}:{problem.column}: {problem.message}")
    try:
        return msgspec.convert(written.value, _File)
    except msgspec.ValidationError as error:
        raise RecordingsUnreadable(f"{name}: not a recording: {show(str(error))}") from None
