"""YAML text to plain values and the places where they stand.

A strict, small YAML: one document, no anchors, aliases, merge keys or tags, no duplicate keys, and none of YAML 1.1's
surprises (``on``, ``012``, ``1:30`` and dates are text). Built on libyaml's events, one by one and without recursion,
so that neither depth nor size can hurt: reading stops at the first limit that is passed.
"""

from __future__ import annotations

import contextlib
import math
import re
from typing import NoReturn

import msgspec
import yaml
from yaml._yaml import CParser
from yaml._yaml import Mark as CMark

from gateway.config.problems import MAX_PROBLEMS, Marks, Place, Position, Problem, Steps, show

MAX_DEPTH = 32
MAX_NODES = 50_000

#: Integers that fit 64 bits, and floats with every digit that counts.
_MAX_INTEGER = 18
_MAX_NUMBER = 40

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
#: Everything that an editor does not show and YAML 1.2 does not need; the last three break lines in YAML 1.1 only.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff\u2028\u2029]")
_BOM = b"\xef\xbb\xbf"


class Written(msgspec.Struct, frozen=True):
    """A document as written. ``value`` is UNSET where the text could not be read to its end."""

    value: object
    marks: Marks
    problems: tuple[Problem, ...]


class _Stop(Exception):
    """Nothing more can be read."""


class _Reader:
    """One text on its way; a level of ``_stack`` is an open container with the way to it."""

    def __init__(self) -> None:
        self.marks = Marks({}, {})
        self.problems: list[Problem] = []
        self.root: object = msgspec.UNSET
        self.readable = True
        self._stack: list[tuple[list[object] | dict[str, object], Steps]] = []
        #: The key whose value comes next; None between entries.
        self._key: str | None = None
        #: Levels open below a key that is itself a container.
        self._skipping = 0
        self._nodes = 0
        self._documents = 0

    def add(self, code: str, position: Position, message: str, remedy: str = "", steps: Steps = ()) -> None:
        """Take down a problem; the file's name is added by the caller."""
        place = Place("", Marks({steps: position}), steps)
        self.problems.append(place.problem(code, message, remedy))

    def refuse(self, code: str, position: Position, message: str, remedy: str = "") -> None:
        """A problem after which the document's value means nothing."""
        self.readable = False
        self.add(code, position, message, remedy)
        if len(self.problems) > MAX_PROBLEMS:
            raise _Stop

    def stop(self, code: str, position: Position, message: str, remedy: str = "") -> NoReturn:
        """A problem after which nothing more can be read."""
        self.refuse(code, position, message, remedy)
        raise _Stop

    def read(self, text: str) -> None:
        """Everything in ``text``."""
        parser = CParser(text)
        try:
            while (event := parser.get_event()) is not None:
                self._handle(event)
        except yaml.MarkedYAMLError as error:
            position = _mark(error.problem_mark or error.context_mark)
            message = error.problem or error.context or "this is not YAML"
            opened = _mark(error.context_mark)[0]
            remedy = _UNCLOSED.get(error.context or "", "").format(opened) or _syntax_remedy(message)
            self.stop("E101", position, f"not YAML: {message}", remedy)
        finally:
            parser.dispose()
        if self._documents == 0:
            self.stop("E109", (1, 1), "the file holds no document", "write one, or delete the file")

    def _handle(self, event: yaml.Event) -> None:
        position = _mark(event.start_mark)
        match event:
            case yaml.ScalarEvent():
                self._checked(event, position)
                self._scalar(event, position)
            case yaml.MappingStartEvent():
                self._checked(event, position)
                self._open({}, position)
            case yaml.SequenceStartEvent():
                self._checked(event, position)
                self._open([], position)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.AliasEvent():
                self.refuse("E103", position, "an alias is not allowed", "write the value out")
                self._place(None, position)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self.stop("E105", position, "a second document begins here", "move it to a file of its own")
                if event.tags:
                    self.refuse("E103", position, "a %TAG directive is not allowed", "remove it")

    def _checked(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, position: Position) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self.stop("E110", position, f"the file has more than {MAX_NODES:,} values", "split it")
        if event.anchor is not None:
            self.refuse("E103", position, "an anchor is not allowed", "write the value out where it is used")
        if event.tag is not None:
            self.refuse("E103", position, "a tag is not allowed", "remove it")

    def _scalar(self, event: yaml.ScalarEvent, position: Position) -> None:
        plain = event.implicit[0] and not event.style
        text = event.value
        if self._skipping:
            return
        if plain and not text and not self._stack:
            self.stop("E109", position, "the document is empty", "write one, or delete the file")
        if self._awaits_key:
            self._take_key(text, position, plain)
        else:
            self._place(self._resolve(text, position) if plain else text, position)

    @property
    def _awaits_key(self) -> bool:
        return self._key is None and bool(self._stack) and isinstance(self._stack[-1][0], dict)

    def _take_key(self, key: str, position: Position, plain: bool) -> None:
        container, steps = self._stack[-1]
        if plain and key == "<<":
            self.refuse("E103", position, "a merge key is not allowed", "write the fields out")
        here = (*steps, key)
        if key in container:
            first = self.marks.key(here)[0]
            self.add("E104", position, f"the key {show(key)} stands twice", f"line {first} has it already", steps=here)
        else:
            self.marks.keys.setdefault(here, position)
        self._key = key

    def _resolve(self, text: str, position: Position) -> object:
        """A plain scalar's value after YAML 1.2's core schema, without octal and hexadecimal numbers."""
        if text in _WORDS:
            return _WORDS[text]
        if text[0] not in "-+.0123456789":
            return text
        whole = _INTEGER.fullmatch(text) is not None
        if whole and len(text) <= _MAX_INTEGER:
            return int(text)
        number = _FLOAT.fullmatch(text)
        if number is not None and (whole or len(text) > _MAX_NUMBER):
            self.add("E107", position, f"a number of {len(text):,} digits", "shorten or quote it", steps=self._steps)
            return 0
        if _NOT_FINITE.fullmatch(text) or (number is not None and not math.isfinite(float(text))):
            self.add("E203", position, f"{show(text)} is not a finite number", "write a number", steps=self._steps)
            return 0
        return float(text) if number is not None else text

    @property
    def _steps(self) -> Steps:
        """The way to the value that comes next."""
        if not self._stack:
            return ()
        container, steps = self._stack[-1]
        return (*steps, len(container) if isinstance(container, list) else self._key or "")

    def _place(self, value: object, position: Position) -> None:
        """Put a finished or freshly opened value where it belongs."""
        if self._skipping:
            return
        here = self._steps
        self.marks.values.setdefault(here, position)
        if not self._stack:
            self.root = value
            return
        container = self._stack[-1][0]
        if isinstance(container, list):
            container.append(value)
        elif self._key is not None:
            container.setdefault(self._key, value)
            self._key = None

    def _open(self, container: list[object] | dict[str, object], position: Position) -> None:
        if len(self._stack) + self._skipping >= MAX_DEPTH:
            self.stop("E106", position, f"nested more than {MAX_DEPTH} levels deep", "remove the nesting")
        if self._skipping:
            self._skipping += 1
        elif self._awaits_key:
            self.refuse("E102", position, "a key must be text", "write the key as a word")
            self._skipping = 1
        else:
            here = self._steps
            self._place(container, position)
            self._stack.append((container, here))

    def _close(self) -> None:
        if not self._skipping:
            self._stack.pop()
            self._key = None
            return
        self._skipping -= 1
        if not self._skipping:
            self._key = ""


