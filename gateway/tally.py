"""Tokens and costs of requests, by router and model and by tag.

Counting them one by one, and again for every tag, would be most of the work of a request's account. So they are summed
up here, and counted when somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter

from gateway.costs import MOST_TOKENS
from gateway.ledger import Entry
from gateway.series import Children, Families

#: What is summed up of a role's part in a request: tokens by direction, and then the cost.
_DIRECTIONS = ("input", "output", "cache_read", "cache_write", "reasoning")
_COST = len(_DIRECTIONS)
#: Lines that wait to be counted.
_MOST_LINES = 10_000

#: Has something done a moment later.
Later = Callable[[Callable[[], None]], object]
#: Router, candidate, designator (empty for none) and tags.
_Labels = tuple[str, str, str, tuple[str, ...]]


class _Line:
    """What several requests used that share their labels; None where none of them knew."""

    __slots__ = ("asked", "dearest", "used")

    def __init__(self) -> None:
        self.used: list[float | None] = [None] * (_COST + 1)
        self.asked: list[float | None] = [None] * (_COST + 1)
        self.dearest: float | None = None


class Tally:
    """The counters, and what waits to be counted.

    ``later`` is for counters that others than this process look at: it is given :meth:`settle` with the first request
    that waits.
    """

    def __init__(self, families: Families, *, later: Later | None = None) -> None:
        self._later = later
        self._lines: dict[_Labels, _Line] = {}
        counter = families.counter
        self._designator_tokens = counter(
            "designator_tokens_total", "Tokens used by designators.", "router", "designator", "direction"
        )
        self._candidate_tokens = counter(
            "candidate_tokens_total", "Tokens used by candidates.", "router", "candidate", "direction"
        )
        self._cost = counter("cost_usd_total", "What models cost, as far as it is known.", "router", "model", "role")
        self._dearest = counter(
            "dearest_cost_usd_total",
            "What the same tokens would have cost on the dearest candidate, where all of the router's are priced.",
            "router",
        )
        self._tag_cost = counter("tag_cost_usd_total", "What models cost, by tag of the requests.", "tag", "role")
        self._tag_tokens = counter(
            "tag_tokens_total", "Tokens used, by tag of the requests.", "tag", "role", "direction"
        )

    def add(self, router: str, candidate: str, designator: str, tags: tuple[str, ...], entry: Entry) -> None:
        """One request, with the labels that it goes by; ``designator`` is empty where none was asked."""
        labels = (router, candidate, designator, tags)
        first = not self._lines
        line = self._lines.get(labels)
        if line is None:
            line = self._lines[labels] = _Line()
        used = (entry.input, entry.output, entry.cache_read, entry.cache_write, entry.reasoning, entry.cost)
        _add(line.used, used)
        if entry.dearest_cost is not None:
            line.dearest = (line.dearest or 0.0) + entry.dearest_cost
        if designator:
            asked = (
                entry.designator_input,
                entry.designator_output,
                entry.designator_cache_read,
                entry.designator_cache_write,
                entry.designator_reasoning,
                entry.designator_cost,
            )
            _add(line.asked, asked)
        if first and self._later is not None:
            self._later(self.settle)
        elif len(self._lines) >= _MOST_LINES:
            self.settle()

    def settle(self) -> None:
        """Counts what was summed up; to be done before every look at the registry."""
        lines, self._lines = self._lines, {}
        for (router, candidate, designator, tags), line in lines.items():
            if line.dearest is not None:
                self._dearest[router,].inc(line.dearest)
            self._count(line.used, self._candidate_tokens, router, candidate, "candidate", tags)
            self._count(line.asked, self._designator_tokens, router, designator, "designator", tags)

    def _count(
        self,
        sums: list[float | None],
        tokens: Children[Counter],
        router: str,
        model: str,
        role: str,
        tags: tuple[str, ...],
    ) -> None:
        for direction, count in zip(_DIRECTIONS, sums, strict=False):
            if count is not None:
                tokens[router, model, direction].inc(count)
                for tag in tags:
                    self._tag_tokens[tag, role, direction].inc(count)
        cost = sums[_COST]
        if cost is not None:
            self._cost[router, model, role].inc(cost)
            for tag in tags:
                self._tag_cost[tag, role].inc(cost)


def _add(sums: list[float | None], values: tuple[float | None, ...]) -> None:
    for index, value in enumerate(values):
        # A provider that claims what cannot be is not believed.
        if value is not None and 0 <= value <= MOST_TOKENS:
            sums[index] = value + (sums[index] or 0)
