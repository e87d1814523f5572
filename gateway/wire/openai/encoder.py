"""Events to a stream for a client of this wire (API reference, "The chat completion chunk object")."""

from __future__ import annotations

from typing import ClassVar, assert_never

import msgspec

from gateway.chat import (
    ChatRequest,
    Event,
    Failure,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    Start,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
)
from gateway.errors import RelayError
from gateway.wire.openai.calls import NO_ARGUMENTS
from gateway.wire.openai.errors import error_object
from gateway.wire.openai.vocabulary import FINISH, call_id, speaks_of_functions, usage_object
from gateway.wire.text import one_line

_json = msgspec.json.Encoder().encode
_DONE = b"data: [DONE]\n\n"


class _Encoder:
    """One answer with one choice; what stands around a choice's content is written once."""

    object: ClassVar[str]
    id_prefix: ClassVar[str]
    #: What stands around the content inside of a choice.
    before: ClassVar[bytes]
    after: ClassVar[bytes]

    __slots__ = ("_answer_id", "_created", "_end", "_envelope", "_include_usage", "_model", "_open", "_tail", "_usage")

    def __init__(self, request: ChatRequest, model: str, answer_id: str, created: float) -> None:
        self._include_usage = request.include_usage
        self._model = model
        self._answer_id = answer_id
        self._created = int(created)
        self._usage = Usage()
        #: What every chunk begins with, and what begins a choice; empty until the first chunk.
        self._envelope = self._open = b""
        # Where usage was asked for, the reference wants a null in every chunk but the last.
        self._end = b"}]" + (b',"usage":null' if self._include_usage else b"") + b"}\n\n"
        self._tail = self.after + b',"logprobs":null,"finish_reason":null' + self._end

    def close(self) -> bytes:
        """See :meth:`gateway.wire.protocol.Encoder.close`."""
        usage = usage_object(self._usage) if self._include_usage else None
        if usage is None:
            return _DONE
        return self._begun() + self._envelope + b'],"usage":' + _json(usage) + b"}\n\n" + _DONE

    def error(self, error: RelayError) -> bytes:
        """See :meth:`gateway.wire.protocol.Encoder.error`."""
        return b"data: " + _json({"error": error_object(error)}) + b"\n\n"

    def _begin(self, answer_id: str | None, model: str | None) -> bytes:
        """Settle what every chunk begins with; the chunk that comes before all content, if there is one."""
        head = {
            "id": answer_id or self.id_prefix + self._answer_id,
            "object": self.object,
            "created": self._created,
            "model": model or self._model,
        }
        self._envelope = b"data: " + _json(head)[:-1] + b',"choices":['
        self._open = self._envelope + b'{"index":0,' + self.before
        return b""

    def _begun(self) -> bytes:
        """The first chunk, if nothing has been sent yet."""
        return b"" if self._envelope else self._begin(None, None)

    def _chunk(self, content: bytes) -> bytes:
        return self._open + content + self._tail

    def _last(self, content: bytes, finish: str) -> bytes:
        reason = b',"logprobs":null,"finish_reason":"' + finish.encode() + b'"'
        return self._open + content + self.after + reason + self._end


class ChatEncoder(_Encoder):
    """Chat completion chunks."""

    object = "chat.completion.chunk"
    id_prefix = "chatcmpl-"
    before = b'"delta":{'
    after = b"}"

    __slots__ = ("_argued", "_calls", "_functions", "_refused")

    def __init__(self, request: ChatRequest, model: str, answer_id: str, created: float) -> None:
        super().__init__(request, model, answer_id, created)
        self._functions = speaks_of_functions(request)
        #: The calls begun, and those that have arguments.
        self._calls: set[int] = set()
        self._argued: set[int] = set()
        self._refused = False

    def encode(self, event: Event) -> bytes:
        """See :meth:`gateway.wire.protocol.Encoder.encode`."""
        if type(event) is TextDelta and self._envelope:
            return self._open + b'"content":' + one_line(_json(event.text)) + self._tail
        match event:
            case Start():
                return b"" if self._envelope else self._begin(event.id, event.model)
            case TextDelta():
                return self._begun() + self._chunk(b'"content":' + one_line(_json(event.text)))
            case ReasoningDelta():
                # DeepSeek's name for it, which most clients read. Proofs have no place here.
                return (
                    self._begun() + self._chunk(b'"reasoning_content":' + one_line(_json(event.text)))
                    if event.text
                    else b""
                )
            case RefusalDelta():
                self._refused = True
                return self._begun() + self._chunk(b'"refusal":' + one_line(_json(event.text)))
            case ToolCallDelta():
                return self._begun() + self._call(event)
            case UsageReport():
                self._usage = self._usage.merged(event.usage)
                return b""
            case Finish():
                return self._begun() + self._finish(event.reason)
            case Failure():
                return b""
            case _:
                assert_never(event)

    def _begin(self, answer_id: str | None, model: str | None) -> bytes:
        super()._begin(answer_id, model)
        return self._chunk(b'"role":"assistant","content":""')

    def _call(self, delta: ToolCallDelta) -> bytes:
        index = delta.index
        if delta.arguments:
            self._argued.add(index)
        if index in self._calls:
            call = {"index": index, "function": {"arguments": delta.arguments}}
        else:
            self._calls.add(index)
            function = {"name": delta.name or "", "arguments": delta.arguments}
            named = delta.id or call_id(self._answer_id, index)
            call = {"index": index, "id": named, "type": "function", "function": function}
        if not self._functions:
            return self._chunk(b'"tool_calls":[' + one_line(_json(call)) + b"]")
        # There can only be one function call.
        return self._chunk(b'"function_call":' + one_line(_json(call["function"]))) if index == 0 else b""

    def _finish(self, reason: FinishReason) -> bytes:
        # A tool without parameters may be called with nothing at all on other wires; clients of this one parse it.
        silent = sorted(self._calls - self._argued)
        mended = b"".join(self._call(ToolCallDelta(index, arguments=NO_ARGUMENTS)) for index in silent)
        finish = FINISH[reason]
        if reason == "refusal" and self._refused:
            finish = "stop"
        elif reason == "tool_calls" and self._functions:
            finish = "function_call"
        return mended + self._last(b"", finish)


class TextEncoder(_Encoder):
    """Chunks of the legacy completions: text and nothing else."""

    object = "text_completion"
    id_prefix = "cmpl-"
    before = b'"text":'
    after = b""

    __slots__ = ()

    def encode(self, event: Event) -> bytes:
        """See :meth:`gateway.wire.protocol.Encoder.encode`."""
        match event:
            case Start():
                return b"" if self._envelope else self._begin(event.id, event.model)
            case TextDelta() | RefusalDelta():
                return self._begun() + self._chunk(one_line(_json(event.text)))
            case UsageReport():
                self._usage = self._usage.merged(event.usage)
                return b""
            case Finish():
                finish = "stop" if event.reason == "tool_calls" else FINISH[event.reason]
                return self._begun() + self._last(b'""', finish)
            case ReasoningDelta() | ToolCallDelta() | Failure():
                return b""
            case _:
                assert_never(event)
