"""Words of Anthropic's Messages API that requests, answers and streams share, and their sense in the hub.

Sources: the API reference of the Messages API (``POST /v1/messages``), "Streaming messages", "Handling stop reasons".
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from gateway.chat import FinishReason, Usage

PATH = "/v1/messages"

#: The signature given to thoughts that came over the hub without one: Anthropic refuses a thought that it did not
#: sign, so a thought that comes back with this mark is kept for other wires and taken out for this one.
UNSIGNED = "llm-relay-unsigned"

_FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}

_STOP: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "content_filter": "refusal",
    "pause": "pause_turn",
}


def finish_reason(stop_reason: str) -> FinishReason:
    """The hub's word for a ``stop_reason``; one that is not known yet is an ordinary end."""
    return _FINISH.get(stop_reason, "stop")


def stop_reason(finish: FinishReason, *, called: bool) -> str:
    """The ``stop_reason`` for the hub's word; ``called`` says whether the answer has tool calls.

    Clients run tools only on ``tool_use``, and some providers end an answer with tool calls as any other.
    """
    if called and finish == "stop":
        return "tool_use"
    return _STOP[finish]


# --- usage ----------------------------------------------------------------------------------------------------------


class OutputDetails(msgspec.Struct, gc=False):
    """``usage.output_tokens_details``."""

    thinking_tokens: int | None = None


class WireUsage(msgspec.Struct, gc=False):
    """``usage`` as this wire counts: ``input_tokens`` has neither of the two cache counts in it."""

    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None

    def update(self, later: WireUsage) -> None:
        """Take over what ``later`` knows. Counts are cumulative: set, never add."""
        if later.input_tokens is not None:
            self.input_tokens = later.input_tokens
        if later.cache_read_input_tokens is not None:
            self.cache_read_input_tokens = later.cache_read_input_tokens
        if later.cache_creation_input_tokens is not None:
            self.cache_creation_input_tokens = later.cache_creation_input_tokens
        if later.output_tokens is not None:
            self.output_tokens = later.output_tokens
        if later.output_tokens_details is not None:
            self.output_tokens_details = later.output_tokens_details

    def hub(self) -> Usage:
        """The same in the hub's terms, where ``input`` is the whole prompt."""
        read = _count(self.cache_read_input_tokens)
        written = _count(self.cache_creation_input_tokens)
        rest = _count(self.input_tokens)
        details = self.output_tokens_details
        return Usage(
            input=None if rest is None else rest + (read or 0) + (written or 0),
            output=_count(self.output_tokens),
            cache_read=read,
            cache_write=written,
            reasoning=None if details is None else _count(details.thinking_tokens),
        )


def _count(value: int | None) -> int | None:
    return value if value is None or value >= 0 else None


def wire_usage(usage: Usage) -> dict[str, Any]:
    """``usage`` as clients of this wire read it; both totals are required there, so unknown becomes 0."""
    read, written = usage.cache_read or 0, usage.cache_write or 0
    told: dict[str, Any] = {"input_tokens": max((usage.input or 0) - read - written, 0)}
    if usage.cache_write is not None:
        told["cache_creation_input_tokens"] = written
    if usage.cache_read is not None:
        told["cache_read_input_tokens"] = read
    told["output_tokens"] = usage.output or 0
    if usage.reasoning is not None:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return told


# --- tool calls -----------------------------------------------------------------------------------------------------

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def safe_id(call_id: str) -> str:
    """A tool call's id as Anthropic accepts it (``^[a-zA-Z0-9_-]+$``): itself, else one made from it, always the same.

    Clients are shown ids in this form too: what they send back may go to Anthropic as it is.
    """
    if _ID.fullmatch(call_id):
        return call_id
    return "toolu_" + hashlib.blake2b(call_id.encode(), digest_size=12).hexdigest()


def tool_input(arguments: str) -> msgspec.Raw:
    """A call's ``input``: the arguments where they are a JSON object, else the empty object."""
    try:
        _object.decode(arguments)
    except msgspec.MsgspecError:
        return msgspec.Raw(b"{}")
    return msgspec.Raw(arguments.encode())
