"""Whatever a client sends, it is an answer or the client's own error, in the client's own shape."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gatewayprocess import Gateway
from tests.server.errorshapes import check_error
from tests.server.providers import ENVIRON, PROVIDERS, obliging
from tests.server.rawhttp import request, talk

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMART = """\
name: smart
strategy: session
designator: {model: sandbox/designator, timeout: 5s}
candidates:
  - {model: sandbox/coder, purpose: Code}
  - {model: claude/m, purpose: Prose}
  - {model: llama/m, purpose: Questions}
"""
#: Paths that read a body, and the dialect that their errors are in.
PATHS = {
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
MODELS = ["smart", "smart@team", "fake/m", "claude/m", "llama/m", "sandbox/coder", "sandbox/designator", "nobody/m", ""]
PNG = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

#: Questions that use what an API has, to be changed from there.
OPENAI: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "Be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "found"},
        {"role": "user", "content": "And?"},
    ],
    "prompt": "Hello",
    "input": ["Hello", "you"],
    "max_tokens": 10,
    "temperature": 0.5,
    "stop": ["END"],
    "n": 1,
    "seed": 7,
    "user": "me",
    "tools": [{"type": "function", "function": {"name": "f", "description": "F", "parameters": SCHEMA}}],
    "tool_choice": "auto",
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
    "stream": False,
    "stream_options": {"include_usage": True},
    "reasoning_effort": "low",
}
ANTHROPIC: dict[str, Any] = {
    "max_tokens": 10,
    "system": [{"type": "text", "text": "Be brief", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "s"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "found"}],
                    "is_error": False,
                }
            ],
        },
    ],
    "tools": [{"name": "f", "description": "F", "input_schema": SCHEMA}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "me"},
    "stream": False,
}
OLLAMA: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "What?", "images": [PNG]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "f", "arguments": {"city": "Rome"}}}],
        },
        {"role": "tool", "tool_name": "f", "content": "found"},
    ],
    "prompt": "Hello",
    "system": "Be brief",
    "input": "Hello",
    "images": [PNG],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
    "format": SCHEMA,
    "think": False,
    "options": {"temperature": 0.5, "num_predict": 10, "stop": ["END"], "seed": 7},
    "keep_alive": "5m",
    "stream": False,
}
TEMPLATES = {"openai": OPENAI, "anthropic": ANTHROPIC, "ollama": OLLAMA}
#: Keys and values that mean something somewhere.
WORDS = sorted(
    {
        "role",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "source",
        "data",
        "arguments",
        "input",
        "name",
        "id",
        "index",
    }
    | {
        "user",
        "assistant",
        "system",
        "tool",
        "function",
        "file",
        "input_audio",
        "document",
        "base64",
        "thinking",
        "none",
    }
    | {
        "tool_use",
        "tool_result",
        "redacted_thinking",
        "server_tool_use",
        "json_object",
        "data:",
        "data:;base64,",
        "\x00",
    }
    | OPENAI.keys()
    | ANTHROPIC.keys()
    | OLLAMA.keys()
)

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(WORDS)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """A path and a body for it: a question of one API, mostly that path's, with some things changed."""
    path = draw(st.sampled_from(list(PATHS)))
    kind = draw(st.sampled_from([PATHS[path]] * 3 + list(TEMPLATES)))
    body = {"model": draw(st.sampled_from(MODELS)), **copy.deepcopy(TEMPLATES[kind])}
    # Without some of the fields: one bad field would hide all others.
    for name in draw(st.sets(st.sampled_from(sorted(body)), max_size=len(body) - 1)) - {
        "model",
        "max_tokens",
        "messages",
    }:
        del body[name]
    for _ in range(draw(st.integers(0, 3))):
        _change(draw, body)
    return path, json.dumps(body).encode("utf-8", "surrogatepass")


