"""What tokens cost."""

from __future__ import annotations

from gateway.config.model import Model

_PER = 1_000_000


def cost(model: Model, input: int, output: int, *, cache_read: int = 0, cache_write: int = 0) -> float | None:
    """USD for one exchange, or for many of them added up; None where the model's price is unknown.

    Cached tokens are part of ``input``, as in :class:`gateway.chat.Usage`; without a price of their own they cost what
    other tokens do.
    """
    price = model.price
    if price is None or price.input is None or price.output is None:
        return None
    read = price.input if price.cache_read is None else price.cache_read
    write = price.input if price.cache_write is None else price.cache_write
    plain = max(input - cache_read - cache_write, 0)
    return (plain * price.input + cache_read * read + cache_write * write + output * price.output) / _PER
