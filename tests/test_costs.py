"""Costs: compared with exact decimal arithmetic, and unknown wherever something is."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.chat import Usage
from gateway.config.catalogue import by_provider
from gateway.config.model import Model, Price, Provider
from gateway.costs import MOST_TOKENS, Dearest, believed, cost

PROVIDER = Provider(name="p", wire="openai", base_url="http://p")


def model(**usd: float) -> Model:
    """A model with these prices."""
    return Model(id="p/m", name="m", provider=PROVIDER, price=Price(**usd))


def exactly(used: Usage, price: Price) -> float:
    """The cost in decimal arithmetic; everything that is needed is known."""
    read, written = used.cache_read or 0, used.cache_write or 0
    assert used.input is not None
    kinds = (
        (used.input - read - written, price.input),
        (read, price.cache_read),
        (written, price.cache_write),
        (used.output, price.output),
    )
    usd = sum((Decimal(tokens or 0) * Decimal(str(each or 0.0)) for tokens, each in kinds), Decimal(0)) / 10**6
    return float(usd.quantize(Decimal("1e-9"), ROUND_HALF_UP))


FULL = {"input": 3.0, "output": 15.0, "cache_read": 0.3, "cache_write": 3.75}
BARE = {"input": 3.0, "output": 15.0}


@pytest.mark.parametrize(
    ("usd", "used", "expected"),
    [
        pytest.param(FULL, Usage(1_000_000, 0), 3.0, id="a million in"),
        pytest.param(FULL, Usage(0, 1_000_000), 15.0, id="a million out"),
        pytest.param(FULL, Usage(1000, 100), 0.0045, id="both"),
        pytest.param(FULL, Usage(1000, 100, 800, 100), 0.0003 + 0.00024 + 0.000375 + 0.0015, id="cached"),
        pytest.param(FULL, Usage(1000, 100, reasoning=90), 0.0045, id="reasoning is part of the output"),
        pytest.param(FULL, Usage(0, 0), 0.0, id="nothing used"),
        pytest.param({"input": 0.0, "output": 0.0}, Usage(1000, 100), 0.0, id="free"),
        pytest.param({"input": 0.0375, "output": 0.15}, Usage(1, 0), 0.000000038, id="half a billionth more"),
        pytest.param({"input": 0.0375, "output": 0.15}, Usage(3, 0), 0.000000113, id="rounded once, at the end"),
        pytest.param(BARE, Usage(1000, 100, 0, 0), 0.0045, id="a cache that was not used needs no price"),
        pytest.param(BARE, Usage(1000, 100, 1), None, id="one that was read does"),
        pytest.param(BARE, Usage(1000, 100, None, 1), None, id="one that was written does"),
        pytest.param({"input": 3.0}, Usage(1000, 0), 0.003, id="nothing written needs no price of output"),
        pytest.param({"input": 3.0}, Usage(1000, 1), None, id="no price of output"),
        pytest.param({"output": 15.0}, Usage(1, 1), None, id="no price of input"),
        pytest.param({}, Usage(1, 1), None, id="no price at all"),
        pytest.param(FULL, Usage(), None, id="no tokens known"),
        pytest.param(FULL, Usage(None, 5), None, id="no input known"),
        pytest.param(FULL, Usage(5, None), None, id="no output known"),
        pytest.param(FULL, Usage(10, 1, 6, 5), None, id="parts that are more than the whole"),
        pytest.param(FULL, Usage(-1, 1), None, id="less than nothing in"),
        pytest.param(FULL, Usage(1, -1), None, id="less than nothing out"),
        pytest.param(FULL, Usage(1, 1, -1), None, id="less than nothing cached"),
    ],
)
def test_a_cost(usd: dict[str, float], used: Usage, expected: float | None) -> None:
    assert cost(model(**usd), used) == (None if expected is None else pytest.approx(expected, abs=1e-15))


def test_a_model_that_nobody_priced() -> None:
    assert cost(Model(id="p/m", name="m", provider=PROVIDER), Usage(1, 1)) is None


PRICED = [(name, facts.price) for models in by_provider().values() for name, facts in models.items() if facts.price]


@pytest.mark.parametrize(("name", "price"), PRICED, ids=[name for name, _ in PRICED])
def test_the_catalogue_s_prices_are_exact(name: str, price: Price) -> None:
    used = Usage(
        123_457, 7_919, None if price.cache_read is None else 99_991, None if price.cache_write is None else 1_009
    )
    assert cost(Model(id=name, name=name, provider=PROVIDER, price=price), used) == exactly(used, price)


MICROS = st.integers(0, 10**9).map(lambda micros: micros / 10**6)
TOKENS = st.integers(0, 10**7)


@given(MICROS, MICROS, MICROS, MICROS, TOKENS, TOKENS, TOKENS, TOKENS)
def test_no_float_surprises(
    a: float, b: float, c: float, d: float, plain: int, read: int, written: int, out: int
) -> None:
    priced = model(input=a, cache_read=b, cache_write=c, output=d)
    used = Usage(plain + read + written, out, read, written)
    assert priced.price is not None
    assert cost(priced, used) == exactly(used, priced.price)


@given(st.lists(st.tuples(TOKENS, TOKENS), max_size=50), st.randoms())
def test_costs_add_up_in_any_order(exchanges: list[tuple[int, int]], random: Any) -> None:
    costs = [cost(model(input=2.5, output=10.0), Usage(*each)) or 0.0 for each in exchanges]
    nanos = sum(round(each * 1e9) for each in costs)
    random.shuffle(costs)
    assert round(sum(costs), 9) == nanos / 1e9


# --- the dearest ------------------------------------------------------------------------------------------------------

CHEAP, READER, WRITER = {"input": 1.0, "output": 1.0}, {"input": 5.0, "output": 2.0}, {"input": 2.0, "output": 5.0}


@pytest.mark.parametrize(
    ("candidates", "used", "expected"),
    [
        pytest.param([CHEAP], Usage(10, 10), 20, id="the only one"),
        pytest.param([CHEAP, CHEAP], Usage(10, 10), 20, id="two alike"),
        pytest.param([CHEAP, READER, WRITER], Usage(10, 1), 52, id="a long prompt"),
        pytest.param([WRITER, READER, CHEAP], Usage(1, 10), 52, id="a long answer"),
        pytest.param([CHEAP, FULL], Usage(10, 0, 10, 0), 10, id="cached, where that is cheaper"),
        pytest.param([FULL, BARE], Usage(10, 0, 10, 0), 30, id="a cache without a price is plain input"),
        pytest.param([CHEAP, {}], Usage(10, 10), None, id="one without prices"),
        pytest.param([CHEAP, {"input": 1.0}], Usage(10, 10), None, id="one without a price of output"),
        pytest.param([], Usage(10, 10), None, id="nobody"),
        pytest.param([CHEAP], Usage(10, None), None, id="tokens that are not known"),
        pytest.param([CHEAP], Usage(10, 1, 11), None, id="tokens that cannot be"),
    ],
)
def test_the_dearest(candidates: list[dict[str, float]], used: Usage, expected: float | None) -> None:
    found = Dearest(model(**usd) for usd in candidates).cost(used)
    assert found == (None if expected is None else expected / 10**6)


@given(st.lists(st.tuples(MICROS, MICROS), min_size=1, max_size=8), TOKENS, TOKENS)
def test_none_is_dearer_than_the_dearest(prices: list[tuple[float, float]], read: int, written: int) -> None:
    models = [model(input=each, output=other) for each, other in prices]
    costs = [found for each in models if (found := cost(each, Usage(read, written))) is not None]
    assert Dearest(models).cost(Usage(read, written)) == max(costs)


# --- what providers claim ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (Usage(), Usage()),
        (Usage(1, 2, 3, 4, 5), Usage(1, 2, 3, 4, 5)),
        (Usage(MOST_TOKENS, 0), Usage(MOST_TOKENS, 0)),
        (Usage(MOST_TOKENS + 1, 2), Usage(None, 2)),
        (Usage(1, -1, 3), Usage(1, None, 3)),
        (Usage(1, 2, 10**400, -1, 10**19), Usage(1, 2)),
    ],
)
def test_numbers_that_cannot_be_are_unknown(told: Usage, expected: Usage) -> None:
    assert believed(told) == expected
