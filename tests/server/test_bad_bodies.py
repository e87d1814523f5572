"""Bodies that are wrong as JSON or as a question, at every endpoint, and what of a good one reaches a provider."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.faultserver import FaultServer
from tests.gatewayprocess import Gateway
from tests.server.errorshapes import check_error
from tests.server.providers import ENVIRON, KEY, PROVIDERS, obliging

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Every endpoint that reads a body, and the dialect that its errors are in.
ENDPOINTS = {
    "/v1/chat/completions": "openai",
    "/v1/completions": "openai",
    "/v1/embeddings": "openai",
    "/v1/messages": "anthropic",
    "/v1/messages/count_tokens": "anthropic",
    "/api/chat": "ollama",
    "/api/generate": "ollama",
    "/api/embed": "ollama",
    "/api/embeddings": "ollama",
    "/api/show": "ollama",
}
CHATS = {
    "/v1/chat/completions": "openai",
    "/v1/completions": "openai",
    "/v1/messages": "anthropic",
    "/api/chat": "ollama",
    "/api/generate": "ollama",
}
#: The chats whose conversation is a list of messages.
TALKS = {"/v1/chat/completions": "openai", "/v1/messages": "anthropic", "/api/chat": "ollama"}
#: Part of every body here, and of no answer.
SECRET = "the-client-s-own-words"
#: One question that every endpoint understands.
ASK: dict[str, Any] = {
    "model": "fake/m",
    "messages": [{"role": "user", "content": SECRET}],
    "prompt": SECRET,
    "input": SECRET,
    "max_tokens": 5,
    "stream": False,
}
#: Models by the wire of their provider.
MODELS = {"openai": "fake/m", "anthropic": "claude/m", "ollama": "llama/m"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[FaultServer]:
    async with obliging() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, provider: FaultServer) -> AsyncIterator[Gateway]:
    document = f"kind: gateway\nallow_empty: true\nlimits: {{body: 1MiB}}\n{PROVIDERS.format(url=provider.url)}"
    folder = tmp_path_factory.mktemp("gateway")
    async with Gateway(folder, {"gateway.yaml": document}, environ=ENVIRON) as it:
        yield it


async def post(gateway: Gateway, path: str, body: bytes | Mapping[str, Any]) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await gateway.client.post(path, content=content, headers={"content-type": "application/json"})


def refused(dialect: str, answer: httpx.Response, status: int, code: str) -> str:
    """Check a refusal; its message."""
    assert SECRET.encode() not in answer.content
    return check_error(dialect, (answer.status_code, answer.headers, answer.content), status, code)


# --- as JSON ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_body"),
        (b" \r\n\t", "empty_body"),
        (b"{", "invalid_json"),
        (b"not json", "invalid_json"),
        (b'{"model": "fake/m"} {}', "invalid_json"),
        (b"{'model': 'fake/m'}", "invalid_json"),
        (b'{"model": "fake/m",}', "invalid_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"x"', "not_an_object"),
        (b"1", "not_an_object"),
        (b"true", "not_an_object"),
        (b'{"temperature": NaN}', "invalid_json"),
        (b'{"temperature": Infinity}', "invalid_json"),
        (b'{"temperature": 1e999}', "invalid_json"),
        (b'{"seed": %s}' % (b"9" * 5000), "invalid_json"),
        (b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", "invalid_json"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "invalid_json"),
        (b'{"model": "a", "model": "b"}', "duplicate_key"),
        (b'{"model": "a", "mod\\u0065l": "b"}', "duplicate_key"),
        (b'{"model": "\xff\xfe"}', "invalid_encoding"),
        (b'{"model": "\xed\xa0\x80"}', "invalid_encoding"),
        ('{"model": "fake/m"}'.encode("utf-16"), "invalid_encoding"),
        ('{"model": "fake/m"}'.encode("utf-16-be"), "invalid_encoding"),
        (b"\xef\xbb\xbf" + b'{"model": "fake/m"}', "invalid_encoding"),
        (b'{"model": "a\0b"}', "invalid_json"),
        (b'{"model": "a\nb"}', "invalid_json"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else value,
)
async def test_what_is_not_a_json_object(gateway: Gateway, path: str, body: bytes, code: str) -> None:
    refused(ENDPOINTS[path], await post(gateway, path, body), 400, code)


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_a_body_over_the_limit(gateway: Gateway, path: str) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * (1 << 20)}}
    answer = await post(gateway, path, {**ASK, "messages": [{"role": "user", "content": [image]}]})
    refused(ENDPOINTS[path], answer, 413, "request_too_large")


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate, gzip"])
async def test_a_compressed_body(gateway: Gateway, path: str, encoding: str) -> None:
    headers = {"content-encoding": encoding, "content-type": "application/json"}
    answer = await gateway.client.post(path, content=json.dumps(ASK), headers=headers)
    refused(ENDPOINTS[path], answer, 415, "unsupported_encoding")


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_a_form(gateway: Gateway, path: str) -> None:
    answer = await gateway.client.post(path, files={"model": (None, "fake/m")})
    refused(ENDPOINTS[path], answer, 415, "unsupported_media_type")


# --- the model --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("model", [None, 5, "", [], {}, True, ...], ids=repr)
async def test_no_model(gateway: Gateway, path: str, model: object) -> None:
    body = {name: value for name, value in {**ASK, "model": model}.items() if value is not ...}
    refused(ENDPOINTS[path], await post(gateway, path, body), 400, "missing_model")


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "model",
    [
        "no-such-model",
        "nobody/m",
        "/",
        "fake/",
        "a" * 10_240,
        "a\r\nSet-Cookie: a=b",
        "../../etc/passwd",
        "{{7*7}}",
        "' OR 1=1 --",
        "<script>alert(1)</script>",
        "\x1b[31mred",
        "ünïcödé\u202e\ud83d\ude00",
        "smart@team@" + "x" * 300,
    ],
    ids=lambda model: repr(model[:20]),
)
async def test_an_unknown_model(gateway: Gateway, path: str, model: str) -> None:
    answer = await post(gateway, path, {**ASK, "model": model})
    message = refused(ENDPOINTS[path], answer, 404, "model_not_found")
    assert all(" " <= char <= "~" for char in message)
    assert len(message) < 64 + 30
    assert "set-cookie" not in answer.headers


# --- the conversation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TALKS)
@pytest.mark.parametrize(
    "messages",
    [
        {},
        "x",
        5,
        [5],
        [None],
        [[]],
        [{}],
        [{"role": "user", "content": "x"}] * 10_001,
        [{"role": "nobody", "content": "x"}],
        [{"role": 5, "content": "x"}],
        [{"role": ["user"], "content": "x"}],
        [{"content": "x"}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": {"type": "text", "text": SECRET}}],
    ],
    ids=lambda messages: repr(messages)[:40],
)
async def test_what_is_no_conversation(gateway: Gateway, path: str, messages: object) -> None:
    refused(TALKS[path], await post(gateway, path, {**ASK, "messages": messages}), 400, "invalid_messages")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize(
    "messages",
    [
        ...,
        None,
        [],
        [{"role": "user"}],
        [{"role": "user", "content": None}],
        [{"role": "assistant", "content": None}],
        [{"role": "user", "content": [5]}],
        [{"role": "user", "content": [{"type": "text", "text": 5}]}],
        [{"role": "user", "content": [{"type": 5}]}],
    ],
    ids=lambda messages: repr(messages)[:40],
)
async def test_what_is_no_conversation_where_content_is_required(gateway: Gateway, path: str, messages: object) -> None:
    body = {name: value for name, value in {**ASK, "messages": messages}.items() if value is not ...}
    refused(TALKS[path], await post(gateway, path, body), 400, "invalid_messages")


@pytest.mark.parametrize("path", CHATS)
@pytest.mark.parametrize("stream", ["yes", 1, 0, [], {}])
async def test_stream_is_true_or_false(gateway: Gateway, path: str, stream: object) -> None:
    refused(CHATS[path], await post(gateway, path, {**ASK, "stream": stream}), 400, "invalid_stream")


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("/v1/chat/completions", {"n": 1000}, "invalid_n"),
        ("/v1/chat/completions", {"n": 0}, "invalid_n"),
        ("/v1/chat/completions", {"n": "2"}, "invalid_n"),
        ("/v1/chat/completions", {"max_tokens": -1}, "invalid_max_tokens"),
        ("/v1/chat/completions", {"max_tokens": 1.5}, "invalid_max_tokens"),
        ("/v1/chat/completions", {"max_completion_tokens": "5"}, "invalid_max_completion_tokens"),
        ("/v1/chat/completions", {"temperature": 1e9}, "invalid_temperature"),
        ("/v1/chat/completions", {"temperature": "hot"}, "invalid_temperature"),
        ("/v1/chat/completions", {"top_p": 2}, "invalid_top_p"),
        ("/v1/chat/completions", {"top_p": True}, "invalid_top_p"),
        ("/v1/chat/completions", {"stop": 5}, "invalid_stop"),
        ("/v1/chat/completions", {"tools": {}}, "invalid_tools"),
        ("/v1/chat/completions", {"tools": [{"type": "function"}]}, "invalid_tools"),
        ("/v1/chat/completions", {"tool_choice": 5}, "invalid_tool_choice"),
        ("/v1/chat/completions", {"response_format": "json"}, "invalid_response_format"),
        ("/v1/chat/completions", {"user": 5}, "invalid_user"),
        ("/v1/completions", {"prompt": 5}, "invalid_prompt"),
        ("/v1/completions", {"prompt": {}}, "invalid_prompt"),
        ("/v1/completions", {"max_tokens": -1}, "invalid_max_tokens"),
        ("/v1/messages", {"max_tokens": -1}, "invalid_max_tokens"),
        ("/v1/messages", {"max_tokens": None}, "invalid_max_tokens"),
        ("/v1/messages", {"temperature": 1e9}, "invalid_temperature"),
        ("/v1/messages", {"top_k": -1}, "invalid_top_k"),
        ("/v1/messages", {"system": 5}, "invalid_system"),
        ("/v1/messages", {"stop_sequences": "END"}, "invalid_stop_sequences"),
        ("/v1/messages", {"tools": "all"}, "invalid_tools"),
        ("/api/chat", {"options": []}, "invalid_options"),
        ("/api/chat", {"options": {"num_predict": -5}}, "invalid_num_predict"),
        ("/api/chat", {"options": {"temperature": 1e9}}, "invalid_temperature"),
        ("/api/chat", {"format": 5}, "invalid_format"),
        ("/api/chat", {"think": "hard"}, "invalid_think"),
        ("/api/chat", {"tools": "all"}, "invalid_tools"),
        ("/api/generate", {"prompt": 5}, "invalid_prompt"),
        ("/api/generate", {"images": [5]}, "invalid_images"),
        ("/v1/embeddings", {"input": 5}, "invalid_input"),
        ("/v1/embeddings", {"input": []}, "invalid_input"),
        ("/v1/embeddings", {"dimensions": -1}, "invalid_dimensions"),
        ("/v1/embeddings", {"encoding_format": "hex"}, "invalid_encoding_format"),
        ("/api/embed", {"input": {"a": 1}}, "invalid_input"),
        ("/api/embeddings", {"prompt": ["x"]}, "invalid_prompt"),
    ],
    ids=repr,
)
async def test_fields_of_the_wrong_type_or_out_of_range(
    gateway: Gateway, path: str, fields: dict[str, object], code: str
) -> None:
    refused(ENDPOINTS[path], await post(gateway, path, {**ASK, **fields}), 400, code)


# --- what reaches a provider ------------------------------------------------------------------------------------------


async def told(gateway: Gateway, provider: FaultServer, path: str, body: Mapping[str, Any]) -> Any:
    """The body that a provider gets for a question, which must succeed."""
    before = len(provider.requests)
    answer = await post(gateway, path, body)
    assert answer.status_code == 200, answer.text
    [request] = provider.requests[before:]
    return json.loads(request.body)


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "field",
    [
        "api_base",
        "base_url",
        "api_key",
        "custom_llm_provider",
        "extra_headers",
        "extra_body",
        "organization",
        "user_config",
    ],
)
async def test_where_a_request_goes_is_not_the_client_s_to_say(
    gateway: Gateway, provider: FaultServer, path: str, field: str
) -> None:
    before = len(provider.requests)
    async with FaultServer(respond=lambda request: []) as canary:
        answer = await post(gateway, path, {**ASK, field: f"{canary.url}/v1"})
        message = refused(ENDPOINTS[path], answer, 400, "forbidden_field")
        assert field in message
        assert canary.url not in message
        assert canary.accepted == 0
    assert len(provider.requests) == before


@pytest.mark.parametrize("model", MODELS.values())
@pytest.mark.parametrize("path", CHATS)
async def test_what_is_meant_for_gateways_ends_here(
    gateway: Gateway, provider: FaultServer, path: str, model: str
) -> None:
    names = ("guardrails", "callbacks", "success_callback", "failure_callback", "litellm_params", "litellm_session_id")
    body = await told(gateway, provider, path, {**ASK, "model": model, **{name: ["x"] for name in names}})
    assert body["model"] == "m"
    assert not body.keys() & set(names)


@pytest.mark.parametrize(("path", "wire"), TALKS.items())
async def test_unknown_fields_travel_on_the_same_wire_only(
    gateway: Gateway, provider: FaultServer, path: str, wire: str
) -> None:
    for provider_wire, model in MODELS.items():
        body = await told(gateway, provider, path, {**ASK, "model": model, "brand_new": {"a": [1, None]}})
        assert body.get("brand_new") == ({"a": [1, None]} if provider_wire == wire else None)


def _openai_image(url: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


def _anthropic_image(url: str) -> dict[str, Any]:
    source = {"type": "url", "url": url}
    return {"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}


@pytest.mark.parametrize("model", MODELS.values())
@pytest.mark.parametrize(
    ("path", "image"), [("/v1/chat/completions", _openai_image), ("/v1/messages", _anthropic_image)]
)
async def test_pictures_are_never_fetched(
    gateway: Gateway, provider: FaultServer, path: str, image: Any, model: str
) -> None:
    async with FaultServer(respond=lambda request: []) as canary:
        for url in (f"{canary.url}/picture.png", "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd"):
            before = len(provider.requests)
            answer = await post(gateway, path, {**ASK, "model": model, **image(url)})
            # A provider gets the address as text, or the wire has no word for one.
            if answer.status_code == 200:
                assert url.encode() in provider.requests[before].body
            else:
                assert 400 <= answer.status_code < 500
                check_error(ENDPOINTS[path], (answer.status_code, answer.headers, answer.content))
                assert len(provider.requests) == before
        assert canary.accepted == 0


async def test_the_gateway_s_key_goes_to_its_provider_alone(gateway: Gateway, provider: FaultServer) -> None:
    for model, header, value in (
        ("fake/m", "authorization", f"Bearer {KEY}"),
        ("claude/m", "x-api-key", KEY),
        ("llama/m", "authorization", None),
    ):
        answer = await post(gateway, "/v1/chat/completions", {**ASK, "model": model})
        assert provider.requests[-1].headers.get(header) == value
        assert KEY not in answer.text + str(answer.headers)
    assert KEY not in gateway.output
    assert SECRET not in gateway.output
