"""Embeddings: OpenAI's ``/v1/embeddings``, Ollama's ``/api/embed`` and its older ``/api/embeddings``.

The three are near enough to one another to share one module. Where a request's dialect belongs to the provider's wire,
its fields travel on and the answer's bytes pass (:func:`passes_through`, :func:`watch_answer`); elsewhere both are
translated over :class:`EmbeddingRequest` and :class:`Embedded`. Sources: OpenAI's API reference ("Create embeddings"),
Ollama's docs/api.md ("Generate Embeddings", "Generate Embedding").
"""

from __future__ import annotations

import base64
import binascii
import sys
from array import array
from typing import Any, Literal, TypeVar

import msgspec

from gateway.chat import Usage
from gateway.errors import BadRequest, UpstreamFailed, UpstreamInvalidResponse
from gateway.wire import body as bodies
from gateway.wire.forward import forward
from gateway.wire.ollama.errors import describe
from gateway.wire.ollama.request import split_model

#: ``ollama`` is ``/api/embed``, ``ollama.embeddings`` is ``/api/embeddings``.
EmbeddingDialect = Literal["openai", "ollama", "ollama.embeddings"]

#: Where each dialect's requests go below a provider's ``base_url``, and the wire that this is.
_ENDPOINTS: dict[EmbeddingDialect, tuple[str, str]] = {
    "openai": ("openai", "/embeddings"),
    "ollama": ("ollama", "/api/embed"),
    "ollama.embeddings": ("ollama", "/api/embeddings"),
}

_encode = msgspec.json.encode


class EmbeddingRequest(msgspec.Struct, frozen=True):
    """What shall be embedded; ``fields`` are the request's own, as in :class:`gateway.chat.ChatRequest`."""

    dialect: EmbeddingDialect
    model: str
    #: The texts; None for token numbers, which only a provider of OpenAI's wire can read.
    input: tuple[str, ...] | None
    fields: dict[str, msgspec.Raw]
    #: How many numbers each vector shall have; None leaves it to the model.
    dimensions: int | None = None
    #: Whether the client wants each vector as base64 of little-endian 32-bit floats.
    base64: bool = False
    #: Tags that the request itself carries (Ollama's ``model@tag``).
    tags: tuple[str, ...] = ()


class Embedded(msgspec.Struct, frozen=True):
    """One vector per text, in the texts' order."""

    vectors: list[list[float]]
    usage: Usage = Usage()
    #: The provider's name for the model.
    model: str | None = None


# --- requests ---------------------------------------------------------------------------------------------------------


def decode_request(dialect: EmbeddingDialect, body: bytes) -> EmbeddingRequest:
    """A client's request.

    Raises BadRequest with the codes of :func:`gateway.wire.body.parse`, missing_model, invalid_input (invalid_prompt in
    ``/api/embeddings``), invalid_dimensions, invalid_encoding_format, invalid_truncate. Without a text Ollama only
    loads the model: ``input`` is empty then.
    """
    parsed = bodies.parse(body)
    values = parsed.values
    model = values.get("model")
    if type(model) is not str or not model:
        raise BadRequest("missing_model", "model must be the name of a model or router", param="model")
    if dialect == "openai":
        wanted = _input(values.get("input"), numbers=True)
        if wanted == ():
            raise BadRequest("invalid_input", "input must not be empty", param="input")
        dimensions = _dimensions(values)
        return EmbeddingRequest(dialect, model, wanted, parsed.raw, dimensions, _wants_base64(values))
    model, tags = split_model(model)
    if dialect == "ollama.embeddings":
        prompt = values.get("prompt") or ""
        if type(prompt) is not str:
            raise BadRequest("invalid_prompt", "prompt must be a string", param="prompt")
        return EmbeddingRequest(dialect, model, (prompt,) if prompt else (), parsed.raw, tags=tags)
    if type(values.get("truncate", False)) not in (bool, type(None)):
        raise BadRequest("invalid_truncate", "truncate must be true or false", param="truncate")
    wanted = _input(values.get("input") or (), numbers=False)
    return EmbeddingRequest(dialect, model, wanted, parsed.raw, _dimensions(values), tags=tags)


def _input(value: Any, *, numbers: bool) -> tuple[str, ...] | None:
    if type(value) is str:
        return (value,)
    if isinstance(value, (list, tuple)):
        if all(type(item) is str for item in value):
            return tuple(value)
        if numbers and (_are_tokens(value) or all(type(item) is list and _are_tokens(item) for item in value)):
            return None
    raise BadRequest("invalid_input", "input must be a string or an array of strings", param="input")


def _are_tokens(value: Any) -> bool:
    return bool(value) and all(type(item) is int and item >= 0 for item in value)


def _dimensions(values: dict[str, Any]) -> int | None:
    # Ollama's own clients write 0 where nothing is asked for.
    value = values.get("dimensions") or None
    if value is not None and (type(value) is not int or not 0 < value <= 1 << 20):
        raise BadRequest("invalid_dimensions", "dimensions must be a positive integer", param="dimensions")
    return value


def _wants_base64(values: dict[str, Any]) -> bool:
    value = values.get("encoding_format")
    if value not in (None, "float", "base64"):
        raise BadRequest(
            "invalid_encoding_format", 'encoding_format must be "float" or "base64"', param="encoding_format"
        )
    return value == "base64"


