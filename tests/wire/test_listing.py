"""Listings, as the official clients read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import anthropic
import httpx
import httpx2
import ollama
import openai
import pytest

from gateway.wire import listing
from gateway.wire.listing import Entry

CREATED = 1_767_225_600.9
SMART = Entry(
    id="smart",
    router=True,
    description='General\nassistant "traffic"',
    context=128_000,
    capabilities=frozenset({"tools", "vision", "reasoning", "json"}),
    created=CREATED,
)
MODEL = Entry(id="openai/gpt-4o")
TAGGED = Entry(id="ollama/llama3:8b", context=8192, created=CREATED)
ENTRIES = (SMART, MODEL, TAGGED)


def ollama_client(body: bytes) -> ollama.Client:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=body)

    return ollama.Client("http://relay.test", transport=httpx.MockTransport(answer))


def http_client(body: bytes) -> httpx2.Client:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body, headers={"content-type": "application/json"})

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def openai_client(body: bytes) -> openai.OpenAI:
    return openai.OpenAI(
        api_key="k",
        base_url="http://relay.test/v1",
        http_client=http_client(body),
        _strict_response_validation=True,
    )


def anthropic_client(body: bytes) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key="k",
        base_url="http://relay.test",
        http_client=http_client(body),
        _strict_response_validation=True,
    )


# --- Ollama -----------------------------------------------------------------------------------------------------------


def test_ollama_list() -> None:
    with ollama_client(listing.ollama_tags(ENTRIES)) as client:
        models = client.list().models
    assert [model.model for model in models] == ["smart:latest", "openai/gpt-4o:latest", "ollama/llama3:8b"]
    assert models[0].modified_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert models[0].details is not None
    assert (models[0].details.family, models[0].details.families) == ("llm-relay", ["llm-relay"])
    assert models[1].details is not None
    assert models[1].details.family == "openai"
    digests = {model.digest for model in models}
    assert len(digests) == 3
    assert all(digest is not None and len(digest) == 64 for digest in digests)


@pytest.mark.parametrize(
    ("entry", "capabilities"),
    [
        (SMART, ["completion", "tools", "vision", "thinking"]),
        (MODEL, ["completion"]),
        (Entry(id="a/b", capabilities=frozenset({"audio", "pdf"})), ["completion", "audio"]),
    ],
)
def test_capabilities_in_ollamas_words(entry: Entry, capabilities: list[str]) -> None:
    assert json.loads(listing.ollama_tags([entry]))["models"][0]["capabilities"] == capabilities
    assert json.loads(listing.ollama_show(entry))["capabilities"] == capabilities


def test_ollama_ps() -> None:
    with ollama_client(listing.ollama_ps(ENTRIES)) as client:
        models = client.ps().models
    assert [(model.name, model.context_length) for model in models] == [
        ("smart:latest", 128_000),
        ("openai/gpt-4o:latest", 0),
        ("ollama/llama3:8b", 8192),
    ]
    assert all(model.expires_at is not None and model.expires_at.year == 9999 for model in models)


def test_ollama_show() -> None:
    with ollama_client(listing.ollama_show(SMART)) as client:
        shown = client.show("smart")
    assert shown.modelinfo == {
        "general.architecture": "llm-relay",
        "general.basename": "smart",
        "llm-relay.context_length": 128_000,
    }
    assert shown.modelfile == '# General assistant "traffic"\nFROM smart\n'
    assert shown.capabilities == ["completion", "tools", "vision", "thinking"]


def test_ollama_show_of_what_little_is_known() -> None:
    with ollama_client(listing.ollama_show(MODEL)) as client:
        shown = client.show("openai/gpt-4o")
    assert shown.modelinfo == {"general.architecture": "openai", "general.basename": "openai/gpt-4o"}
    assert shown.modelfile == "FROM openai/gpt-4o\n"


def test_ollama_version() -> None:
    assert listing.ollama_version("0.1.0") == b'{"version":"0.1.0"}'


# --- OpenAI -----------------------------------------------------------------------------------------------------------


def test_openai_list() -> None:
    with openai_client(listing.openai_models(ENTRIES)) as client:
        models = list(client.models.list())
    assert [(model.id, model.object, model.created, model.owned_by) for model in models] == [
        ("smart", "model", 1_767_225_600, "llm-relay"),
        ("openai/gpt-4o", "model", 0, "openai"),
        ("ollama/llama3:8b", "model", 1_767_225_600, "ollama"),
    ]


def test_openai_retrieve() -> None:
    with openai_client(listing.openai_model(SMART)) as client:
        model = client.models.retrieve("smart")
    assert model.id == "smart"
    assert model.model_extra == {"description": SMART.description, "context_length": 128_000}


def test_openai_shows_nothing_that_is_not_known() -> None:
    expected = {"id": "openai/gpt-4o", "object": "model", "created": 0, "owned_by": "openai"}
    assert json.loads(listing.openai_model(MODEL)) == expected


# --- Anthropic --------------------------------------------------------------------------------------------------------


def test_anthropic_list() -> None:
    with anthropic_client(listing.anthropic_models(ENTRIES)) as client:
        page = client.models.list()
    assert [(model.id, model.display_name, model.max_input_tokens) for model in page] == [
        ("smart", "smart", 128_000),
        ("openai/gpt-4o", "openai/gpt-4o", None),
        ("ollama/llama3:8b", "ollama/llama3:8b", 8192),
    ]
    assert (page.has_more, page.first_id, page.last_id) == (False, "smart", "ollama/llama3:8b")
    assert page.data[0].created_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_anthropic_retrieve() -> None:
    with anthropic_client(listing.anthropic_model(SMART)) as client:
        assert client.models.retrieve("smart").display_name == "smart"


@pytest.mark.parametrize(
    ("body", "empty"),
    [
        (listing.ollama_tags([]), {"models": []}),
        (listing.ollama_ps([]), {"models": []}),
        (listing.openai_models([]), {"object": "list", "data": []}),
        (listing.anthropic_models([]), {"data": [], "has_more": False, "first_id": None, "last_id": None}),
    ],
)
def test_nothing_to_list(body: bytes, empty: Any) -> None:
    assert json.loads(body) == empty
