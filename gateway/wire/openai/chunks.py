"""The objects of an answer as providers of this wire really send them, streamed or whole.

The shape is that of OpenAI's API reference ("The chat completion object", "The chat completion chunk object"). Leaves
are typed ``Any``, since providers put lists, objects and nulls where the reference has a string; only what carries the
structure is checked.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from gateway.chat import FinishReason, Usage
from gateway.errors import UpstreamInvalidResponse
from gateway.wire import sse
from gateway.wire.openai import told
from gateway.wire.openai.calls import EVERY_CALLS_ID
from gateway.wire.text import lenient


class Delta(msgspec.Struct, gc=False):
    """A message, or some more of one."""

    content: Any = None
    refusal: Any = None
    #: DeepSeek, Z.AI, Moonshot.
    reasoning_content: Any = None
    #: Groq, OpenRouter, vLLM.
    reasoning: Any = None
    #: OpenRouter and Snowflake: the thinking with its signatures, often beside one of the two above.
    reasoning_details: Any = None
    tool_calls: Any = None
    #: What came before tool calls: one call, without an id.
    function_call: Any = None

    def calls(self) -> list[Any]:
        """The tool calls, or fragments of them; text-generation-inference streams one without a list around it."""
        calls = self.tool_calls
        return calls if type(calls) is list else [calls] if type(calls) is dict else []

    def says_something(self) -> bool:
        """Whether there is content here, in the sense of :attr:`gateway.wire.protocol.Progress.content`."""
        # A call is content only if it names something: Snowflake sends an empty one with every message.
        return bool(
            self.content
            or self.refusal
            or self.reasoning_content
            or self.reasoning
            or self.reasoning_details
            or self.tool_calls
            or legacy_call(self) is not None
        )

    def first_call_id(self) -> str | None:
        """The id of the first tool call: "" where it has none, None where there is no call."""
        if calls := self.calls():
            call_id = calls[0].get("id") if type(calls[0]) is dict else None
            return call_id if type(call_id) is str and call_id != EVERY_CALLS_ID else ""
        return None if legacy_call(self) is None else ""


class Choice(msgspec.Struct, gc=False):
    """One alternative of a streamed answer; there is one unless the request's ``n`` says otherwise."""

    index: Any = 0
    delta: Delta | None = None
    finish_reason: Any = None
    #: OpenRouter's in-band error.
    error: Any = None


class Chunk(msgspec.Struct, gc=False):
    """One event of a stream."""

    id: Any = None
    model: Any = None
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    x_groq: Any = None


class WholeChoice(msgspec.Struct, gc=False):
    """One alternative of a whole answer."""

    index: Any = 0
    message: Delta | None = None
    finish_reason: Any = None
    #: What the first vision models sent instead of a finish reason.
    finish_details: Any = None
    error: Any = None


class Completion(msgspec.Struct, gc=False):
    """A whole answer."""

    id: Any = None
    model: Any = None
    choices: list[WholeChoice] | None = None
    usage: Any = None
    error: Any = None


#: What :func:`read` gives for the wire's terminator.
DONE = Chunk()

_chunk = msgspec.json.Decoder(Chunk).decode
_anything = msgspec.json.Decoder().decode
_NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _PlainDelta(msgspec.Struct, gc=False):
    content: Annotated[str, msgspec.Meta(min_length=1)]
    tool_calls: None = None


class _PlainChoice(msgspec.Struct, gc=False):
    delta: _PlainDelta
    finish_reason: None = None
    error: None = None


class _Plain(msgspec.Struct, gc=False):
    choices: Annotated[list[_PlainChoice], msgspec.Meta(min_length=1)]
    usage: None = None
    error: None = None
    x_groq: None = None


_plain = msgspec.json.Decoder(_Plain).decode_lines


def plain(stream: bytes) -> int:
    """How many bytes at the beginning of a stream are whole events that bring some text, and nothing else.

    These are nearly all there are, and are told here all at once. 0 is no verdict: each event must then be read.
    """
    if stream[:6] != b"data: ":
        return 0
    # What stops the answer, or comes after it, is not plain, and comes last.
    last = stream.find(b'"finish_reason":"')
    end = stream.rfind(b"\n\n", 0, last if last >= 0 else len(stream)) + 2
    if end == 1:
        return 0
    whole = stream if end == len(stream) else stream[:end]
    try:
        _plain(whole[6:].replace(b"\n\ndata: ", b"\n"))
    except _NOT_JSON:
        return 0
    return end


