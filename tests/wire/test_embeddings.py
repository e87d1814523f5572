"""Embeddings between OpenAI's and Ollama's protocols."""

from __future__ import annotations

import base64
import json
import struct
from contextlib import suppress
from typing import Any, Literal

import httpx
import httpx2
import ollama
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.chat import Usage
from gateway.errors import BadRequest, UpstreamFailed, UpstreamInvalidResponse
from gateway.wire import embeddings
from gateway.wire.embeddings import Embedded, EmbeddingDialect, EmbeddingRequest

DIALECTS: tuple[EmbeddingDialect, ...] = ("openai", "ollama", "ollama.embeddings")
VECTORS = [[0.5, -1.0], [0.25, 2.0]]
PACKED = [base64.b64encode(struct.pack("<2f", *vector)).decode() for vector in VECTORS]


def decode(dialect: EmbeddingDialect, **fields: Any) -> EmbeddingRequest:
    return embeddings.decode_request(dialect, json.dumps({"model": "smart", **fields}).encode())


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "fields", "texts"),
    [
        ("openai", {"input": "a"}, ("a",)),
        ("openai", {"input": ["a", "b"]}, ("a", "b")),
        ("openai", {"input": [1, 2]}, None),
        ("openai", {"input": [[1, 2], [3]]}, None),
        ("ollama", {"input": "a"}, ("a",)),
        ("ollama", {"input": ["a", ""], "truncate": True, "keep_alive": 0}, ("a", "")),
        ("ollama", {"input": ""}, ()),
        ("ollama", {"input": []}, ()),
        ("ollama", {}, ()),
        ("ollama.embeddings", {"prompt": "a"}, ("a",)),
        ("ollama.embeddings", {"prompt": ""}, ()),
        ("ollama.embeddings", {}, ()),
    ],
)
def test_inputs(dialect: EmbeddingDialect, fields: dict[str, Any], texts: tuple[str, ...] | None) -> None:
    request = decode(dialect, **fields)
    assert (request.dialect, request.model, request.input) == (dialect, "smart", texts)
    assert list(request.fields) == ["model", *fields]


def test_settings_of_a_request() -> None:
    request = decode("openai", input="a", dimensions=256, encoding_format="base64")
    assert (request.dimensions, request.base64) == (256, True)
    assert decode("openai", input="a", encoding_format="float").base64 is False
    assert decode("ollama", input="a", dimensions=0).dimensions is None
    tagged = decode("ollama", model="smart@teamA:latest", input="a")
    assert (tagged.model, tagged.tags) == ("smart", ("teamA",))


@pytest.mark.parametrize(
    ("dialect", "fields", "code"),
    [
        ("openai", {"model": None, "input": "a"}, "missing_model"),
        ("openai", {"model": 5, "input": "a"}, "missing_model"),
        ("ollama.embeddings", {"model": "", "prompt": "a"}, "missing_model"),
        ("openai", {}, "invalid_input"),
        ("openai", {"input": []}, "invalid_input"),
        ("openai", {"input": {}}, "invalid_input"),
        ("openai", {"input": ["a", 5]}, "invalid_input"),
        ("openai", {"input": [[]]}, "invalid_input"),
        ("openai", {"input": [-1]}, "invalid_input"),
        ("openai", {"input": "a", "dimensions": -1}, "invalid_dimensions"),
        ("openai", {"input": "a", "dimensions": "1"}, "invalid_dimensions"),
        ("openai", {"input": "a", "encoding_format": "int8"}, "invalid_encoding_format"),
        ("ollama", {"input": [1]}, "invalid_input"),
        ("ollama", {"input": 5}, "invalid_input"),
        ("ollama", {"input": "a", "truncate": "no"}, "invalid_truncate"),
        ("ollama.embeddings", {"prompt": ["a"]}, "invalid_prompt"),
        ("ollama", {"input": "a", "api_key": "x"}, "forbidden_field"),
    ],
)
def test_bad_requests(dialect: EmbeddingDialect, fields: dict[str, Any], code: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(dialect, **fields)
    assert caught.value.code == code


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(["model", "input", "prompt", "dimensions", "encoding_format", "truncate"])


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(FIELDS, JUNK), st.sampled_from(DIALECTS))
def test_no_body_gets_anything_but_a_request_or_a_bad_request(
    fields: dict[str, Any], dialect: EmbeddingDialect
) -> None:
    with suppress(BadRequest):
        assert decode(dialect, **fields).dialect == dialect