def passes_through(request: EmbeddingRequest, wire: str) -> bool:
    """Whether a provider of ``wire`` answers this request in the client's own dialect."""
    return _ENDPOINTS[request.dialect][0] == wire


def encode_request(request: EmbeddingRequest, wire: str, model: str) -> tuple[str, bytes]:
    """Path below ``base_url`` and body for a provider of ``wire``, which knows the model as ``model``.

    Raises BadRequest unsupported where the wire has no embeddings (Anthropic's) or cannot read the input, and
    invalid_input where there is nothing to embed.
    """
    if passes_through(request, wire):
        return _ENDPOINTS[request.dialect][1], forward(request.fields, model)
    if wire not in ("openai", "ollama"):
        raise BadRequest("unsupported", "the provider of this model has no embeddings", param="model")
    if request.input is None:
        raise BadRequest("unsupported", "this model takes texts only, not token numbers", param="input")
    if not request.input:
        raise BadRequest("invalid_input", "input must not be empty", param="input")
    body: dict[str, Any] = {"model": model, "input": request.input}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return _ENDPOINTS["openai" if wire == "openai" else "ollama"][1], _encode(body)


# --- answers ----------------------------------------------------------------------------------------------------------


class _Item(msgspec.Struct, gc=False):
    embedding: list[float] | str
    index: int = 0


class _OpenAIUsage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None


class _Told(msgspec.Struct, gc=False):
    """What either wire says beside the vectors."""

    model: str | None = None
    usage: _OpenAIUsage | None = None
    prompt_eval_count: int | None = None
    error: Any = None


class _Whole(_Told, gc=False):
    data: list[_Item] | None = None
    embeddings: list[list[float]] | None = None


class _Seen(_Told, gc=False):
    data: msgspec.Raw = msgspec.Raw()
    embeddings: msgspec.Raw = msgspec.Raw()
    embedding: msgspec.Raw = msgspec.Raw()


_T = TypeVar("_T", bound=_Told)

_whole = msgspec.json.Decoder(_Whole)
_seen = msgspec.json.Decoder(_Seen)


def decode_answer(body: bytes, count: int) -> Embedded:
    """A provider's answer about ``count`` texts, of either wire.

    Raises UpstreamInvalidResponse where it is none, UpstreamFailed where it is an error.
    """
    told = _read(_whole, body)
    if told.data is not None:
        vectors = [_floats(item.embedding) for item in sorted(told.data, key=lambda item: item.index)]
    else:
        vectors = told.embeddings or []
    if len(vectors) != count or not all(vectors):
        raise _invalid()
    return Embedded(vectors, _usage(told), told.model)


def watch_answer(body: bytes) -> tuple[Usage, str | None]:
    """Usage, and the provider's name for the model, of an answer that passes through; raises as decode_answer."""
    told = _read(_seen, body)
    if not any(bytes(vectors).startswith(b"[") for vectors in (told.data, told.embeddings, told.embedding)):
        raise _invalid()
    return _usage(told), told.model


def encode_answer(request: EmbeddingRequest, embedded: Embedded, model: str) -> bytes:
    """An answer in the client's dialect; ``model`` is shown where the provider named none."""
    vectors = embedded.vectors
    shown = embedded.model or model
    tokens = embedded.usage.input
    if request.dialect == "openai":
        data = [
            {"object": "embedding", "index": index, "embedding": _base64(vector) if request.base64 else vector}
            for index, vector in enumerate(vectors)
        ]
        # The numbers are required here, so unknown becomes 0.
        usage = {"prompt_tokens": tokens or 0, "total_tokens": tokens or 0}
        return _encode({"object": "list", "data": data, "model": shown, "usage": usage})
    if request.dialect == "ollama.embeddings":
        return _encode({"embedding": vectors[0] if vectors else []})
    answer: dict[str, Any] = {"model": shown, "embeddings": vectors}
    if tokens is not None:
        answer["prompt_eval_count"] = tokens
    return _encode(answer)


def _read(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        told = decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid() from error
    if told.error:
        raise UpstreamFailed(describe(told.error)[0] or "the provider reported an error")
    return told


def _usage(told: _Told) -> Usage:
    tokens = told.prompt_eval_count if told.usage is None else told.usage.prompt_tokens
    return Usage(input=tokens if tokens is None or tokens >= 0 else None)


def _floats(vector: list[float] | str) -> list[float]:
    """A vector as numbers; some servers write base64 whether or not it was asked for."""
    if isinstance(vector, list):
        return vector
    numbers = array("f")
    try:
        numbers.frombytes(base64.b64decode(vector, validate=True))
    except (binascii.Error, ValueError) as error:
        raise _invalid() from error
    return _little_endian(numbers).tolist()


def _base64(vector: list[float]) -> str:
    return base64.b64encode(_little_endian(array("f", vector)).tobytes()).decode()


def _little_endian(numbers: array[float]) -> array[float]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _invalid() -> UpstreamInvalidResponse:
    return UpstreamInvalidResponse("the provider's answer holds no embeddings, or not one for each text")