def read(event: bytes) -> Chunk | None:
    """What one raw event says: a chunk, :data:`DONE`, or None where it says nothing (a comment, a bare id).

    Raises UpstreamInvalidResponse where the event is not of this wire.
    """
    if event[:6] == b"data: ":
        # Nearly every event is one line of data, and to JSON the line ends after it are white space. Whatever is not
        # as simple fails here and is read by the rules below.
        try:
            chunk = _chunk(event[6:])
        except _NOT_JSON:
            pass
        else:
            return chunk if chunk.choices is not None or chunk.error else _without_choices(chunk, event[6:])
    data = sse.data(event)
    if data is None or not (data := data.strip()):
        return None
    if data == b"[DONE]":
        return DONE
    try:
        chunk = lenient(_chunk, data)
    except _NOT_JSON:
        return _without_choices(Chunk(), data)
    return chunk if chunk.choices is not None or chunk.error else _without_choices(chunk, data)


def _without_choices(chunk: Chunk, data: bytes) -> Chunk:
    """``chunk``, with the error that ``data`` may be in a shape of its own (vLLM's flat one, Gemini's array)."""
    try:
        value = _anything(data)
    except _NOT_JSON as error:
        raise UpstreamInvalidResponse("the provider sent an event that is not JSON") from error
    if told.is_error(value):
        chunk.error = value
    elif type(value) is not dict or value.get("choices") is not None:
        raise UpstreamInvalidResponse("the provider sent an event that is not a chat completion chunk")
    return chunk


def legacy_call(delta: Delta) -> dict[str, Any] | None:
    """The ``function_call`` of a message, unless it is the empty one that Snowflake sends with every message."""
    call = delta.function_call
    return call if type(call) is dict and (call.get("name") or call.get("arguments")) else None


# --- finish reasons ---------------------------------------------------------------------------------------------------

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    # Together; providers that hand Anthropic's or Gemini's words on; Mistral; Z.AI.
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_length": "length",
    "refusal": "refusal",
    "pause_turn": "pause",
    "safety": "content_filter",
    "recitation": "content_filter",
    "sensitive": "content_filter",
    "prohibited_content": "content_filter",
    "blocklist": "content_filter",
    "error_toxic": "content_filter",
    "error_limit": "length",
}

#: Finish reasons that say that the answer failed (OpenRouter and Mistral; DeepSeek; Z.AI; vLLM; Gemini, whose
#: function_call_filter took a tool call out of the answer).
_FAILED = frozenset(
    {"error", "insufficient_system_resource", "network_error", "abort"}
    | {"function_call_filter", "malformed_function_call"}
)


def _reason(value: Any) -> str:
    """A finish reason in lower case, without the detail that Gemini appends: ``content_filter: SAFETY``."""
    return value.partition(":")[0].strip().lower() if type(value) is str else ""


def failed(value: Any) -> bool:
    """Whether a finish reason says that the answer failed."""
    return _reason(value) in _FAILED


def finish_reason(value: Any, *, called: bool) -> FinishReason:
    """The hub's word for a provider's finish reason; ``called`` says whether the answer calls a tool."""
    reason = _FINISH.get(_reason(value), "stop")
    # Gemini and Ollama finish a tool call with "stop", others with nothing at all.
    return "tool_calls" if called and reason == "stop" else reason


# --- usage ------------------------------------------------------------------------------------------------------------

_UNKNOWN = Usage()


def usage_of(value: Any, x_groq: Any = None) -> Usage:
    """Tokens from a ``usage`` object, or from Groq's own place for it in streams."""
    if type(value) is not dict and type(x_groq) is dict:
        value = x_groq.get("usage")
    if type(value) is not dict:
        return _UNKNOWN
    prompt, output = _count(value.get("prompt_tokens")), _count(value.get("completion_tokens"))
    total = _count(value.get("total_tokens"))
    cache_read = _first(value, "prompt_tokens_details", "cached_tokens", _CACHE_READ)
    cache_write = _first(value, "prompt_tokens_details", "cache_write_tokens", ("cache_creation_input_tokens",))
    reasoning = _first(value, "completion_tokens_details", "reasoning_tokens", ("reasoning_tokens",))
    if prompt is not None and output is not None and total is not None and total > prompt + output:
        # xAI and Gemini leave reasoning out of completion_tokens, and bill it; only the total tells.
        output = total - prompt
    return Usage(prompt, output, _part(cache_read, prompt), _part(cache_write, prompt), _part(reasoning, output))


# DeepSeek; Anthropic's models at Databricks; Mistral; Together.
_CACHE_READ = ("prompt_cache_hit_tokens", "cache_read_input_tokens", "num_cached_tokens", "cached_tokens")


def _first(usage: dict[str, Any], details: str, key: str, others: tuple[str, ...]) -> int | None:
    nested = usage.get(details)
    count = _count(nested.get(key)) if type(nested) is dict else None
    for other in others:
        if count is not None:
            break
        count = _count(usage.get(other))
    return count


def _count(value: Any) -> int | None:
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and value >= 0 else None


def _part(part: int | None, whole: int | None) -> int | None:
    """A part is never more than its whole, though xAI has reported more cached tokens than prompt tokens."""
    return whole if part is not None and whole is not None and part > whole else part
