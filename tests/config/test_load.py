"""What a valid configuration becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import catalogue
from gateway.config.files import File, Tree, read
from gateway.config.load import Loader, compile_tree, load
from gateway.config.model import Limits, Price, Search, Timers, Turn
from gateway.config.providers import BUILTIN

from .folders import ROUTER, brief, found, gateway, load_texts, router, snapshot_of, write

KEYS = {
    "OPENAI_API_KEY": "o",
    "ANTHROPIC_API_KEY": "a",
    "GROQ_API_KEY": "g",
    "GEMINI_API_KEY": "m",
    "VLLM_API_KEY": "v",
    "SEARCH_TEAM_KEY": "s",
}
FULL = {
    "smart.yaml": """\
# A comment
name: smart
description: General assistant traffic
purpose: |
  Answer staff questions
  in all languages
designator:
  model: gemini/gemini-2.0-flash
  timeout: 800ms
candidates:
  - model: anthropic/claude-sonnet-4-5
    purpose: Best for coding and analysis
  - model: openai/gpt-4o
    purpose: Good all-rounder
  - model: my-vllm/qwen3
    purpose: Fast for simple queries
fallback: OpenAI/gpt-4o
strategy: session
session: {ttl: 30m}
tags: [platform, platform, "team:search"]
tests:
  - ask: Write a Python function to parse JSON
    expect: anthropic/claude-sonnet-4-5
  - messages:
      - {role: system, content: Be brief}
      - {role: user, content: [{type: text, text: Hi}]}
    expect: [my-vllm/qwen3, openai/gpt-4o]
    not: anthropic/claude-sonnet-4-5
    reason: Greetings are cheap
""",
    "gateway.yaml": """\
