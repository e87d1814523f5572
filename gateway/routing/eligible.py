"""Which candidates can serve a request, and why the others cannot.

Only what is *known* of a model can rule it out: a candidate without a context size or capabilities is eligible.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

import msgspec

from gateway.chat import Audio, ChatRequest, Document, Image, Message, Part, Reasoning, Text, ToolCall, ToolResult
from gateway.config.model import Candidate, Capability

#: Tokens that one picture, file or recording is taken for. Providers count by resolution, pages and seconds, which
#: only decoding would tell; a picture of about one megapixel is what this stands for.
MEDIA_TOKENS = 1_000
#: UTF-8 bytes per token: about right for English and code, generous for scripts of three bytes a character.
BYTES_PER_TOKEN = 4
#: What a turn costs besides its text: role and separators.
_TURN_BYTES = 4 * BYTES_PER_TOKEN

_ABILITIES: tuple[tuple[Capability, str], ...] = (
    ("vision", "cannot read images"),
    ("tools", "cannot call tools"),
    ("json", "has no JSON mode"),
    ("audio", "cannot hear audio"),
    ("pdf", "cannot read PDF files"),
)


class Needs(msgspec.Struct, frozen=True, gc=False):
    """What a request demands of a model."""

    #: The prompt in tokens, estimated: text, tools and media.
    tokens: int
    #: The most tokens of the answer that the client asks for; 0 where it does not say.
    output: int = 0
    vision: bool = False
    #: Tools are declared, or were called earlier in the conversation.
    tools: bool = False
    json: bool = False
    audio: bool = False
    pdf: bool = False


def needs(request: ChatRequest) -> Needs:
    """What ``request`` demands. One pass over its parts: microseconds, also for long conversations."""
    size = _tools_size(request)
    media = 0
    vision = audio = pdf = False
    tools = bool(request.tools)
    for part in _parts(request.messages):
        match part:
            case Text():
                size += _bytes(part.text)
            case Image():
                media += 1
                vision = True
            case Document():
                if part.text is not None:
                    size += _bytes(part.text)
                else:
                    media += 1
                    pdf = pdf or part.media_type in (None, "application/pdf")
            case Audio():
                media += 1
                audio = True
            case ToolCall():
                size += _bytes(part.name) + _bytes(part.arguments)
                tools = True
            case ToolResult():
                tools = True
            case Reasoning():
                # An opaque proof weighs about as much as the thought that it stands for.
                size += _bytes(part.redacted or part.text)
            case _:
                assert_never(part)
    answer = request.response_format
    if answer is not None and answer.schema is not None:
        size += len(msgspec.json.encode(answer.schema))
    size += _TURN_BYTES * len(request.messages)
    return Needs(
        tokens=size // BYTES_PER_TOKEN + media * MEDIA_TOKENS,
        output=request.max_tokens or 0,
        vision=vision,
        tools=tools,
        json=answer is not None,
        audio=audio,
        pdf=pdf,
    )


def obstacle(candidate: Candidate, needs: Needs) -> str | None:
    """Why ``candidate`` cannot serve a request with these ``needs``; None where nothing known speaks against it.

    The reason completes a sentence that begins with the candidate's name: "cannot read images".
    """
    model = candidate.model
    capabilities = model.capabilities
    if capabilities is not None:
        for capability, reason in _ABILITIES:
            if getattr(needs, capability) and capability not in capabilities:
                return reason
    context = model.context
    if context is not None and needs.tokens + needs.output > context:
        wanted = f"about {needs.tokens:,} tokens"
        if needs.output:
            wanted += f" and up to {needs.output:,} for the answer"
        return f"has a context of {context:,} tokens, too small for {wanted}"
    if model.max_output is not None and needs.output > model.max_output:
        return f"answers with at most {model.max_output:,} tokens, {needs.output:,} are asked for"
    return None


def _parts(messages: tuple[Message, ...]) -> Iterator[Part]:
    for message in messages:
        for part in message.parts:
            yield part
            if type(part) is ToolResult:
                yield from part.parts


def _tools_size(request: ChatRequest) -> int:
    """Bytes of the tools' declarations, as the client wrote them where they are at hand."""
    if not request.tools:
        return 0
    raw = request.fields.get("tools")
    return len(msgspec.json.encode(request.tools) if raw is None else raw)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
