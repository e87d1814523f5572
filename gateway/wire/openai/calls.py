"""Tool calls as providers write them, to the hub's."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.chat import ToolCall, ToolCallDelta

#: What a call without arguments is called with; nothing at all is not JSON, and clients parse it.
NO_ARGUMENTS = "{}"


def whole_call(value: Any) -> ToolCall | None:
    """One of a whole message's ``tool_calls``, or its ``function_call``; None where it is neither."""
    if type(value) is not dict:
        return None
    custom = value.get("custom")
    if value.get("type") == "custom" and type(custom) is dict:
        # A custom tool takes free text, which the hub has no word for.
        arguments = msgspec.json.encode({"input": _word(custom.get("input")) or ""}).decode()
        return ToolCall(_word(value.get("id")) or "", _word(custom.get("name")) or "", arguments)
    function = value.get("function", value)
    if type(function) is not dict:
        return None
    arguments = _arguments(function.get("arguments")) or NO_ARGUMENTS
    return ToolCall(_word(value.get("id")) or "", _word(function.get("name")) or "", arguments)


class _Call(msgspec.Struct, gc=False):
    index: int
    id: str | None
    name: str | None = None
    #: Whether any arguments have been seen.
    begun: bool = False
    #: Arguments that came before the name.
    held: str = ""


class Calls:
    """The tool calls of one streamed answer, and which of them each fragment belongs to.

    The reference numbers calls with ``index`` and gives ``id`` and ``name`` with a call's first fragment. Seen in the
    wild: no index; one index for all calls; the id or the name again with every fragment; another id with every
    fragment; no id; the name late; arguments missing, null or not a string. Hence: an index or, without one, a known
    id says which call it is, and a fragment that has both a name and a new id begins a call whatever else it says.
    """

    __slots__ = ("_at", "_calls")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._at: dict[int | str, _Call] = {}

    def read(self, fragment: Any) -> ToolCallDelta | None:
        """What ``fragment``, an item of a delta's ``tool_calls``, adds; None where that is nothing yet."""
        if type(fragment) is not dict:
            return None
        function = fragment.get("function")
        if type(function) is not dict:
            function = {}
        name, arguments = _word(function.get("name")), _arguments(function.get("arguments"))
        call = self._find(fragment.get("index"), _word(fragment.get("id")), name)
        call.begun = call.begun or bool(arguments)
        if call.name is not None:
            return ToolCallDelta(call.index, arguments=arguments) if arguments else None
        if name is None:
            call.held += arguments
            return None
        call.name = name
        return ToolCallDelta(call.index, call.id, name, call.held + arguments)

    def rest(self) -> list[ToolCallDelta]:
        """What is still missing at the end of the answer: arguments that never came, calls without a name."""
        deltas: list[ToolCallDelta] = []
        for call in self._calls:
            if call.name is None:
                deltas.append(ToolCallDelta(call.index, call.id, "", call.held or NO_ARGUMENTS))
            elif not call.begun:
                deltas.append(ToolCallDelta(call.index, arguments=NO_ARGUMENTS))
        return deltas

    def _find(self, position: Any, call_id: str | None, name: str | None) -> _Call:
        call: _Call | None
        if type(position) is int:
            call = self._at.get(position)
        elif call_id is not None and (name is not None or call_id in self._at):
            call = self._at.get(call_id)
        else:
            call = self._calls[-1] if self._calls else None
            if call is not None and call.name is not None and name is not None:
                call = None
        if call is None or (name is not None and call_id is not None and call.id not in (None, call_id)):
            call = _Call(len(self._calls), call_id)
            self._calls.append(call)
        if type(position) is int:
            self._at[position] = call
        if call_id is not None:
            call.id = call.id or call_id
            self._at[call_id] = call
        return call


def _word(value: Any) -> str | None:
    return value if type(value) is str and value else None


def _arguments(value: Any) -> str:
    if type(value) is str:
        return value
    return "" if value is None else msgspec.json.encode(value).decode()
