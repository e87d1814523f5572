"""Families of time series, and quick ways to their members."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram

_M = TypeVar("_M", Counter, Histogram)


class Children(dict[tuple[str, ...], _M], Generic[_M]):
    """A metric's children by their labels' values. Looking one up in the library takes longer than counting."""

    def __init__(self, parent: _M) -> None:
        super().__init__()
        self._make: Callable[..., _M] = parent.labels

    def __missing__(self, labels: tuple[str, ...]) -> _M:
        child = self[labels] = self._make(*labels)
        return child

    def begin(self, *labels: str) -> None:
        """Show it at 0 from now on. What appears as 1 has never increased, so that nobody would hear of the first."""
        if labels not in self:
            self[labels] = self._make(*labels)


class Families:
    """Makes the families of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, *labels: str) -> Children[Counter]:
        """``llm_relay_<name>`` with these labels; ``text`` says what it counts."""
        return Children(Counter(f"llm_relay_{name}", text, labels, registry=self._registry))

    def histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Children[Histogram]:
        """The same, in ``buckets`` of seconds."""
        return Children(Histogram(f"llm_relay_{name}", text, labels, buckets=buckets, registry=self._registry))
