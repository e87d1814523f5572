"""Who is played: the client, the candidates, and the designator where it is not asked."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gateway.chat import Answer, ChatRequest, Text, ToolCall, Usage
from gateway.config.model import Provider
from gateway.decider import MAX_DESIGNATION
from gateway.errors import RelayError, UpstreamConnectFailed, UpstreamError, UpstreamFailed, UpstreamTimeout
from gateway.generation import Headers
from gateway.rehearsal.recordings import NotRecorded, Recordings
from gateway.routing.decide import Ask
from gateway.sandbox import SandboxTransport
from gateway.sessions import Pin, Sessions
from gateway.upstream import Reply, Upstream
from gateway.wire import DIALECTS, WIRES
from gateway.wire.protocol import Target

#: Where an answer of the designator came from; ``nobody`` has one where none is recorded and it may not be asked.
Source = Literal["test", "recording", "sandbox", "live", "nobody"]
#: When a designator is asked for whom there are recordings, or ought to be.
Asking = Literal["never", "unrecorded", "always"]

_NOTHING_NAMED = "I cannot choose."
_SAID = "This answer belongs to a rehearsal."


class Said(msgspec.Struct):
    """What a designator was asked, and what came of it."""

    ask: Ask
    source: Source
    text: str | None = None
    #: Why there is no answer.
    failure: str | None = None
    usage: Usage = Usage()


class Client:
    """A client that takes an answer in one piece: a :class:`gateway.call.Sink`."""

    def __init__(self) -> None:
        self.started = False
        self.status = 0
        self.body = b""

    async def start(self, status: int, headers: Headers) -> None:
        """See :class:`gateway.call.Sink`."""
        self.started = True
        self.status = status

    async def write(self, data: bytes) -> None:
        """See :class:`gateway.call.Sink`."""
        self.body += data

    async def finish(self) -> None:
        """See :class:`gateway.call.Sink`."""

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """See :class:`gateway.call.Sink`."""
        self.started = True
        self.status, self.body = status, body

    def interrupted(self) -> RelayError | None:
        """See :class:`gateway.call.Sink`."""
        return None


class Memory:
    """What a running gateway remembers of sessions and tool loops, to be looked at only.

    A :class:`gateway.sessions.PinStore` that forgets whatever it is told.
    """

    capacity = 0

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def get(self, key: bytes) -> Pin | None:
        """See :class:`gateway.sessions.PinStore`."""
        candidate = await self._sessions.get(key)
        return None if candidate is None else Pin(candidate, math.inf)

    def put(self, key: bytes, router: str, pin: Pin, *, first: bool) -> None:
        """See :class:`gateway.sessions.PinStore`."""

    def extend(self, key: bytes, pin: Pin) -> None:
        """See :class:`gateway.sessions.PinStore`."""

    def drop(self, key: bytes) -> None:
        """See :class:`gateway.sessions.PinStore`."""

    async def settle(self) -> None:
        """See :class:`gateway.sessions.PinStore`."""


class Candidates(Upstream):
    """In place of the providers: whatever is sent is answered, or fails as :attr:`fails` says; nothing gets out."""

    def __init__(self) -> None:
        # Whatever a later version of this class forgets to play would still end in this process.
        super().__init__(transport=SandboxTransport())
        #: By model id: an HTTP status, ``timeout`` or ``refused``.
        self.fails: Mapping[str, int | str] = {}
        #: The tool that the next answer calls, if any.
        self.calls = ""
        self._answers = 0

    async def open(self, provider: Provider, path: str, body: bytes, **options: Any) -> Reply:
        """An answer of the provider's wire. Raises the UpstreamError that is to be played."""
        model = msgspec.json.decode(body, type=_Named).model
        how = self.fails.get(f"{provider.name}/{model}")
        if how is not None:
            raise _failure(provider, how)
        if not self.calls:
            return _spoken(provider, Text(_SAID))
        self._answers += 1
        return _spoken(provider, ToolCall(f"call_{self._answers}", self.calls, "{}"))


