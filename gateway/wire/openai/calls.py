"""Tool calls as providers write them, to the hub's."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.chat import ToolCall, ToolCallDelta
from gateway.wire.text import is_json

#: What a call without arguments is called with; nothing at all is not JSON, and clients parse it.
NO_ARGUMENTS = "{}"

#: text-generation-inference's id for each and every call, which is as good as none.
EVERY_CALLS_ID = "0"


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
    #: The arguments so far.
    arguments: str = ""

    def is_whole(self) -> bool:
        """Whether nothing can be added to the arguments."""
        return is_json(self.arguments)


class Calls:
    """The tool calls of one streamed answer, and which of them each fragment belongs to.

    The reference numbers calls with ``index`` and gives ``id`` and ``name`` with a call's first fragment. Seen in the
    wild: no index; one index for all calls; the id or the name again with every fragment; another id with every
    fragment; no id; the name late; arguments missing, null or not a string. Hence: an index or, without one, a known
    id says which call it is, and a fragment that has both a name and a new id begins a call whatever else it says.
    Gemini has had one index for all calls and no ids: then another name begins a call, and so does the same name with
    arguments where those before are whole.
    """

    __slots__ = ("_at", "_calls")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._at: dict[int | str, _Call] = {}

    def read(self, fragment: Any) -> ToolCallDelta | None:
        """What ``fragment``, an item of a delta's ``tool_calls``, adds; None where that is nothing yet."""
        if type(fragment) is not dict:
            return None
        call, name, arguments = self._take(fragment)
        if call.name is not None:
            return ToolCallDelta(call.index, arguments=arguments) if arguments else None
        if name is None:
            return None
        call.name = name
        return ToolCallDelta(call.index, call.id, name, call.arguments)

    def rest(self) -> list[ToolCallDelta]:
        """What is still missing at the end of the answer: arguments that never came, calls without a name."""
        deltas: list[ToolCallDelta] = []
        for call in self._calls:
            if call.name is None:
                deltas.append(ToolCallDelta(call.index, call.id, "", call.arguments or NO_ARGUMENTS))
            elif not call.arguments:
                deltas.append(ToolCallDelta(call.index, arguments=NO_ARGUMENTS))
        return deltas

    def _take(self, fragment: dict[str, Any]) -> tuple[_Call, str | None, str]:
        """The call to which ``fragment`` belongs, with its arguments now, and the fragment's name and arguments."""
        function = fragment.get("function")
        if type(function) is not dict:
            function = {}
        name, arguments = _word(function.get("name")), _arguments(function.get("arguments"))
        call_id = _word(fragment.get("id"))
        call = self._find(fragment.get("index"), None if call_id == EVERY_CALLS_ID else call_id, name, arguments)
        call.arguments += arguments
        return call, name, arguments

    def _find(self, position: Any, call_id: str | None, name: str | None, arguments: str) -> _Call:
        call: _Call | None
        if type(position) is int:
            call = self._at.get(position)
        elif call_id is not None and (name is not None or call_id in self._at):
            call = self._at.get(call_id)
        else:
            call = self._calls[-1] if self._calls else None
            if call is not None and call.name is not None and name is not None:
                call = None
        if call is None or (name is not None and _is_another(call, call_id, name, arguments)):
            call = _Call(len(self._calls), call_id)
            self._calls.append(call)
        if type(position) is int:
            self._at[position] = call
        if call_id is not None:
            call.id = call.id or call_id
            self._at[call_id] = call
        return call


def _is_another(call: _Call, call_id: str | None, name: str, arguments: str) -> bool:
    """Whether a fragment with a name begins a call after ``call``, to which its index points."""
    if call_id is not None:
        return call.id not in (None, call_id)
    return call.name is not None and (name != call.name or (bool(arguments) and call.is_whole()))


def _word(value: Any) -> str | None:
    return value if type(value) is str and value else None


def _arguments(value: Any) -> str:
    if type(value) is str:
        return value
    return "" if value is None else msgspec.json.encode(value).decode()
