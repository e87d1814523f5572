"""Charts as numbers: a template draws them with attributes alone, since the policy of the site allows no styles."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.activity import Span
from gateway.rollup import HOUR

#: A chart's own units; it is stretched to its place.
WIDTH, HEIGHT = 1000.0, 200.0
#: Series that have a colour of their own; the others are one.
_SERIES = 6
#: The colour of what failed.
FAILED = 7
_GAP = 0.2


@dataclass(frozen=True)
class Bar:
    """A rectangle; ``series`` numbers its colour, ``title`` says what it is."""

    x: float
    y: float
    width: float
    height: float
    series: int
    title: str


@dataclass(frozen=True)
class Chart:
    """Bars over a time; ``most`` is the value at the top, ``names`` are those of the series, by their colours."""

    bars: tuple[Bar, ...]
    names: tuple[tuple[int, str], ...]
    most: float
    first: str
    last: str


def stacked(values: Iterable[tuple[int, str | None, float]], span: Span, now: float, *, nameless: str) -> Chart:
    """Bars of ``(bar, key, value)``, the series with the largest sums first; None is called ``nameless``."""
    sums: defaultdict[str, float] = defaultdict(float)
    points: defaultdict[tuple[int, str], float] = defaultdict(float)
    for bar, key, value in values:
        sums[key or nameless] += value
        points[bar, key or nameless] += value
    ranked = sorted((name for name in sums if sums[name] > 0), key=lambda name: (-sums[name], name))
    names = ranked[: _SERIES + 1]
    if len(ranked) > len(names):
        names[_SERIES] = f"{len(ranked) - _SERIES} others"
    rows: defaultdict[int, list[float]] = defaultdict(lambda: [0.0] * len(names))
    for (bar, name), value in points.items():
        if sums[name] > 0:
            rows[bar][min(ranked.index(name), len(names) - 1)] += value
    return draw(rows, tuple(enumerate(names)), span, now)


def draw(rows: Mapping[int, Sequence[float]], names: Sequence[tuple[int, str]], span: Span, now: float) -> Chart:
    """The chart of rows: by bar, one value for each series, stacked from below."""
    bars = (int(now // HOUR) - span.since) // span.width + 1
    most = max((sum(row) for row in rows.values()), default=0.0)
    step = WIDTH / bars
    drawn = []
    for bar, row in sorted(rows.items()):
        top = HEIGHT
        for (series, name), value in zip(names, row, strict=True):
            if value <= 0 or not 0 <= bar < bars:
                continue
            height = HEIGHT * value / most
            top -= height
            title = f"{_label(span, bar)} {name}: {value:,.6g}"
            x = bar * step + step * _GAP / 2
            drawn.append(Bar(round(x, 2), round(top, 2), round(step * (1 - _GAP), 2), round(height, 2), series, title))
    return Chart(tuple(drawn), tuple(names), most, _label(span, 0), _label(span, bars - 1))


def _label(span: Span, bar: int) -> str:
    seconds = (span.since + bar * span.width) * HOUR
    return time.strftime("%Y-%m-%d" if span.width == 24 else "%m-%d %H:00", time.gmtime(seconds))
