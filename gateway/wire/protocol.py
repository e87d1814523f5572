"""What a wire and a dialect must be able to do; :mod:`gateway.wire` lists those that exist.

A *wire* is a provider's protocol (``openai``, ``anthropic``, ``ollama``); a *dialect* is the protocol of one endpoint
that clients call. A dialect belongs to a wire: where a request's dialect and the chosen provider share the wire, the
request's own fields travel on and the answer's bytes pass through, only watched. Elsewhere both sides go over the hub
(:mod:`gateway.chat`). Nothing here does I/O.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from gateway.chat import Answer, ChatRequest, Event, Failure, FinishReason, Usage
from gateway.errors import RelayError, UpstreamError

#: One event of a stream may have this many bytes; a longer one is refused before it is whole.
MAX_EVENT_BYTES = 1 << 20


class Progress(msgspec.Struct):
    """What is known of an answer so far; kept by every machine that reads one."""

    #: Content, a tool call, reasoning or a refusal has been seen: from here on no other candidate may be tried.
    content: bool = False
    #: Set by every event that carries something new (content, usage, a finish), never by a comment or a ping. Whoever
    #: keeps the time clears it: a provider that only says that it is alive is idle.
    fresh: bool = False
    #: The wire's terminator has been seen: nothing is missing.
    complete: bool = False
    finish: FinishReason | None = None
    failure: Failure | None = None
    #: What is wrong with the stream right after the events that were passed on last: the end, and no good one.
    broken: UpstreamError | None = None
    usage: Usage = Usage()
    #: The provider's name for the model that answered.
    model: str | None = None
    #: The id of the answer's first tool call: "" where the wire has no ids, None while no tool was called.
    tool_call_id: str | None = None


class Target(msgspec.Struct, frozen=True):
    """Where a request goes, as far as a wire must know it."""

    #: The provider's own name of the model, without our ``provider/`` prefix.
    model: str
    #: Whether the provider takes OpenAI's ``stream_options`` (some refuse unknown fields).
    stream_usage: bool = True
    #: The most output tokens that the model can write, where known; Anthropic requires a number.
    max_output: int | None = None


class Decoder(Protocol):
    """A provider's stream to events. Any split of the bytes yields the same events."""

    progress: Progress

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that ``chunk`` completes.

        Raises UpstreamInvalidResponse on an event that is not of this wire, UpstreamResponseTooLarge on one over
        :data:`MAX_EVENT_BYTES`. Where good events of the same chunk come before it, they are returned, and
        :attr:`Progress.broken` holds the error: what a client gets does not depend on how the bytes were cut. A
        :class:`~gateway.chat.Failure` event ends the stream.
        """

    def close(self) -> list[Event]:
        """The provider closed: what was still held back. Raises UpstreamTruncated if the terminator is missing, and
        :attr:`Progress.broken` if there is one.
        """


class Watch(Protocol):
    """A provider's stream to the same bytes, whole events at a time, watched for what must be known of them."""

    progress: Progress

    def feed(self, chunk: bytes) -> bytes:
        """The bytes that may go to the client now: everything up to the last complete event. Raises as Decoder."""

    def close(self) -> bytes:
        """What is left, with a missing formality mended. Raises as Decoder."""


class Encoder(Protocol):
    """Events to one client stream."""

    def encode(self, event: Event) -> bytes:
        """The bytes for ``event``; empty where the dialect has none, or only with a later event."""

    def close(self) -> bytes:
        """The dialect's proper end, after a Finish."""

    def error(self, error: RelayError) -> bytes:
        """The dialect's in-band error, instead of a proper end; never followed by a terminator."""


class Wire(Protocol):
    """A provider's protocol."""

    name: str
    #: The media type of a stream, asked for in ``Accept``.
    stream_type: str
    #: What providers call their streams all the same; empty where they name no type.
    stream_types: frozenset[str]
    #: Client request headers (lower case) that travel on where both ends speak this wire.
    forward_headers: frozenset[str]
    #: Provider response headers (lower case) that travel back where both ends speak this wire.
    return_headers: frozenset[str]

    def auth_headers(self, key: str | None) -> list[tuple[bytes, bytes]]:
        """The headers that every request to a provider of this wire carries."""

    def filter_header(self, name: bytes, value: bytes) -> bytes | None:
        """What may travel on of a client's header that :attr:`forward_headers` lists; None where nothing may.

        ``name`` is lower case. It replaces a header of the same name that :meth:`auth_headers` prepared.
        """

    def encode_request(self, request: ChatRequest, target: Target) -> tuple[str, bytes]:
        """Path (below ``base_url``) and body. A request of the same wire keeps all its fields.

        Raises BadRequest where the wire cannot say what the request asks (``n`` above 1, for one).
        """

    def decoder(self) -> Decoder:
        """A machine for one streamed answer."""

    def watch(self, request: ChatRequest) -> Watch:
        """A machine that passes one streamed answer on to a client of the same wire."""

    def decode_answer(self, body: bytes) -> Answer:
        """A whole answer. Raises UpstreamInvalidResponse where it is none, UpstreamFailed where it is an error."""

    def watch_answer(self, body: bytes) -> Progress:
        """What must be known of a whole answer that passes through; raises as :meth:`decode_answer`."""

    def decode_error(self, status: int, body: bytes, content_type: str) -> UpstreamError:
        """A provider's answer with an error status, as one of our errors; keys in it never get out."""


class Dialect(Protocol):
    """What clients of one endpoint speak."""

    #: Its key in :data:`gateway.wire.DIALECTS`.
    name: str
    #: The wire it belongs to; empty where every answer is translated.
    wire: str
    stream_type: bytes
    #: Whether a JSON content type is required (``curl -d`` must work on Ollama's paths).
    strict_content_type: bool

    def decode_request(self, body: bytes) -> ChatRequest:
        """The request; raises BadRequest with the codes of the bad-input table (invalid_json, missing_model, …)."""

    def check_translatable(self, request: ChatRequest) -> None:
        """Raises BadRequest (unsupported) where the request means something that no other wire can say."""

    def encoder(self, request: ChatRequest, model: str, answer_id: str, created: float) -> Encoder:
        """A machine for one streamed answer to ``request``.

        ``model`` is the name to show where the provider says none, ``answer_id`` an id to use where it gives none
        (without prefix), ``created`` the time in seconds since 1970.
        """

    def encode_answer(self, answer: Answer, request: ChatRequest, model: str, answer_id: str, created: float) -> bytes:
        """A whole answer to ``request``; parameters as for :meth:`encoder`."""

    def encode_error(self, error: RelayError, request_id: str) -> tuple[int, bytes]:
        """HTTP status and body of an error, in the dialect's own shape."""