def _change(draw: st.DrawFn, body: dict[str, Any]) -> None:
    node: Any = body
    while True:
        keys = sorted(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        if isinstance(node[key], dict | list) and draw(st.integers(0, 3)):
            node = node[key]
            continue
        match draw(st.sampled_from(["replace", "delete", "nest", "add"])):
            case "delete":
                del node[key]
            case "nest":
                node[key] = draw(st.sampled_from([[node[key]], {"content": node[key]}, [[node[key]], node[key]]]))
            case "add" if isinstance(node, dict):
                node[draw(st.sampled_from(WORDS))] = draw(values)
            case _:
                node[key] = draw(values)
        return


tokens = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12)
printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=40)
heads = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "Host",
                "Origin",
                "Via",
                "Accept",
                "Authorization",
                "X-Api-Key",
                "Content-Type",
                "Content-Encoding",
                "X-LLM-Relay-Session",
                "X-LLM-Relay-Tags",
                "Anthropic-Version",
                "Anthropic-Beta",
                "Expect",
                "Upgrade",
            ]
        )
        | tokens.filter(lambda name: name.lower() not in ("content-length", "transfer-encoding", "connection", "te")),
        st.sampled_from(
            [
                "",
                "localhost",
                "http://localhost",
                "null",
                "identity",
                "application/json",
                "text/plain",
                "Bearer x",
                "1.1 llm-relay",
            ]
        )
        | printable,
    ).map(lambda pair: f"{pair[0]}: {pair[1].strip()}"),
    max_size=4,
)
paths = st.one_of(
    st.sampled_from(
        [*PATHS, "/", "/api/tags", "/api/ps", "/api/version", "/v1/models", "/v1/models/smart", "/status", "/metrics"]
    ),
    st.lists(
        st.sampled_from(
            ["v1", "api", "models", "messages", "chat", "completions", "ui", "smart", "", "..", "%2e%2e", "%00", "%ff"]
        )
    ).map(lambda parts: "/" + "/".join(parts)),
    st.text("abc/%?#;=&+~{}|^`'\"<>\\ \x7f0123456789", max_size=20).map(lambda tail: "/" + tail.replace(" ", "%20")),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with obliging() as provider:
        files = {"gateway.yaml": f"kind: gateway\n{PROVIDERS.format(url=provider.url)}", "smart.yaml": SMART}
        async with Gateway(tmp_path_factory.mktemp("gateway"), files, environ=ENVIRON) as it:
            yield it


anything = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@anything
@given(wanted=bodies())
async def test_any_question(gateway: Gateway, wanted: tuple[str, bytes]) -> None:
    path, body = wanted
    answer = await gateway.client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code < 500, answer.text
    if answer.status_code != 200:
        check_error(PATHS[path], (answer.status_code, answer.headers, answer.content))


@anything
@given(
    path=st.sampled_from(list(PATHS)),
    body=st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()),
)
async def test_any_bytes(gateway: Gateway, path: str, body: bytes) -> None:
    answer = await gateway.client.post(path, content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500
    check_error(PATHS[path], (answer.status_code, answer.headers, answer.content))


@anything
@given(path=paths, method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"]), head=heads)
async def test_any_head(gateway: Gateway, path: str, method: str, head: list[str]) -> None:
    answers, _ = await talk(gateway.port, request(path, b"{}" if method == "POST" else b"", *head, method=method))
    for got in answers:
        assert got.status < 500
        if got.status >= 400 and got.body and not _is_page(path):
            check_error(_dialect(path, head), (got.status, got.headers, got.body))


def _is_page(path: str) -> bool:
    """Whether people read what is at ``path``, its errors too."""
    return [part for part in unquote(path.partition("?")[0]).split("/") if part][:1] == ["ui"]


def _dialect(path: str, head: list[str]) -> str:
    """Whose errors a client at ``path`` can read."""
    parts = [part for part in unquote(path.partition("?")[0]).split("/") if part]
    known = PATHS.get("/" + "/".join(parts))
    if known is not None or parts[:1] != ["v1"]:
        return known or "ollama"
    if parts[1:2] == ["messages"] or any(line.lower().startswith("anthropic-version:") for line in head):
        return "anthropic"
    return "openai"