@pytest.mark.parametrize(
    ("dialect", "wire", "passes"),
    [
        ("openai", "openai", True),
        ("openai", "ollama", False),
        ("ollama", "ollama", True),
        ("ollama", "openai", False),
        ("ollama.embeddings", "ollama", True),
        ("ollama.embeddings", "openai", False),
        ("openai", "anthropic", False),
    ],
)
def test_what_passes_through(dialect: EmbeddingDialect, wire: str, passes: bool) -> None:
    assert embeddings.passes_through(EmbeddingRequest(dialect, "m", ("a",), {}), wire) is passes


@pytest.mark.parametrize(
    ("dialect", "path"),
    [("openai", "/embeddings"), ("ollama", "/api/embed"), ("ollama.embeddings", "/api/embeddings")],
)
def test_own_fields_travel_byte_for_byte(dialect: EmbeddingDialect, path: str) -> None:
    body = b'{"input":[ "a" ],"prompt":"a", "new":1.0, "model":"smart","metadata":{}}'
    request = embeddings.decode_request(dialect, body)
    expected = b'{"input":[ "a" ],"prompt":"a","new":1.0,"model":"embedder"}'
    wire = dialect.partition(".")[0]
    assert embeddings.encode_request(request, wire, "embedder") == (path, expected)


@pytest.mark.parametrize(
    ("dialect", "fields", "wire", "path", "body"),
    [
        ("openai", {"input": "a", "user": "u"}, "ollama", "/api/embed", {"input": ["a"]}),
        (
            "openai",
            {"input": ["a", "b"], "dimensions": 2, "encoding_format": "base64"},
            "ollama",
            "/api/embed",
            {"input": ["a", "b"], "dimensions": 2},
        ),
        ("ollama", {"input": "a", "truncate": False, "dimensions": 2}, "openai", "/embeddings", {"dimensions": 2}),
        ("ollama.embeddings", {"prompt": "a", "options": {}}, "openai", "/embeddings", {}),
    ],
)
def test_translated_requests(
    dialect: EmbeddingDialect, fields: dict[str, Any], wire: str, path: str, body: dict[str, Any]
) -> None:
    got, raw = embeddings.encode_request(decode(dialect, **fields), wire, "embedder")
    assert (got, json.loads(raw)) == (path, {"model": "embedder", "input": ["a"], **body})


@pytest.mark.parametrize(
    ("dialect", "fields", "wire", "code"),
    [
        ("openai", {"input": "a"}, "anthropic", "unsupported"),
        ("ollama", {"input": "a"}, "anthropic", "unsupported"),
        ("openai", {"input": [1]}, "ollama", "unsupported"),
        ("ollama", {"input": []}, "openai", "invalid_input"),
    ],
)
def test_what_cannot_be_translated(dialect: EmbeddingDialect, fields: dict[str, Any], wire: str, code: str) -> None:
    with pytest.raises(BadRequest) as caught:
        embeddings.encode_request(decode(dialect, **fields), wire, "embedder")
    assert caught.value.code == code


# --- answers ----------------------------------------------------------------------------------------------------------


def openai_answer(*data: Any, **more: Any) -> bytes:
    items = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in data]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return json.dumps({"object": "list", "data": items, "model": "m", "usage": usage, **more}).encode()


ANSWERS: dict[str, tuple[bytes, Embedded]] = {
    "openai": (openai_answer(*enumerate(VECTORS)), Embedded(VECTORS, Usage(input=3), "m")),
    "openai-out-of-order": (openai_answer((1, VECTORS[1]), (0, VECTORS[0])), Embedded(VECTORS, Usage(input=3), "m")),
    "openai-unnumbered": (openai_answer((0, VECTORS[0]), (0, VECTORS[1])), Embedded(VECTORS, Usage(input=3), "m")),
    "openai-base64": (openai_answer(*enumerate(PACKED)), Embedded(VECTORS, Usage(input=3), "m")),
    "openai-without-usage": (
        openai_answer(*enumerate(VECTORS), usage=None, model=None),
        Embedded(VECTORS, Usage(), None),
    ),
    "ollama": (
        json.dumps({"model": "m", "embeddings": VECTORS, "prompt_eval_count": 3, "load_duration": 1}).encode(),
        Embedded(VECTORS, Usage(input=3), "m"),
    ),
    "ollama-whole-numbers": (
        b'{"embeddings":[[1,2],[3,4]],"prompt_eval_count":-1}',
        Embedded([[1.0, 2.0], [3.0, 4.0]], Usage(), None),
    ),
}


