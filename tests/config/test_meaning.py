"""References between documents, E3xx, and the lints that need them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from .folders import ROUTER, found, gateway, load_texts, router, snapshot_of

KEYS = {"OPENAI_API_KEY": "k1", "ANTHROPIC_API_KEY": "k2", "GROQ_API_KEY": "k3"}


def candidates(*models: str) -> str:
    return "[" + ", ".join(f"{{model: {model}, purpose: p{i}}}" for i, model in enumerate(models)) + "]"


@pytest.mark.parametrize(
    ("text", "expected", "words"),
    [
        pytest.param(
            router(candidates=candidates("openai/gpt-4o", "gpt-4o")),
            "3:59 E303 candidates[1].model",
            'candidates[1].model: "gpt-4o" is not declared; did you mean "openai/gpt-4o"?',
            id="no provider",
        ),
        pytest.param(
            router(candidates=candidates("openai/gpt-4o", "opneai/gpt-4o")),
            "3:59 E303 candidates[1].model",
            'did you mean "openai/gpt-4o"?',
            id="provider misspelt",
        ),
        pytest.param(
            router(candidates=candidates("openai/gpt-4o", "acme/x")),
            "3:59 E303 candidates[1].model",
            'declare the provider "acme"',
            id="provider unknown",
        ),
        pytest.param(
            router(designator="{model: acme/x}"), "2:21 E303 designator.model", "is not declared", id="designator"
        ),
        pytest.param(
            router(designator="{model: sandbox/}"),
            "2:21 E303 designator.model",
            "is not declared; write provider/model",
            id="no model name",
        ),
        pytest.param(
            router(candidates=candidates("smart", "sandbox/a")),
            "3:22 E304 candidates[0].model",
            "nested: smart → smart;",
            id="itself",
        ),
        pytest.param(router(designator="{model: SMART}"), "2:21 E304 designator.model", "smart", id="designator"),
        pytest.param(
            router(candidates=candidates("sandbox/a", "sandbox/b", "SANDBOX/A", "sandbox/a")),
            "3:121 E305 candidates[3].model",
            "see line 3",
            id="candidate twice",
        ),
        pytest.param(
            router(fallback="sandbox/codr"),
            "4:11 E306 fallback",
            'did you mean "sandbox/coder"?',
            id="fallback is no candidate",
        ),
        pytest.param(
            router(tests="[{ask: x, expect: [sandbox/coder, openai/gpt-4o]}]"),
            "4:42 E306 tests[0].expect[1]",
            "use one of sandbox/coder, sandbox/quick",
            id="a test expects no candidate",
        ),
        pytest.param(router(name="openai"), "1:7 E302 name", "the name of a provider", id="provider"),
        pytest.param(router(name="openai/gpt-4o"), "1:7 E302 name", "the name of a model", id="model"),
    ],
)
def test_a_router_that_refers_to_what_is_not_there(tmp_path: Path, text: str, expected: str, words: str) -> None:
    loaded = load_texts(tmp_path, {"x.yaml": text}, KEYS)
    assert f"x.yaml:{expected}" in found(loaded, tmp_path)
    assert words in "\n".join(map(str, loaded.problems))
    assert loaded.snapshot is None


def test_a_model_of_an_impossible_form_is_told_once(tmp_path: Path) -> None:
    text = router(candidates=candidates("sandbox/a", "s\u0430ndbox/b"))
    assert found(load_texts(tmp_path, {"x.yaml": text}), tmp_path) == ["x.yaml:3:55 E203 candidates[1].model"]


@pytest.mark.parametrize(
    ("id", "remedy"),
    [
        pytest.param("opneai/gpt-4o", 'did you mean "openai/gpt-4o"?', id="misspelt provider"),
        pytest.param("acme/x", 'declare the provider "acme"', id="unknown provider, never itself"),
        pytest.param("openai", "write provider/model", id="no model"),
        pytest.param("/x", "write provider/model", id="no provider"),
    ],
)
def test_a_model_is_declared_with_a_provider(tmp_path: Path, id: str, remedy: str) -> None:
    loaded = load_texts(tmp_path, gateway(f"models: {{{id}: {{context: 5}}}}"))
    assert [str(problem).rpartition("; ")[2] for problem in loaded.problems] == [remedy]


def test_routers_that_point_to_each_other(tmp_path: Path) -> None:
    """A → B → A is told with the whole way round, at every step of it."""
    a = router(name="a", candidates=candidates("b", "sandbox/x"))
    b = router(name="b", candidates=candidates("c", "sandbox/x"))
    c = router(name="c", candidates=candidates("a", "sandbox/x"))
    loaded = load_texts(tmp_path, {"a.yaml": a, "b.yaml": b, "c.yaml": c})
    assert found(loaded, tmp_path) == [f"{name}.yaml:3:22 E304 candidates[0].model" for name in "abc"]
    assert [problem.message.rpartition(": ")[2] for problem in loaded.problems] == [
        "a → b → c → a",
        "b → c → a → b",
        "c → a → b → c",
    ]


@pytest.mark.parametrize("second", ["smart", "SMART", "Smart"])
def test_a_router_name_is_taken_in_any_letter_case(tmp_path: Path, second: str) -> None:
    loaded = load_texts(tmp_path, {"a.yaml": ROUTER, "b.yaml": router(name=second)})
    assert "b.yaml:1:7 E302 name" in found(loaded, tmp_path)
    assert "a.yaml:1 has it already" in "\n".join(map(str, loaded.problems))


def test_a_mistake_of_form_does_not_hide_one_of_meaning(tmp_path: Path) -> None:
    loaded = load_texts(tmp_path, {"x.yaml": router(strategy="x", designator="{model: acme/x}")})
    assert found(loaded, tmp_path) == ["x.yaml:2:21 E303 designator.model", "x.yaml:4:11 E207 strategy"]


def test_two_gateway_documents(tmp_path: Path) -> None:
    texts = {"a.yaml": "kind: gateway\n", "b.yaml": "kind: gateway\n", "r.yaml": ROUTER}
    assert found(load_texts(tmp_path, texts), tmp_path) == ["b.yaml:1:7 E301 kind"]


@pytest.mark.parametrize(
    "broken",
    [
        "kind: gateway\nproviders: {acme: {wire: openai, base_url: http://x/v1}}\nextra: 1\n",
        "kind: gateway\nproviders: {acme: {wire: openai, base_url: http://x/v1}}\nmodels: {a: b: c}\n",
        "providers: {acme: {wire: openai, base_url: http://x/v1}}\n'kind' : \"gateway\"\n- x\n",
    ],
)
def test_what_a_broken_gateway_document_may_declare_is_not_called_undeclared(tmp_path: Path, broken: str) -> None:
    text = router(candidates=candidates("acme/x", "openai/gpt-4o"))
    said = found(load_texts(tmp_path, {"g.yaml": broken, "r.yaml": text}), tmp_path)
    assert len(said) == 1
    assert said[0].startswith("g.yaml:")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(router(candidates=candidates("sandbox/a")), "3:1 W401 candidates", id="a single candidate"),
        pytest.param(
            router(candidates=candidates("openai/gpt-4o-mni", "sandbox/a")),
            "3:22 W403 candidates[0].model",
            id="misspelt model",
        ),
        pytest.param(
            router(candidates="[{model: sandbox/a}, {model: sandbox/b, purpose: x}]"),
            "3:14 W407 candidates[0]",
            id="no purpose",
        ),
        pytest.param(router(session="{ttl: 1h}"), "4:1 W408 session", id="session without the strategy"),
        pytest.param(
            router(candidates="[{model: sandbox/a, purpose: Code}, {model: sandbox/b, purpose: code }]"),
            "3:77 W409 candidates[1].purpose",
            id="one purpose twice",
        ),
    ],
)
def test_lints_warn_and_never_refuse(tmp_path: Path, text: str, expected: str) -> None:
    loaded = load_texts(tmp_path, {"x.yaml": text}, KEYS)
    assert found(loaded, tmp_path) == [f"x.yaml:{expected}"]
    assert [problem.severity for problem in loaded.problems] == ["warning"]
    assert loaded.snapshot is not None


@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-7",
        "openai/gpt-4o-2024-08-06",
        "anthropic/claude-sonnet-4-7",
        "anthropic/claude-sonnet-4-5-20250929",
        "groq/some-new-model",
        "sandbox/anything",
        "ollama/qwen3:8b",
        "openai/ft:gpt-4o-mini:acme::x1",
    ],
)
def test_models_that_no_catalogue_has_are_accepted_in_silence(tmp_path: Path, model: str) -> None:
    loaded = load_texts(tmp_path, {"x.yaml": router(candidates=candidates(model, "sandbox/a"))}, KEYS)
    assert loaded.problems == ()
    assert snapshot_of(loaded).routers["smart"].candidates[0].id == model


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("clients: [{name: a, key: env:A, routers: [smrt]}]\n", {"A": "1"}, ["2:43 E314 clients[0].routers[0]"]),
        (
            "clients: [{name: a, key: env:A}, {name: a, key: env:B}]\n",
            {"A": "1", "B": "2"},
            ["2:41 E302 clients[1].name"],
        ),
        (
            "clients: [{name: a, key: env:A}, {name: b, key: env:B}]\n",
            {"A": "1", "B": "1"},
            ["2:49 E315 clients[1].key"],
        ),
        (
            "clients: [{name: a, key: env:A}]\noperators: [{name: a, key: env:A}]\n",
            {"A": "1"},
            ["3:28 E315 operators[0].key"],
        ),
        ("models: {acme/x: {}}\n", {}, ['2:10 E303 models["acme/x"]']),
        ("models: {gpt-4o: {}}\n", {}, ["2:10 E303 models.gpt-4o"]),
        ("providers: {sandbox: {base_url: http://x/v1}}\n", {}, ["2:13 E302 providers.sandbox"]),
    ],
)
def test_a_gateway_document_that_contradicts_itself(
    tmp_path: Path, text: str, environ: Mapping[str, str], expected: list[str]
) -> None:
    said = found(load_texts(tmp_path, gateway(text), environ), tmp_path)
    assert said == [f"gateway.yaml:{problem}" for problem in expected]


def test_the_name_of_a_declared_provider_is_taken(tmp_path: Path) -> None:
    texts = gateway("providers: {smart: {wire: openai, base_url: http://x/v1}}\n")
    assert found(load_texts(tmp_path, texts), tmp_path) == ["router.yaml:1:7 E302 name"]


def test_an_unreadable_file_does_not_silence_what_is_known_of_providers(tmp_path: Path) -> None:
    texts = {
        "a.yaml": "[",
        "g.yaml": "kind: gateway\nproviders: {x: {wire: openai, base_url: 'ftp://x'}}\n",
        "r.yaml": ROUTER,
    }
    (tmp_path / "b.yaml").mkdir()
    said = found(load_texts(tmp_path, texts), tmp_path)
    assert said == ["a.yaml:2:1 E101", "b.yaml:1:1 E402", "g.yaml:2:41 E307 providers.x.base_url"]
