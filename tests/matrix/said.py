"""What is said in a chat, in nobody's dialect: what a client asks, and what a model replies.

Clients (:mod:`tests.matrix.clients`) write an :class:`Ask` and hear a :class:`Reply`; providers
(:mod:`tests.matrix.providers`) read the one and write the other. A cell of the matrix holds where both come out as they
went in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Call:
    """A tool call; ``id`` is empty where a protocol says none."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class User:
    """A user's turn: a text, and PNG pictures as base64."""

    text: str
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assistant:
    """A model's earlier turn."""

    text: str = ""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Result:
    """What the tool ``name`` answered to the call ``id``."""

    id: str
    name: str
    text: str


Turn = User | Assistant | Result


@dataclass(frozen=True)
class Tool:
    """A declared tool with its JSON Schema."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """A whole request."""

    turns: tuple[Turn, ...]
    system: str = ""
    tools: tuple[Tool, ...] = ()
    max_tokens: int = 100
    stop: tuple[str, ...] = ()
    temperature: float | None = None

    def numbered(self) -> Ask:
        """The same with calls numbered in their order: not every protocol has ids, and results must fit all the same.

        A result of no call fails the test.
        """
        numbers: dict[str, str] = {}
        turns: list[Turn] = []
        for turn in self.turns:
            if isinstance(turn, Assistant):
                for call in turn.calls:
                    assert call.id not in numbers
                    numbers[call.id] = f"call {len(numbers)}"
                turn = replace(turn, calls=tuple(replace(call, id=numbers[call.id]) for call in turn.calls))
            elif isinstance(turn, Result):
                turn = replace(turn, id=numbers[turn.id])
            turns.append(turn)
        return replace(self, turns=tuple(turns))


Stop = Literal["stop", "length", "tools"]


@dataclass(frozen=True)
class Reply:
    """A whole answer; ``input`` and ``output`` are tokens, ``cached`` those of ``input`` that were not read anew."""

    text: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    stop: Stop = "stop"
    input: int | None = 7
    output: int | None = 5
    cached: int | None = None


def names(turns: list[Turn]) -> dict[str, str]:
    """The names of the tools that were called so far, by the calls' ids."""
    return {call.id: call.name for turn in turns if isinstance(turn, Assistant) for call in turn.calls}