@pytest.mark.parametrize(("body", "embedded"), ANSWERS.values(), ids=ANSWERS)
def test_answers_decode(body: bytes, embedded: Embedded) -> None:
    assert embeddings.decode_answer(body, 2) == embedded
    assert embeddings.watch_answer(body) == (embedded.usage, embedded.model)


def test_an_old_answer_is_watched() -> None:
    assert embeddings.watch_answer(b'{"embedding":[0.5]}') == (Usage(), None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"<html>",
        b'{"data":5}',
        b'{"embeddings":null}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        embeddings.decode_answer(body, 1)
    with pytest.raises(UpstreamInvalidResponse):
        embeddings.watch_answer(body)


@pytest.mark.parametrize(
    "body",
    [
        openai_answer((0, [0.5])),
        openai_answer((0, [0.5]), (1, [])),
        openai_answer((0, [0.5]), (1, "!")),
        openai_answer((0, [0.5]), (1, "AAA=")),
        b'{"embeddings":[[0.5],["x"]]}',
        b'{"embeddings":[[0.5],[0.5],[0.5]]}',
    ],
)
def test_not_one_vector_for_each_text(body: bytes) -> None:
    with pytest.raises(UpstreamInvalidResponse):
        embeddings.decode_answer(body, 2)


def test_an_error_in_place_of_an_answer() -> None:
    body = b'{"error":{"message":"no such model"}}'
    with pytest.raises(UpstreamFailed, match="no such model"):
        embeddings.decode_answer(body, 1)
    with pytest.raises(UpstreamFailed, match="no such model"):
        embeddings.watch_answer(body)


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_the_official_openai_client(encoding: Literal["float", "base64"]) -> None:
    request = decode("openai", input=["a", "b"], encoding_format=encoding)

    def answer(_: httpx2.Request) -> httpx2.Response:
        body = embeddings.encode_answer(request, Embedded(VECTORS, Usage(input=3)), "smart")
        return httpx2.Response(200, content=body, headers={"content-type": "application/json"})

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    # Left to itself the client asks for base64 and unpacks it.
    asked: Any = {"encoding_format": "float"} if encoding == "float" else {}
    with openai.OpenAI(api_key="k", base_url="http://relay.test/v1", http_client=http) as client:
        got = client.embeddings.create(model="smart", input=["a", "b"], **asked)
    assert [item.embedding for item in got.data] == VECTORS
    assert [item.index for item in got.data] == [0, 1]
    assert (got.model, got.usage.prompt_tokens, got.usage.total_tokens) == ("smart", 3, 3)


def ollama_client(request: EmbeddingRequest, embedded: Embedded) -> ollama.Client:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=embeddings.encode_answer(request, embedded, "smart"))

    return ollama.Client("http://relay.test", transport=httpx.MockTransport(answer))


def test_the_official_ollama_client() -> None:
    with ollama_client(decode("ollama", input=["a", "b"]), Embedded(VECTORS, Usage(input=3), "m")) as client:
        got = client.embed("smart", ["a", "b"])
    assert (got.embeddings, got.model, got.prompt_eval_count) == (VECTORS, "m", 3)
    with ollama_client(decode("ollama.embeddings", prompt="a"), Embedded(VECTORS[:1])) as client:
        assert client.embeddings("smart", "a").embedding == VECTORS[0]


def test_unknown_usage() -> None:
    embedded = Embedded(VECTORS[:1])
    shown = json.loads(embeddings.encode_answer(decode("openai", input="a"), embedded, "smart"))
    assert shown["usage"] == {"prompt_tokens": 0, "total_tokens": 0}
    shown = json.loads(embeddings.encode_answer(decode("ollama", input="a"), embedded, "smart"))
    assert shown == {"model": "smart", "embeddings": VECTORS[:1]}


def test_nothing_to_embed() -> None:
    request = decode("ollama")
    assert json.loads(embeddings.encode_answer(request, Embedded([]), "smart")) == {"model": "smart", "embeddings": []}
    old = decode("ollama.embeddings")
    assert json.loads(embeddings.encode_answer(old, Embedded([]), "smart")) == {"embedding": []}
