"""What a provider says on each wire, in pieces from which tests make good and bad answers."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from tests.faultserver import Script, Step, answer, chunk, end, head

#: Characters of one, two, three and four bytes, and two that some take for line ends.
TEXT = "Hé 漢字 🙂\u2028\u0085!"


class Speech(NamedTuple):
    """One wire's words. Those of a stream are whole events."""

    wire: str
    content_type: str
    #: What comes before the first content, if anything.
    first: bytes
    #: From the stop reason on, but for the terminator.
    stop: bytes
    #: The terminator, for Ollama with the stop reason.
    done: bytes
    #: A sign of life without content; empty where the wire has none.
    idle: bytes
    #: An error inside of a stream.
    failure: bytes
    #: An event that is cut short.
    garbage: bytes

    def delta(self, text: str = "Hi") -> bytes:
        """Some text."""
        match self.wire:
            case "openai":
                return _openai({"content": text})
            case "anthropic":
                delta = {"type": "text_delta", "text": text}
                return _anthropic("content_block_delta", index=0, delta=delta)
        return _ollama(text)

    def good(self, text: str = TEXT) -> bytes:
        """A whole stream, three characters an event."""
        deltas = [self.delta(text[place : place + 3]) for place in range(0, len(text), 3)]
        return b"".join([self.first, *deltas, self.stop, self.done])

    def whole(self, text: str = TEXT) -> bytes:
        """A whole answer that is not streamed."""
        match self.wire:
            case "openai":
                choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                return _json({"id": "c1", "object": "chat.completion", **_MODEL, "choices": [choice], "usage": _USAGE})
            case "anthropic":
                return _json({**_MESSAGE, "content": [{"type": "text", "text": text}], "stop_reason": "end_turn"})
        return _ollama(text, done=True, done_reason="stop", prompt_eval_count=3, eval_count=1)

    def error(self, message: str, kind: str) -> bytes:
        """The body of an answer with an error status."""
        match self.wire:
            case "openai":
                return _json({"error": {"message": message, "type": kind, "param": None, "code": kind}})
            case "anthropic":
                return _json({"type": "error", "error": {"type": kind, "message": message}})
        return _json({"error": message})

    # --- answers as scripts -------------------------------------------------------------------------------------------

    def head(self, *, chunked: bool = True) -> Step:
        """The head of a stream."""
        return head(self.content_type, chunked=chunked)

    def stream(self, *pieces: bytes) -> Script:
        """A stream of these chunks that ends as HTTP has it."""
        return [self.head(), *(chunk(piece) for piece in pieces), end()]

    def answers(self, request_body: bytes) -> Script:
        """A good answer, streamed if it was asked for so."""
        if json.loads(request_body).get("stream"):
            return self.stream(self.good())
        return [answer(self.whole())]


def _json(value: Any) -> bytes:
    # As most servers write it: the characters themselves.
    return json.dumps(value, ensure_ascii=False).encode()


_MODEL = {"created": 1, "model": "m"}
_USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
_MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}


def _openai(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return sse({"id": "c1", "object": "chat.completion.chunk", **_MODEL, "choices": [choice]})


def _anthropic(kind: str, **fields: Any) -> bytes:
    return b"event: %s\n" % kind.encode() + sse({"type": kind, **fields})


def _ollama(text: str, *, done: bool = False, **fields: Any) -> bytes:
    message = {"role": "assistant", "content": text}
    line = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": done}
    return _json({**line, **fields}) + b"\n"


def sse(value: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + _json(value) + b"\n\n"


OPENAI = Speech(
    wire="openai",
    content_type="text/event-stream; charset=utf-8",
    first=_openai({"role": "assistant", "content": ""}),
    stop=_openai({}, "stop") + sse({"id": "c1", **_MODEL, "choices": [], "usage": _USAGE}),
    done=b"data: [DONE]\n\n",
    idle=b": keep-alive\n\n",
    failure=sse({"error": {"message": "x", "type": "server_error", "param": None, "code": None}}),
    garbage=b'data: {"id":"c1",\n\n',
)
ANTHROPIC = Speech(
    wire="anthropic",
    content_type="text/event-stream",
    first=_anthropic("message_start", message=_MESSAGE)
    + _anthropic("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    stop=_anthropic("content_block_stop", index=0)
    + _anthropic("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 1}),
    done=_anthropic("message_stop"),
    idle=_anthropic("ping"),
    failure=_anthropic("error", error={"type": "overloaded_error", "message": "Overloaded"}),
    garbage=b'event: content_block_delta\ndata: {"type":"content_block_delta",\n\n',
)
OLLAMA = Speech(
    wire="ollama",
    content_type="application/x-ndjson",
    first=b"",
    stop=b"",
    done=_ollama("", done=True, done_reason="stop", prompt_eval_count=3, eval_count=1),
    idle=b"",
    failure=_json({"error": "model runner has unexpectedly stopped"}) + b"\n",
    garbage=b'{"model":"m",\n',
)
SPEECHES = {speech.wire: speech for speech in (OPENAI, ANTHROPIC, OLLAMA)}
