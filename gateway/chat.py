"""The hub: one chat, independent of any provider's wire.

Every wire decodes its requests to :class:`ChatRequest` and its answers to :class:`Event` objects, and encodes from
them; so n wires need n modules and not n². What a wire alone knows travels beside the hub: ``ChatRequest.fields``
keeps the request's own JSON values, and they are passed on only where both ends speak the same wire.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class _Node(msgspec.Struct, frozen=True, gc=False):
    """Immutable and without reference cycles, hence not tracked by the garbage collector."""


# --- a request ------------------------------------------------------------------------------------------------------


class Text(_Node, frozen=True):
    """Plain text."""

    text: str


class Image(_Node, frozen=True):
    """A picture: base64 ``data`` with its ``media_type``, or a ``url`` that only the provider fetches."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    #: OpenAI's resolution hint (``low``, ``high``, ``auto``).
    detail: str | None = None


class Document(_Node, frozen=True):
    """A file, mostly a PDF: base64 ``data``, plain ``text``, a ``url``, or a provider's own ``file_id``."""

    media_type: str | None = None
    data: str | None = None
    text: str | None = None
    url: str | None = None
    file_id: str | None = None
    name: str | None = None


class Audio(_Node, frozen=True):
    """Sound as base64 ``data``; ``format`` is ``wav`` or ``mp3``."""

    data: str
    format: str


class ToolCall(_Node, frozen=True):
    """A model's wish to call ``name``; ``arguments`` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolResult(_Node, frozen=True):
    """What a tool answered to the call ``id`` (empty where the wire has no ids; then ``name`` is known)."""

    id: str
    parts: tuple[Text | Image | Document, ...]
    name: str | None = None
    is_error: bool = False


class Reasoning(_Node, frozen=True):
    """A model's thinking, replayed; ``signature`` and ``redacted`` are opaque proofs of the provider that wrote it."""

    text: str
    signature: str | None = None
    redacted: str | None = None


Part = Text | Image | Document | Audio | ToolCall | ToolResult | Reasoning
Role = Literal["system", "user", "assistant", "tool"]


class Message(_Node, frozen=True):
    """One turn. Tool results are turns of role ``tool``, also where a wire files them under the user."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The turn's plain text, parts joined by a line break."""
        parts = self.parts
        if len(parts) == 1 and type(parts[0]) is Text:
            return parts[0].text
        return "\n".join(part.text for part in parts if type(part) is Text)


class Tool(_Node, frozen=True):
    """A function that the model may call; ``parameters`` is a JSON Schema, None where the client gave none."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolChoice(_Node, frozen=True):
    """Whether a tool may, must or must not be called; ``named`` carries the tool's ``name``."""

    mode: Literal["auto", "none", "required", "named"]
    name: str | None = None


class ResponseFormat(_Node, frozen=True):
    """JSON mode: any object (``json``), or one after a JSON Schema."""

    mode: Literal["json", "json_schema"]
    schema: dict[str, Any] | None = None
    name: str | None = None
    strict: bool | None = None


class Effort(_Node, frozen=True):
    """How much a model should think: a level, a budget in tokens, or off."""

    level: str | None = None
    budget: int | None = None
    enabled: bool = True


class ChatRequest(msgspec.Struct):
    """One chat as the client asked for it.

    ``dialect`` names the :data:`gateway.wire.DIALECTS` entry that decoded it, ``model`` is as the client wrote it.
    System prompts are leading (or, rarely, later) messages of role ``system``. ``fields`` holds every top-level JSON
    field as received, as raw JSON values, in order.
    """

    dialect: str
    model: str
    messages: tuple[Message, ...]
    fields: dict[str, msgspec.Raw]
    stream: bool = False
    #: OpenAI's ``stream_options.include_usage``; always True in dialects whose streams end with usage.
    include_usage: bool = True
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_format: ResponseFormat | None = None
    effort: Effort | None = None
    user: str | None = None
    #: How many answers are wanted; more than one exists only in the OpenAI dialect.
    n: int = 1
    #: Tags that the request itself carries (Ollama's ``model@tag``).
    tags: tuple[str, ...] = ()


# --- an answer ------------------------------------------------------------------------------------------------------

FinishReason = Literal["stop", "length", "tool_calls", "stop_sequence", "content_filter", "refusal", "pause"]


class Usage(_Node, frozen=True):
    """Tokens as the provider reports them; None is *unknown*, never zero.

    ``input`` is the whole prompt, cached tokens included; ``output`` is everything generated, reasoning included.
    ``cache_read`` and ``cache_write`` are parts of ``input``, ``reasoning`` is a part of ``output``.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None

    def merged(self, later: Usage) -> Usage:
        """This usage with what ``later`` knows better. Totals are cumulative on every wire: set, never add."""
        return Usage(
            self.input if later.input is None else later.input,
            self.output if later.output is None else later.output,
            self.cache_read if later.cache_read is None else later.cache_read,
            self.cache_write if later.cache_write is None else later.cache_write,
            self.reasoning if later.reasoning is None else later.reasoning,
        )


class Start(_Node, frozen=True):
    """The provider began: its own response ``id`` and ``model`` name, where it says them."""

    id: str | None = None
    model: str | None = None


class TextDelta(_Node, frozen=True):
    """Some more of the answer's text."""

    text: str


class RefusalDelta(_Node, frozen=True):
    """Some more of a refusal that the wire keeps apart from the text."""

    text: str


class ReasoningDelta(_Node, frozen=True):
    """Some more of the model's thinking, or the ``signature`` or ``redacted`` proof that closes a thought."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


class ToolCallDelta(_Node, frozen=True):
    """Some more of tool call number ``index`` (0, 1, … in order of appearance).

    ``id`` and ``name`` come with a call's first delta; ``arguments`` fragments add up to JSON text.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class UsageReport(_Node, frozen=True):
    """Totals so far."""

    usage: Usage


class Finish(_Node, frozen=True):
    """Why the model stopped; ``stop_sequence`` is the one that was hit, where the provider names it."""

    reason: FinishReason
    stop_sequence: str | None = None


class Failure(_Node, frozen=True):
    """The provider's own in-band error: the stream ends here, and not well."""

    message: str
    kind: str | None = None


Event = Start | TextDelta | RefusalDelta | ReasoningDelta | ToolCallDelta | UsageReport | Finish | Failure


class Answer(msgspec.Struct):
    """A whole answer: what a stream's events add up to."""

    id: str | None
    model: str | None
    #: Text, Reasoning and ToolCall parts in the order in which they were generated.
    parts: tuple[Text | Reasoning | ToolCall, ...]
    finish: FinishReason
    usage: Usage
    stop_sequence: str | None = None
    refusal: str | None = None

    def events(self) -> list[Event]:
        """The stream that adds up to this answer."""
        events: list[Event] = [Start(self.id, self.model)]
        calls = 0
        for part in self.parts:
            match part:
                case Text():
                    events.append(TextDelta(part.text))
                case Reasoning():
                    events.append(ReasoningDelta(part.text, part.signature, part.redacted))
                case ToolCall():
                    events.append(ToolCallDelta(calls, part.id, part.name, part.arguments))
                    calls += 1
        if self.refusal:
            events.append(RefusalDelta(self.refusal))
        return [*events, UsageReport(self.usage), Finish(self.finish, self.stop_sequence)]
