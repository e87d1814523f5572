"""The shape of single documents, E2xx: each mistake with its code, its place and a remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import mistakes, schema
from gateway.config.model import Record
from gateway.config.problems import Marks

from .folders import found, gateway, load_texts, router, snapshot_of

MANY = "[" + ", ".join(f"{{model: sandbox/m{i}, purpose: p{i}}}" for i in range(201)) + "]"


@pytest.mark.parametrize(
    ("text", "expected", "words"),
    [
        pytest.param(router(candidtes="[]"), "4:1 E204 candidtes", 'did you mean "candidates"?', id="misspelt field"),
        pytest.param(
            router(designator="{model: sandbox/x, modle: y}"),
            "2:32 E204 designator.modle",
            'did you mean "model"?',
            id="nested",
        ),
        pytest.param(
            router(providers="{}"), "4:1 E204 providers", "add 'kind: gateway'", id="a gateway's field in a router"
        ),
        pytest.param(router(rules="[{match: '(a+)+$'}]"), "4:1 E204 rules", "the fields are name,", id="no regexes"),
        pytest.param(
            router(header_allow="[authorization]"), "4:1 E204 header_allow", "the fields are", id="no headers"
        ),
        pytest.param(router(designator=""), "1:1 E205", '"designator" is missing; add it: The model', id="designator"),
        pytest.param(router(candidates=""), "1:1 E205", '"candidates" is missing', id="candidates"),
        pytest.param(router(name=""), "1:1 E205", '"name" is missing', id="name"),
        pytest.param(
            router(candidates="[{model: sandbox/a, purpose: p}, {purpose: q}]"),
            "3:46 E205 candidates[1]",
            '"model" is missing',
            id="in a candidate",
        ),
        pytest.param(router(candidates="[]"), "3:13 E206 candidates", "0 entries are too few", id="none"),
        pytest.param(router(candidates=MANY), "3:13 E206 candidates", "201 entries are too many", id="201"),
        pytest.param(
            router(designator="{model: sandbox/x, timeout: 5 apples}"),
            "2:41 E203 designator.timeout",
            "write a number above zero and a unit",
            id="apples",
        ),
        pytest.param(
            router(designator="{model: sandbox/x, timeout: 5}"),
            "2:41 E203 designator.timeout",
            "5 is not a text; write a number above zero and a unit",
            id="no unit",
        ),
        pytest.param(
            router(designator="{model: sandbox/x, timeout: -1s}"), "2:41 E203 designator.timeout", "-1s", id="-1s"
        ),
        pytest.param(
            router(designator="{model: sandbox/x, timeout: 0s}"), "2:41 E203 designator.timeout", "0s", id="0s"
        ),
        pytest.param(
            router(designator="{model: sandbox/x, timeout: 0.0ms}"), "2:41 E203 designator.timeout", "0ms", id="0.0"
        ),
        pytest.param(
            router(designator="{model: sandbox/x, timeout: 1e9s}"),
            "2:41 E203 designator.timeout",
            "1e9s",
            id="1e9s",
        ),
        pytest.param(
            router(designator="{model: sandbox/x, timeout: 2h}"),
            "2:41 E203 designator.timeout",
            "too long",
            id="2h",
        ),
        pytest.param(router(strategy="per-request"), "4:11 E207 strategy", 'did you mean "per_request"?', id="hyphen"),
        pytest.param(
            router(strategy="random"), "4:11 E207 strategy", "use per_request or session", id="the allowed list"
        ),
        pytest.param(router(kind="gatway"), "4:7 E207 kind", 'did you mean "gateway"?', id="kind"),
        pytest.param(router(kind="[router]"), "4:7 E207 kind", "use router or gateway", id="kind is a list"),
        pytest.param(router(schema_version="99"), "4:17 E208 schema_version", "use 1", id="schema version"),
        pytest.param(router(description="x" * 20_000), "4:14 E203 description", "20,000 characters", id="20 KB"),
        pytest.param(router(description=r'"a\u200Bb"'), "4:14 E203 description", "U+200B", id="zero width"),
        pytest.param(router(description=r'"a\u202Eb"'), "4:14 E203 description", "U+202E", id="right to left"),
        pytest.param(router(description=r'"a\x1Bb"'), "4:14 E203 description", "U+001B", id="control character"),
        pytest.param(router(description=r'"a\Lb"'), "4:14 E203 description", "U+2028", id="line separator"),
        pytest.param(router(purpose=r'"a\x07"'), "4:10 E203 purpose", "control character", id="purpose"),
        pytest.param(router(description=""), "", "", id="no description"),
        pytest.param(router(fallback="~"), "4:11 E203 fallback", "the field has no value", id="empty value"),
        pytest.param(router(name="12"), "1:7 E203 name", "12 is not a text", id="a number for a name"),
        pytest.param(router(name="a b"), "1:7 E203 name", "lower-case letters", id="a space in a name"),
        pytest.param(router(name='"a\\n"'), "1:7 E203 name", "lower-case letters", id="a line break after a name"),
        pytest.param(router(tags="[a, 'b c']"), "4:11 E203 tags[1]", "letters, digits", id="tag"),
        pytest.param(
            router(tags="a"), "4:7 E203 tags", '"a" is not a list; write each entry on a line', id="text for a list"
        ),
        pytest.param(
            router(candidates="[sandbox/a]"),
            "3:14 E203 candidates[0]",
            '"sandbox/a" is not a mapping; write its fields: model: …',
            id="text for a mapping",
        ),
        pytest.param(router(session="5"), "4:10 E203 session", "5 is not a mapping", id="number for a mapping"),
        pytest.param(
            router(schema_version='"1"'), "4:17 E208 schema_version", "write 1, not in quotes", id="quoted number"
        ),
        pytest.param(router(name="sm\u0430rt"), "1:7 E203 name", "does not fit: it holds U+0430", id="look-alike"),
        pytest.param(
            router() + "t\u0430gs: [a]\n",
            '4:1 E204 ["t\u0430gs"]',
            'no such field: it holds U+0430; did you mean "tags"?',
            id="look-alike field",
        ),
        pytest.param(
            router(candidates="[{model: sandbox/ä, purpose: p}, {model: sandbox/b, purpose: q}]"),
            "3:22 E203 candidates[0].model",
            "printable ASCII",
            id="a model that no header can hold",
        ),
        *(
            pytest.param(
                router(record=f"{{sample: {text}}}"),
                "4:18 E203 record.sample",
                "write a percentage from 0% to 100%",
                id=f"a share of {text}",
            )
            for text in ("1", "0.5", "101%", "100.5%", "-1%", "'1 %'", "'%'", "1e1%", "0.0001%", "1%%", "true")
        ),
        pytest.param(router(record="{sample: ~}"), "4:18 E203 record.sample", "has no value", id="an empty share"),
        pytest.param(
            router(record="{days: 7}"), "4:9 E205 record", '"sample" is missing; add it: The share', id="days"
        ),
        pytest.param(router(record="{sample: 1%, days: 0}"), "4:28 E203 record.days", "at least 1", id="0 days"),
        pytest.param(router(record="{sample: 1%, days: 91}"), "4:28 E203 record.days", "at most 90", id="91 days"),
        pytest.param(router(record="{sample: 1%, days: 7d}"), "4:28 E203 record.days", "a whole number", id="7d"),
        pytest.param(
            router(record="{sample: 1%, day: 7}"), "4:22 E204 record.day", 'did you mean "days"?', id="misspelt days"
        ),
        pytest.param(router(record="1%"), "4:9 E203 record", '"1%" is not a mapping', id="a share for a mapping"),
        pytest.param(router(record="~"), "4:9 E203 record", "has no value", id="an empty record"),
        pytest.param(
            router(tests="[{ask: x, expect: 5}]"), "4:26 E203 tests[0].expect", "a text or a list", id="union"
        ),
        pytest.param(
            router(tests="[{ask: x, expect: [5]}]"), "4:27 E203 tests[0].expect[0]", "5 is not a text", id="in"
        ),
        pytest.param(router(tests="[{expect: sandbox/coder}]"), "4:9 E205 tests[0]", '"ask" is missing', id="no ask"),
        pytest.param(router(tests="[{ask: x}]"), "4:9 E205 tests[0]", '"expect" is missing', id="no expectation"),
        pytest.param(router(tests="[{ask: '', not: sandbox/coder}]"), "4:15 E203 tests[0].ask", "is empty", id="empty"),
        pytest.param(
            router(tests="[{ask: x, messages: [{role: user, content: x}], expect: sandbox/coder}]"),
            "4:18 E209 tests[0].messages",
            "exclude each other",
            id="ask and messages",
        ),
    ],
)
def test_a_router_with_a_mistake(tmp_path: Path, text: str, expected: str, words: str) -> None:
    loaded = load_texts(tmp_path, {"x.yaml": text})
    assert found(loaded, tmp_path) == ([f"x.yaml:{expected}"] if expected else [])
    assert words in "".join(map(str, loaded.problems))


@pytest.mark.parametrize(
    ("text", "expected", "words"),
    [
        ("provider: {}\n", "2:1 E204 provider", 'did you mean "providers"?'),
        ("providers: {My_vLLM: {wire: openai, base_url: http://x/v1}}\n", "2:13 E203 providers.My_vLLM", "lower-case"),
        ("providers: {vllm: {base_url: http://x/v1}}\n", "2:19 E205 providers.vllm", '"wire" is missing'),
        ("providers: {vllm: {wire: openai}}\n", "2:19 E205 providers.vllm", '"base_url" is missing'),
        (
            "providers: {vllm: {wire: http, base_url: http://x/v1}}\n",
            "2:26 E207 providers.vllm.wire",
            "use anthropic or ollama or openai",
        ),
        ("models: {sandbox/x: {context: 0}}\n", '2:31 E203 models["sandbox/x"].context', "0 is too small; at least 1"),
        ("models: {sandbox/x: {context: 5.0}}\n", '2:31 E203 models["sandbox/x"].context', "5.0 is not a whole number"),
        ("models: {sandbox/x: {context: true}}\n", '2:31 E203 models["sandbox/x"].context', "true is not a whole"),
        ("models: {sandbox/x: {price: {input: -1}}}\n", '2:37 E203 models["sandbox/x"].price.input', "too small"),
        ("models: {sandbox/x: {capabilities: [sight]}}\n", '2:37 E207 models["sandbox/x"].capabilities[0]', "vision"),
        ("limits: {body: 32MB}\n", "2:16 E203 limits.body", "32MiB"),
        ("limits: {body: 0MiB}\n", "2:16 E203 limits.body", "above zero"),
        ("limits: {total: 25h}\n", "2:17 E203 limits.total", "too long; at most 24h"),
        ("limits: {ledger: 4000d}\n", "2:18 E203 limits.ledger", "too long; at most 3650d"),
        ("limits: {ledger: 1y}\n", "2:18 E203 limits.ledger", "1h or 90d"),
        ("limits: {concurrency: 99999999999}\n", "2:23 E203 limits.concurrency", "is too large"),
        ("allowed_hosts: ['https://x']\n", "2:17 E203 allowed_hosts[0]", "host name"),
        ("schema_version: 2\n", "2:17 E208 schema_version", "use 1"),
        ("search: {provider: google}\n", "2:20 E207 search.provider", "use jina or perplexity or searxng"),
        ("search: {provider: searxng}\n", "2:9 E205 search", "add 'searxng: {url: …}', or set SEARXNG_URL"),
    ],
)
def test_a_gateway_document_with_a_mistake(tmp_path: Path, text: str, expected: str, words: str) -> None:
    loaded = load_texts(tmp_path, gateway(text))
    assert found(loaded, tmp_path) == [f"gateway.yaml:{expected}"]
    assert words in str(loaded.problems[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("{sample: 1%}", Record(sample=0.01, days=7)),
        ("{sample: 0.5%, days: 1}", Record(sample=0.005, days=1)),
        ("{sample: 0%, days: 90}", Record(sample=0.0, days=90)),
        ("{sample: 100%}", Record(sample=1.0, days=7)),
        ("{sample: '100.000%'}", Record(sample=1.0, days=7)),
        ("{sample: 0.001%}", Record(sample=0.00001, days=7)),
        ("{sample: 05%}", Record(sample=0.05, days=7)),
    ],
)
def test_samples_to_record(tmp_path: Path, text: str, expected: Record | None) -> None:
    loaded = load_texts(tmp_path, {"x.yaml": router(record=text)})
    assert loaded.problems == ()
    assert snapshot_of(loaded).routers["smart"].record == expected


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = router(strategy="x", tags="{}", extra="1", candidates="[{modle: a}]", name="A")
    assert found(load_texts(tmp_path, {"x.yaml": text}), tmp_path) == [
        "x.yaml:1:7 E203 name",
        "x.yaml:3:14 E205 candidates[0]",
        "x.yaml:3:15 E204 candidates[0].modle",
        "x.yaml:4:11 E207 strategy",
        "x.yaml:5:7 E203 tags",
        "x.yaml:6:1 E204 extra",
    ]


def test_a_file_cannot_drown_the_others(tmp_path: Path) -> None:
    text = router() + "".join(f"x{i}: 1\n" for i in range(5000))
    loaded = load_texts(tmp_path, {"a.yaml": text, "b.yaml": router(name="b", strategy="x")})
    assert len(loaded.problems) == 102
    assert found(loaded, tmp_path)[-2:] == ["a.yaml:104:1 E110", "b.yaml:4:11 E207 strategy"]


_FIELDS = st.sampled_from(
    ["name", "kind", "designator", "candidates", "model", "purpose", "timeout", "strategy", "tags", "tests", "ask",
     "messages", "role", "content", "expect", "not", "session", "ttl", "schema_version", "providers", "models", "price",
     "input", "context", "clients", "key", "routers", "limits", "body", "search", "provider", "url", "allow_empty"]
)  # fmt: skip
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from([0.5, 5.0, 1e9]),
    st.sampled_from(
        ["", "a", "A", "x/y", "5s", "0s", "1MiB", "env:A", "sk-1", "router", "gateway", "session", "user", "searxng",
         "vision", "a\n", "ä", "x" * 1001]
    ),
)  # fmt: skip
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_FIELDS, inner, max_size=4)),
    max_leaves=12,
)


@given(st.dictionaries(_FIELDS, _VALUES, max_size=6), st.sampled_from(["router", "gateway"]))
@settings(max_examples=150, deadline=None)
def test_the_two_checks_agree_on_anything(value: dict[str, Any], kind: schema.Kind) -> None:
    _agree(value, kind)


_VALID: dict[schema.Kind, dict[str, Any]] = {
    "router": {
        "kind": "router",
        "schema_version": 1,
        "name": "a",
        "designator": {"model": "x/y", "timeout": "5s"},
        "candidates": [{"model": "x/y", "purpose": "p"}, {"model": "x/z"}],
        "fallback": "x/y",
        "strategy": "session",
        "session": {"ttl": "1h"},
        "tags": ["a"],
        "tests": [{"ask": "q", "expect": "x/y"}, {"messages": [{"role": "user", "content": [{}]}], "not": ["x/z"]}],
        "intelligence": {"search": "jina", "summarizer": "x/y"},
    },
    "gateway": {
        "kind": "gateway",
        "providers": {"p": {"wire": "openai", "base_url": "http://x/v1", "api_key": "env:A", "idle": "5s"}},
        "models": {"p/x": {"context": 5, "capabilities": ["vision"], "price": {"input": 1, "output": 0.5}}},
        "clients": [{"name": "c", "key": "file:/x", "routers": ["a"], "tags": ["t"]}],
        "operators": [{"name": "o", "key": "env:B"}],
        "allowed_hosts": ["a.example"],
        "limits": {"connect": "5s", "body": "1MiB", "sessions": 5},
        "search": {"provider": "searxng", "searxng": {"url": "http://s"}, "jina": {}, "perplexity": {}},
        "allow_empty": True,
    },
}


@given(st.data(), st.sampled_from(["router", "gateway"]))
@settings(max_examples=150, deadline=None)
def test_the_two_checks_agree_on_what_is_nearly_valid(data: st.DataObject, kind: schema.Kind) -> None:
    """One value somewhere in a valid document is replaced, removed or added."""
    value = _mutated(_VALID[kind], data)
    assert isinstance(value, dict)
    _agree(value, kind)


def test_the_valid_documents_are_valid() -> None:
    for kind, value in _VALID.items():
        assert schema.read(value, kind, Marks())[1] == []


def _agree(value: dict[str, Any], kind: schema.Kind) -> None:
    typed, problems = schema.read(value, kind, Marks())
    assert bool(mistakes.find(value, kind, Marks())) is (typed is None)
    assert bool(problems) is (typed is None)


def _mutated(value: Any, data: st.DataObject) -> Any:
    if isinstance(value, dict) and value:
        name = data.draw(st.sampled_from(sorted(value)))
        match data.draw(st.sampled_from(["into", "into", "into", "remove", "add"])):
            case "into":
                return {**value, name: _mutated(value[name], data)}
            case "remove":
                return {key: entry for key, entry in value.items() if key != name}
            case _:
                return {**value, data.draw(_FIELDS): data.draw(_SCALARS)}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        index = data.draw(st.integers(0, len(value) - 1))
        return [_mutated(entry, data) if i == index else entry for i, entry in enumerate(value)]
    return data.draw(_VALUES)