def read(data: bytes) -> Written:
    """The one document in ``data``, with everything that is wrong with its text. Never raises."""
    reader = _Reader()
    with contextlib.suppress(_Stop):
        reader.read(_decode(data, reader))
    value = reader.root if reader.readable else msgspec.UNSET
    return Written(value, reader.marks, tuple(reader.problems))


def _mark(mark: yaml.Mark | CMark | None) -> Position:
    return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)


def _decode(data: bytes, reader: _Reader) -> str:
    body = data.removeprefix(_BOM)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        before = body[: error.start].decode()
        reader.stop("E108", _position(before), "the file is not UTF-8 text here", "save the file as UTF-8")
    found = _FORBIDDEN.search(text)
    if found is not None:
        name = f"U+{ord(found[0]):04X}"
        reader.stop("E108", _position(text[: found.start()]), f"the character {name} is not allowed", "remove it")
    return text


def _position(before: str) -> Position:
    """The place right after ``before``."""
    lines = before.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return len(lines), len(lines[-1]) + 1


_SYNTAX_REMEDIES = {
    "mapping values are not allowed": "quote a text that contains ': ', or check the indentation",
    "cannot start any token": "indent with spaces, and quote a text that begins with this character",
    "could not find expected ':'": "a key is followed by ': '",
    "did not find expected key": "check the indentation, and that nothing follows a closing quote or bracket",
    "did not find expected '-' indicator": "check the indentation",
    "did not find expected node content": "write a value, or close the bracket",
    "did not find expected <document start>": "remove what follows the closing bracket",
    "found unexpected ':'": "quote the text",
    "found a tab character": "indent with spaces",
    "escape c": "use single quotes, or write two backslashes for one",
    "directive": "remove the line that begins with %",
    "incompatible YAML document": "remove the line that begins with %",
    "anchor": "quote a text that begins with & or *",
    "maximum nesting depth": "remove the nesting",
}
#: What was open where it is noticed, often many lines further down; the number is the line where it began.
_UNCLOSED = {
    "while parsing a flow sequence": "close the bracket of line {}, or put a comma before this",
    "while parsing a flow mapping": "close the brace of line {}, or put a comma before this",
    "while scanning a quoted scalar": "close the quote of line {}",
}


def _syntax_remedy(message: str) -> str:
    for part, remedy in _SYNTAX_REMEDIES.items():
        if part in message:
            return remedy
    return ""
