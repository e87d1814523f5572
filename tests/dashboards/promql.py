"""PromQL as a tree: as much of the language as dashboards and rules use. Anything else is a :class:`Mistake`.

Source of the grammar: prometheus.io/docs/prometheus/latest/querying, "basics" and "operators".
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

_TOKENS = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<duration>(?:\d+(?:ms|[smhdwy]))+)(?![\w.])
      | (?P<number>\d+(?:\.\d+)?(?:e[-+]?\d+)?)
      | (?P<name>[a-zA-Z_:][\w:]*)
      | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){}\[\],])
    )""",
    re.VERBOSE,
)
#: From the loosest to the tightest.
_BINARY = (("or",), ("and", "unless"), ("==", "!=", ">", "<", ">=", "<="), ("+", "-"), ("*", "/", "%"))
_AGGREGATIONS = {"sum", "min", "max", "avg", "count", "topk", "bottomk", "quantile"}


class Mistake(Exception):
    """The expression is not what it should be; says why."""


class Number(NamedTuple):
    value: float


class Text(NamedTuple):
    value: str


class Selector(NamedTuple):
    """``metric{label="value"}[range] offset …``; matchers are label, operator and value."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]
    range: str | None


class Call(NamedTuple):
    function: str
    arguments: tuple[Node, ...]


class Aggregation(NamedTuple):
    function: str
    by: tuple[str, ...]
    over: Node


class Binary(NamedTuple):
    """``on`` None means all labels; ``many`` is the side with several series to one of the other."""

    operator: str
    left: Node
    right: Node
    on: tuple[str, ...] | None
    many: Literal["left", "right"] | None


Node = Number | Text | Selector | Call | Aggregation | Binary


def parse(text: str) -> Node:
    """The tree of one expression. Raises Mistake."""
    parser = _Parser(text)
    node = parser.binary(0)
    if parser.here:
        raise Mistake(f"{parser.here!r} comes after the end of {text!r}")
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        self._next = 0
        position = 0
        while text[position:].strip():
            match = _TOKENS.match(text, position)
            if match is None:
                raise Mistake(f"not PromQL: {text[position:]!r}")
            assert match.lastgroup is not None
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()

    @property
    def here(self) -> str:
        """The token to be read; empty at the end."""
        return self._tokens[self._next][1] if self._next < len(self._tokens) else ""

    def _take(self, kind: str) -> str:
        found, text = self._tokens[self._next] if self._next < len(self._tokens) else ("end", "the end")
        if found != kind:
            raise Mistake(f"{text!r} where a {kind} belongs")
        self._next += 1
        return text

    def _skip(self, text: str) -> bool:
        if self.here != text:
            return False
        self._next += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._skip(text):
            raise Mistake(f"{self.here!r} where {text!r} belongs")

    def binary(self, level: int) -> Node:
        if level == len(_BINARY):
            return self._unit()
        left = self.binary(level + 1)
        while self.here in _BINARY[level]:
            operator = self.here
            self._next += 1
            self._skip("bool")
            on = self._names() if self._skip("on") else None
            many: Literal["left", "right"] | None = None
            for word, side in (("group_left", "left"), ("group_right", "right")):
                if self._skip(word):
                    many = "left" if side == "left" else "right"
                    if self._names():
                        raise Mistake("labels are taken from the other side")
            left = Binary(operator, left, self.binary(level + 1), on, many)
        return left

    def _unit(self) -> Node:
        if self._skip("("):
            node = self.binary(0)
            self._expect(")")
            return node
        kind = self._tokens[self._next][0] if self.here else "end"
        if kind == "number":
            return Number(float(self._take("number")))
        if kind == "string":
            return Text(self._take("string")[1:-1])
        name = self._take("name")
        if name in _AGGREGATIONS:
            return self._aggregation(name)
        if self._skip("("):
            return Call(name, self._arguments())
        return self._selector(name)

    def _aggregation(self, name: str) -> Node:
        by = self._names() if self._skip("by") else ()
        self._expect("(")
        arguments = self._arguments()
        if self.here in ("by", "without") or len(arguments) != 1:
            raise Mistake(f"write {name} by (…) (…)")
        return Aggregation(name, by, arguments[0])

    def _arguments(self) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._skip(")"):
            found.append(self.binary(0))
            if self.here != ")":
                self._expect(",")
        return tuple(found)

    def _selector(self, name: str) -> Node:
        matchers = []
        if self._skip("{"):
            while not self._skip("}"):
                label, operator = self._take("name"), self._take("sign")
                matchers.append((label, operator, self._take("string")[1:-1]))
                if self.here != "}":
                    self._expect(",")
        span = None
        if self._skip("["):
            span = self._take("duration")
            self._expect("]")
        if self._skip("offset"):
            self._take("duration")
        return Selector(name, tuple(matchers), span)

    def _names(self) -> tuple[str, ...]:
        found = []
        self._expect("(")
        while not self._skip(")"):
            found.append(self._take("name"))
            if self.here != ")":
                self._expect(",")
        return tuple(found)