class Designators(Upstream):
    """In place of the way to the designator: answers that are known, else the way itself, ``dial``.

    ``target`` is the designator's model.
    """

    def __init__(self, dial: Upstream, target: Target, recordings: Recordings | None, asking: Asking) -> None:
        super().__init__(transport=SandboxTransport())
        self._dial = dial
        self._target = target
        self._recordings = recordings
        self._asking = asking
        self._ask: Ask | None = None
        self._instead: Ask | None = None
        self._act = ""
        #: What was asked since :meth:`expect`; None where nobody was.
        self.said: Said | None = None

    def expect(self, ask: Ask | None, *, act: str = "", instead: Ask | None = None) -> None:
        """The question that may come next.

        ``act`` is what to play: ``timeout``, ``error``, ``invalid``, ``none`` or the id to name. ``instead`` is the
        question to ask where one is asked: the same with its names in another order.
        """
        self._ask, self._instead, self._act = ask, instead, act
        self.said = None

    async def open(self, provider: Provider, path: str, body: bytes, **options: Any) -> Reply:
        """The designator's answer. Raises the UpstreamError that is played or met, NotRecorded where nobody knows."""
        if self._ask is None:
            raise UpstreamFailed(f"{provider.name}: asked although there is nothing to choose")
        said = self.said = Said(self._ask, "test")
        if self._act:
            return self._play(provider, said)
        if self._recall(said):
            return _spoken(provider, Text(said.text or ""))
        said.source = "sandbox" if provider.sandbox else "live"
        wire = WIRES[provider.wire]
        if self._instead is not None:
            said.ask = self._instead
            path, body = wire.encode_request(self._instead.prompt, self._target)
        try:
            data = await self._read(provider, path, body, options)
            answer = wire.decode_answer(data)
        except UpstreamError as error:
            said.failure = error.message
            raise
        said.text = "".join(part.text for part in answer.parts if type(part) is Text)
        said.usage = answer.usage
        return _reply(provider, data)

    def _recall(self, said: Said) -> bool:
        """Whether the answer is recorded. Raises NotRecorded where it is not and the designator may not be asked."""
        if self._asking == "always" or self._recordings is None:
            return False
        try:
            said.text = self._recordings.find(said.ask.prompt.messages[-1].text)
        except NotRecorded:
            if self._asking == "never":
                said.source = "nobody"
                raise
            return False
        said.source = "recording"
        return True

    async def _read(self, provider: Provider, path: str, body: bytes, options: dict[str, Any]) -> bytes:
        reply = await self._dial.open(provider, path, body, **options)
        try:
            return await reply.read_json(MAX_DESIGNATION)
        finally:
            reply.close()

    def _play(self, provider: Provider, said: Said) -> Reply:
        match self._act:
            case "timeout":
                said.failure = "it does not answer in time"
                raise UpstreamTimeout(f"{provider.name}: {said.failure}")
            case "error":
                said.failure = "it fails"
                raise UpstreamFailed(f"{provider.name}: {said.failure}")
            case "invalid":
                said.text = _NOTHING_NAMED
            case text:
                said.text = text
        return _spoken(provider, Text(said.text))


class _Named(msgspec.Struct):
    """What a request says on every wire."""

    model: str


class _Whole:
    """A body that is all here: a :class:`gateway.lane.Source`."""

    status = 200
    clean = True

    def __init__(self, body: bytes) -> None:
        self.headers = [(b"content-type", b"application/json")]
        self.whole: bytes | None = body

    def take(self) -> bytes:
        return b""

    async def read(self, deadline: float) -> bytes:
        return b""

    def close(self) -> None:
        pass


def _reply(provider: Provider, body: bytes) -> Reply:
    loop = asyncio.get_running_loop()
    return Reply(_Whole(body), provider.name, loop, idle=math.inf, content_by=math.inf, end_by=math.inf)


def _spoken(provider: Provider, part: Text | ToolCall) -> Reply:
    """One part as a whole answer on the provider's wire, which is what its dialect writes for clients."""
    answer = Answer(None, None, (part,), "tool_calls" if type(part) is ToolCall else "stop", Usage())
    asked = ChatRequest(provider.wire, "", (), {})
    return _reply(provider, DIALECTS[provider.wire].encode_answer(answer, asked, "rehearsal", "rehearsal", 0.0))


def _failure(provider: Provider, how: int | str) -> UpstreamError:
    if how == "timeout":
        return UpstreamTimeout(f"{provider.name}: no answer in time")
    if isinstance(how, int):
        return WIRES[provider.wire].decode_error(how, b"", "application/json")
    return UpstreamConnectFailed(f"{provider.name}: connection refused")
