"""What lies in the repository agrees with the code: schemas, codes, prices, the demo; and how problems are shown."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices.data import providers as priced
from genai_prices.types import ConditionalPrice, ModelInfo, StartDateConstraint, TieredPrices
from jsonschema import Draft202012Validator

from gateway.config import schema
from gateway.config.catalogue import by_provider
from gateway.config.codes import CODES
from gateway.config.load import load
from gateway.config.problems import Problem
from gateway.config.providers import BUILTIN
from gateway.config.report import render
from gateway.lint import lint

from .folders import snapshot_of

ROOT = Path(__file__).parents[2]
KINDS: list[schema.Kind] = ["router", "gateway"]


# --- schemas ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_schemas_are_those_of_the_code(kind: schema.Kind) -> None:
    shipped = (ROOT / "schemas" / f"{kind}.schema.json").read_text(encoding="utf-8")
    assert shipped == schema.render(kind), "run: llm-relay schema build schemas"


def test_building_schemas_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    once = [path.read_bytes() for path in schema.build(tmp_path)]
    assert once == [path.read_bytes() for path in schema.build(tmp_path / "deep/er")]


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_described(kind: schema.Kind) -> None:
    rules = schema.schema(kind)
    Draft202012Validator.check_schema(rules)
    for definition in [rules, *rules["$defs"].values()]:
        assert definition["description"]
        assert definition["additionalProperties"] is False
        for name, field in definition["properties"].items():
            assert field.get("description"), name


@pytest.mark.parametrize("kind", KINDS)
def test_no_schema_uses_one_of(kind: schema.Kind) -> None:
    """Its errors mislead: they name every branch that was not meant."""
    assert "oneOf" not in schema.render(kind)


# --- the demo ---------------------------------------------------------------------------------------------------------


def test_the_demo_is_valid_without_any_key() -> None:
    loaded = lint(load(ROOT / "routers.d", {}))
    assert loaded.problems == ()
    snapshot = snapshot_of(loaded)
    assert list(snapshot.routers) == ["smart", "support"]
    for router in snapshot.routers.values():
        assert all(candidate.model.provider.sandbox for candidate in router.candidates)
        assert router.tests


def test_the_seed_is_valid_with_keys() -> None:
    keys = dict.fromkeys(("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GROQ_API_KEY", "GEMINI_API_KEY"), "k")
    assert lint(load(ROOT / "routers.d/examples", keys)).problems == ()


#: Beside them lie recordings, which nobody writes by hand.
DOCUMENTS = sorted(path for path in (ROOT / "routers.d").rglob("*.y*ml") if path.parent.name != "recordings")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_editors_find_the_schema(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert match is not None
    assert (path.parent / match[1]).is_file()


# --- codes ------------------------------------------------------------------------------------------------------------


def test_every_code_in_use_is_explained_and_every_explained_code_is_in_use() -> None:
    sources = [path for path in (ROOT / "gateway").rglob("*.py") if path.name != "codes.py"]
    used = {code for path in sources for code in re.findall(r'"([EW]\d{3})"', path.read_text(encoding="utf-8"))}
    assert used == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_an_explanation_is_whole(code: str) -> None:
    title, explanation, remedy = CODES[code]
    assert title
    assert not title.endswith(".")
    assert explanation.endswith(".")
    assert remedy.endswith(".")


# --- the catalogue ----------------------------------------------------------------------------------------------------

PRICED_AS = {"gemini": "google", "xai": "x-ai"}
PRICES = {provider.id: provider for provider in priced}


@pytest.mark.parametrize(
    ("provider", "name"), [(provider, name) for provider, models in by_provider().items() for name in models]
)
def test_prices_and_contexts_are_those_of_genai_prices(provider: str, name: str) -> None:
    facts = by_provider()[provider][name]
    entry = _entry(PRICED_AS.get(provider, provider), name)
    theirs = _latest(entry)
    assert facts.price is not None
    for ours, field in [
        (facts.price.input, theirs.input_mtok),
        (facts.price.output, theirs.output_mtok),
        (facts.price.cache_read, theirs.cache_read_mtok),
        (facts.price.cache_write, theirs.cache_write_mtok),
    ]:
        assert ours == _base(field)
    assert entry.context_window in (None, facts.context)


def _entry(provider: str, name: str) -> ModelInfo:
    models = PRICES[provider].models
    exact = [model for model in models if model.id == name]
    return (exact or [model for model in models if model.is_match(name)])[0]


def _latest(entry: ModelInfo) -> Any:
    """The price that is not bound to an hour, as of its last change."""
    if not isinstance(entry.prices, list):
        return entry.prices
    lasting = [price for price in entry.prices if not _hourly(price)]
    return max(lasting, key=lambda price: str(getattr(price.constraint, "start_date", ""))).prices


def _hourly(price: ConditionalPrice) -> bool:
    return price.constraint is not None and not isinstance(price.constraint, StartDateConstraint)


def _base(price: Decimal | TieredPrices | None) -> float | None:
    if isinstance(price, TieredPrices):
        price = price.base
    return None if price is None else float(price)


def test_the_catalogue_is_of_built_in_providers() -> None:
    assert by_provider().keys() <= BUILTIN.keys()
    assert sum(len(models) for models in by_provider().values()) >= 50


# --- reports ----------------------------------------------------------------------------------------------------------

PROBLEMS = [
    Problem(
        "routers.d/smart.yaml", 14, 9, "candidates[2].model", "E303", '"gpt-4o" is not declared', 'did you mean "x"?'
    ),
    Problem("routers.d/a,b.yaml", 1, 1, "", "W401", "100% odd", "", "warning"),
]


def test_a_problem_in_one_line() -> None:
    assert str(PROBLEMS[0]) == (
        'routers.d/smart.yaml:14:9 candidates[2].model: "gpt-4o" is not declared; did you mean "x"?'
    )
    assert str(PROBLEMS[1]) == "routers.d/a,b.yaml:1:1: 100% odd"


def test_reports() -> None:
    assert render(PROBLEMS, "text") == f"warning: {PROBLEMS[1]} [W401]\n{PROBLEMS[0]} [E303]\n"
    assert json.loads(render(PROBLEMS, "json"))[1] == {
        "file": "routers.d/smart.yaml",
        "line": 14,
        "column": 9,
        "path": "candidates[2].model",
        "code": "E303",
        "message": '"gpt-4o" is not declared',
        "remedy": 'did you mean "x"?',
        "severity": "error",
    }
    assert render(PROBLEMS, "github") == (
        "::warning file=routers.d/a%2Cb.yaml,line=1,col=1,title=W401::100%25 odd\n"
        "::error file=routers.d/smart.yaml,line=14,col=9,title=E303::"
        'candidates[2].model: "gpt-4o" is not declared; did you mean "x"?\n'
    )
    assert (render([], "text"), render([], "json"), render([], "github")) == ("", "[]\n", "")
