"""What tokens cost: USD, counted in whole billionths.

Providers bill tokens of four kinds: *plain* input, input read from their cache, input written to it, and output, of
which reasoning is a part. Pictures are input where a provider counts them. The rules:

- Where the tokens or a price are not known, the cost is not known either: None, never zero. A price matters only
  where tokens are billed at it, so a model without a price for its cache is priced while its cache is not used.
- A cache that a provider does not speak of was not used.
- A request's cost is rounded to a billionth of a dollar, half of one up. So the costs of any number of requests add
  up to the same sum in whatever order, as long as billionths are what is added.
- A price counts to a millionth of a dollar per million tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gateway.chat import Usage
from gateway.config.model import Model, Price

#: The most tokens of one kind that one exchange can have; a provider that claims more is not believed.
MOST_TOKENS = 1_000_000_000

#: Billionths of a dollar.
_NANO = 1_000_000_000
#: From USD per million tokens to a millionth of a millionth of a dollar per token, the smallest unit here.
_PER_TOKEN = 1_000_000
_PICO_PER_NANO = 1_000

_Rates = tuple[int, int, int, int]


class Tokens(Protocol):
    """Tokens of one exchange, as in :class:`gateway.chat.Usage`."""

    @property
    def input(self) -> int | None: ...
    @property
    def output(self) -> int | None: ...
    @property
    def cache_read(self) -> int | None: ...
    @property
    def cache_write(self) -> int | None: ...


def believed(usage: Usage) -> Usage:
    """``usage`` without the numbers that cannot be: they are unknown."""
    counts = (usage.input, usage.output, usage.cache_read, usage.cache_write, usage.reasoning)
    for count in counts:
        if count is not None and not 0 <= count <= MOST_TOKENS:
            return Usage(*(count if count is None or 0 <= count <= MOST_TOKENS else None for count in counts))
    return usage


def cost(model: Model, used: Tokens) -> float | None:
    """USD for the tokens that ``model`` used; None where that is not known."""
    price, billed = model.price, _billed(used)
    if price is None or billed is None:
        return None
    plain, read, written, output = billed
    total = 0
    for tokens, usd in (
        (plain, price.input),
        (read, price.cache_read),
        (written, price.cache_write),
        (output, price.output),
    ):
        if tokens:
            if usd is None:
                return None
            total += tokens * round(usd * _PER_TOKEN)
    return _usd(total)


class Dearest:
    """What the same tokens would cost on the dearest of several models.

    Which one that is depends on the tokens: a long prompt with a short answer may be dearest elsewhere than a long
    answer. Tokens are taken as they were counted, and a cache as it was used; a model without a price for its cache
    would bill plain input. Where one model's price of input or output is unknown, nothing can be said.
    """

    __slots__ = ("_rates",)

    def __init__(self, models: Iterable[Model]) -> None:
        rates = [_rates(model.price) for model in models]
        known = [each for each in rates if each is not None]
        # A model that is nowhere dearer than another one need not be looked at for every request.
        self._rates = _undominated(known) if len(known) == len(rates) else []

    def cost(self, used: Tokens) -> float | None:
        """USD; None where that is not known."""
        billed = _billed(used)
        if billed is None or not self._rates:
            return None
        plain, read, written, output = billed
        return _usd(max([plain * a + read * b + written * c + output * d for a, b, c, d in self._rates]))


def _billed(used: Tokens) -> tuple[int, int, int, int] | None:
    """Plain input, cache read, cache written and output; None where that is not known, or cannot be."""
    whole, output = used.input, used.output
    if whole is None or output is None:
        return None
    read, written = used.cache_read or 0, used.cache_write or 0
    plain = whole - read - written
    if plain < 0 or read < 0 or written < 0 or output < 0:
        return None
    return plain, read, written, output


def _usd(picos: int) -> float:
    """Rounded to billionths; one division, so that it is the float nearest to them."""
    return (picos + _PICO_PER_NANO // 2) // _PICO_PER_NANO / _NANO


def _rates(price: Price | None) -> _Rates | None:
    if price is None or price.input is None or price.output is None:
        return None
    read = price.input if price.cache_read is None else price.cache_read
    written = price.input if price.cache_write is None else price.cache_write
    plain, reading, writing, output = (round(usd * _PER_TOKEN) for usd in (price.input, read, written, price.output))
    return plain, reading, writing, output


def _undominated(rates: Iterable[_Rates]) -> list[_Rates]:
    distinct = list(dict.fromkeys(rates))
    return [each for each in distinct if not any(_dominates(other, each) for other in distinct if other != each)]


def _dominates(one: _Rates, other: _Rates) -> bool:
    return all(mine >= theirs for mine, theirs in zip(one, other, strict=True))