kind: gateway
schema_version: 1
providers:
  my-vllm: {wire: openai, base_url: http://vllm:8000/v1/, api_key: env:VLLM_API_KEY, idle: 5m}
  openai: {base_url: "https://eu.api.openai.com/v1"}
models:
  my-vllm/qwen3: {context: 32768, capabilities: [tools], price: {input: 0, output: 0.5}}
  openai/gpt-4o: {max_output: 100, price: {input: 7}}
clients:
  - {name: search-team, key: env:SEARCH_TEAM_KEY, routers: [Smart], tags: [search]}
operators:
  - {name: ops, key: env:OPS_KEY}
allowed_hosts: [Relay.Example.com]
limits: {connect: 2s, total: 20m, body: 1MiB, concurrency: 7, sessions: 9, ledger: 30d}
search: {provider: searxng, searxng: {url: "http://searxng:8080/"}, perplexity: {api_key: "env:VLLM_API_KEY"}}
""",
}


def test_the_whole_format(tmp_path: Path) -> None:
    loaded = load_texts(tmp_path, FULL, {**KEYS, "OPS_KEY": "p"})
    assert loaded.problems == ()
    snapshot = snapshot_of(loaded)
    assert (snapshot.revision, snapshot.commit) == (loaded.revision, None)
    smart = snapshot.routers["smart"]
    assert smart.description == "General assistant traffic"
    assert smart.purpose == "Answer staff questions\nin all languages"
    assert (smart.designator.model.id, smart.designator.timeout) == ("gemini/gemini-2.0-flash", 0.8)
    assert [candidate.id for candidate in smart.candidates] == [
        "anthropic/claude-sonnet-4-5",
        "openai/gpt-4o",
        "my-vllm/qwen3",
    ]
    assert smart.fallback is smart.candidates[1]
    assert (smart.strategy, smart.session_ttl, smart.tags) == ("session", 1800.0, ("platform", "team:search"))
    assert (smart.file, smart.line) == ("smart.yaml", 2)
    ask, conversation = smart.tests
    assert ask.messages == (Turn(role="user", content="Write a Python function to parse JSON"),)
    assert (ask.expect, ask.reject, ask.line) == (("anthropic/claude-sonnet-4-5",), (), 22)
    assert conversation.messages[1].content == ({"type": "text", "text": "Hi"},)
    assert conversation.expect == ("my-vllm/qwen3", "openai/gpt-4o")
    assert (conversation.reject, conversation.reason) == (("anthropic/claude-sonnet-4-5",), "Greetings are cheap")
    timers = Timers(connect=2.0, total=1200.0)
    assert snapshot.limits == Limits(timers=timers, body=1 << 20, concurrency=7, sessions=9, ledger=30 * 86_400.0)
    vllm = snapshot.providers["my-vllm"]
    assert (vllm.wire, vllm.base_url, vllm.structured, vllm.stream_usage) == (
        "openai",
        "http://vllm:8000/v1",
        "none",
        True,
    )
    assert vllm.timers == Timers(connect=2.0, idle=300.0, total=1200.0)
    openai = snapshot.providers["openai"]
    assert (openai.base_url, openai.structured) == ("https://eu.api.openai.com/v1", "json_schema")
    assert [client.name for client in snapshot.clients] == ["search-team"]
    assert snapshot.clients[0].routers == frozenset({"smart"})
    assert [operator.name for operator in snapshot.operators] == ["ops"]
    assert snapshot.allowed_hosts == {"relay.example.com"}
    assert snapshot.search is not None
    assert snapshot.search.searxng_url == "http://searxng:8080"
    assert snapshot.search.perplexity_key is not None


@pytest.mark.parametrize(
    ("search", "environ", "expected"),
    [
        ("{provider: searxng}", {"SEARXNG_URL": "http://searxng.example.com:8080/"}, "http://searxng.example.com:8080"),
        ("{provider: searxng, searxng: {url: 'http://a'}}", {"SEARXNG_URL": "http://b"}, "http://a"),
        (
            "{provider: searxng}",
            {},
            "2:9 E205 search: SearXNG has no address of its own; add 'searxng: {url: …}', or set",
        ),
        ("{provider: searxng}", {"SEARXNG_URL": "ftp://a"}, "2:9 E307 search: SEARXNG_URL: the URL is neither http"),
        ("{provider: jina}", {"SEARXNG_URL": "ftp://a", "PERPLEXITY_API_KEY_FILE": "/nowhere"}, None),
    ],
)
def test_where_searxng_is(tmp_path: Path, search: str, environ: dict[str, str], expected: str | None) -> None:
    loaded = load_texts(tmp_path, gateway(f"search: {search}\n"), environ)
    if expected is not None and expected.startswith("2:9"):
        (problem,) = loaded.problems
        assert f"{brief(problem, tmp_path)}: {problem.message}; {problem.remedy}".startswith(f"gateway.yaml:{expected}")
        return
    found = snapshot_of(loaded).search
    assert found is not None
    assert found.searxng_url == expected


def test_a_check_without_keys_only_warns_of_an_address_that_is_elsewhere(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, gateway("search: {provider: searxng}\n")), {}, require_keys=False)
    assert loaded.snapshot is not None
    assert [brief(problem, tmp_path) for problem in loaded.problems] == ["gateway.yaml:2:9 W406 search"]


@pytest.mark.parametrize("provider", ["perplexity", "jina"])
def test_a_search_providers_key_in_a_file(tmp_path: Path, provider: str) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    (tmp_path / "key").chmod(0o600)
    environ = {f"{provider.upper()}_API_KEY_FILE": str(tmp_path / "key")}
    found = snapshot_of(load_texts(tmp_path / "d", gateway(f"search: {{provider: {provider}}}\n"), environ)).search
    key = getattr(found, f"{provider}_key")
    assert key.reveal() == "from-a-file"


def test_what_is_known_of_models(tmp_path: Path) -> None:
    models = snapshot_of(load_texts(tmp_path, FULL, {**KEYS, "OPS_KEY": "p"})).models
    qwen = models["my-vllm/qwen3"]
    assert (qwen.name, qwen.context, qwen.capabilities) == ("qwen3", 32768, frozenset({"tools"}))
    assert qwen.price == Price(input=0, output=0.5)
    gpt = models["openai/gpt-4o"]
    assert (gpt.context, gpt.max_output) == (128_000, 100), "an override changes single fields"
    assert gpt.price == Price(input=7, output=10, cache_read=1.25)
    assert "openai/gpt-5" in models, "the catalogue of a provider that is available"
    assert "mistral/mistral-large-2512" not in models, "nobody can use it"
    assert list(models) == sorted(models)


def test_the_least_router(tmp_path: Path) -> None:
    snapshot = snapshot_of(load_texts(tmp_path, {"x.yml": ROUTER}))
    smart = snapshot.routers["smart"]
    assert smart.fallback is smart.candidates[0]
    assert (smart.designator.timeout, smart.strategy, smart.session_ttl) == (1.5, "per_request", 3600.0)
    assert (smart.description, smart.purpose, smart.tags, smart.tests, smart.intelligence) == ("", "", (), (), None)
    assert (snapshot.clients, snapshot.operators, snapshot.allowed_hosts, snapshot.limits) == (
        (),
        (),
        frozenset(),
        Limits(),
    )
    assert smart.designator.model.provider.sandbox
    assert list(snapshot.providers) == ["ollama", "sandbox"], "those that need no key"


def test_intelligence_and_search(tmp_path: Path) -> None:
    text = router(intelligence="{search: jina, summarizer: sandbox/writer}")
    texts = {
        "r.yaml": text,
        "g.yaml": "kind: gateway\nsearch: {provider: jina, jina: {search_url: https://s.jina.ai}}\n",
    }
    loaded = load_texts(tmp_path, texts, {"JINA_API_KEY": "j"})
    assert found(loaded, tmp_path) == []
    snapshot = snapshot_of(loaded)
    intelligence = snapshot.routers["smart"].intelligence
    assert intelligence is not None
    assert (intelligence.search, intelligence.summarizer.id) == ("jina", "sandbox/writer")
    assert intelligence.source == "chroma"
    assert snapshot.search is not None
    assert snapshot.search.jina_key is not None
    assert snapshot.search == Search(
        provider="jina", jina_search_url="https://s.jina.ai", jina_key=snapshot.search.jina_key
    )


@pytest.mark.parametrize("name", [name for name in BUILTIN if name != "sandbox"])
def test_every_built_in_provider_works_with_its_variable_alone(tmp_path: Path, name: str) -> None:
    environ = dict.fromkeys(BUILTIN[name].variables[:1], "k")
    snapshot = snapshot_of(load_texts(tmp_path, {"x.yaml": router(designator=f"{{model: {name}/x}}")}, environ))
    provider = snapshot.providers[name]
    assert provider.base_url == BUILTIN[name].base_url
    assert (provider.key is None) is (not environ)


@pytest.mark.parametrize(
    ("model", "context"),
    [
        ("claude-sonnet-4-5", 200_000),
        ("claude-sonnet-4-5-20250929", 200_000),
        ("claude-sonnet-4-5-latest", 200_000),
        ("claude-sonnet-4-5-x", None),
        ("claude-sonnet-4", None),
    ],
)
def test_a_dated_name_is_known_by_its_base(model: str, context: int | None) -> None:
    facts = catalogue.facts("anthropic", model) or catalogue.UNKNOWN
    assert facts.context == context


def test_a_changed_file_is_parsed_again_and_the_others_are_not(tmp_path: Path) -> None:
    loader = Loader({})
    write(tmp_path, {"a.yaml": ROUTER, "b.yaml": router(name="b")})
    first = snapshot_of(loader.load(tmp_path))
    write(tmp_path, {"b.yaml": router(name="c")})
    second = snapshot_of(loader.load(tmp_path))
    assert (list(first.routers), list(second.routers)) == (["smart", "b"], ["smart", "c"])
    assert second.revision != first.revision
    assert snapshot_of(load(tmp_path, {})) == second, "with or without memory, the outcome is the same"


def test_two_files_with_equal_bytes_are_told_apart(tmp_path: Path) -> None:
    loaded = load_texts(tmp_path, {"a.yaml": router(x="1"), "b.yaml": router(x="1")})
    assert found(loaded, tmp_path) == ["a.yaml:4:1 E204 x", "b.yaml:1:7 E302 name", "b.yaml:4:1 E204 x"]


def test_loading_is_deterministic(tmp_path: Path) -> None:
    one = load_texts(tmp_path, FULL, KEYS)
    assert one == load(tmp_path, KEYS)
    assert one == compile_tree(read(tmp_path), KEYS)


def test_a_thousand_routers(tmp_path: Path) -> None:
    write(tmp_path, {f"r{index:04}.yaml": router(name=f"r{index}") for index in range(1000)})
    loaded = load(tmp_path, {})
    assert len(snapshot_of(loaded).routers) == 1000
    assert loaded.problems == ()


LINES = [line for text in FULL.values() for line in text.splitlines()]
JUNK = st.sampled_from(
    ["", " ", "-", ":", "&a", "*a", "{", "]", "'", "~", "\t", "kind: gateway", "name: x", "---", "9e9"]
)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_loading_never_raises_whatever_is_done_to_the_text(data: st.DataObject) -> None:
    files = []
    for name, text in FULL.items():
        lines: list[Any] = text.splitlines()
        for _ in range(data.draw(st.integers(0, 3))):
            index = data.draw(st.integers(0, len(lines) - 1))
            lines[index] = data.draw(
                st.one_of(
                    st.just(lines[index][: data.draw(st.integers(0, 30))]),
                    st.just(lines[index] + data.draw(JUNK)),
                    st.just(data.draw(JUNK) + lines[index]),
                    st.sampled_from(LINES),
                    st.text(max_size=10),
                )
            )
        files.append(File(name, "\n".join(lines).encode("utf-8", "surrogatepass")))
    _loads_or_says_why(files)


@given(st.lists(st.binary(max_size=200), max_size=3))
@settings(max_examples=150, deadline=None)
def test_loading_never_raises_on_any_bytes(contents: list[bytes]) -> None:
    _loads_or_says_why([File(f"{index}.yaml", data) for index, data in enumerate(contents)])


def _loads_or_says_why(files: list[File]) -> None:
    tree = Tree(Path("routers.d"), tuple(files), (), "0" * 64, "")
    loaded = compile_tree(tree, KEYS)
    errors = [problem for problem in loaded.problems if problem.severity == "error"]
    assert (loaded.snapshot is None) is bool(errors)
    for problem in loaded.problems:
        assert problem.file
        assert (problem.line, problem.column) >= (1, 1)
        assert str(problem).count("\n") == 0


def test_a_gateway_document_alone_changes_no_router(tmp_path: Path) -> None:
    assert snapshot_of(load_texts(tmp_path, gateway(""))).routers.keys() == {"smart"}
