"""PromQL, in the few shapes that the dashboards use.

A counter's samples mean nothing before they are a rate, and a histogram's before its buckets are summed by ``le``: the
functions here are the only way to either, so that no panel can get it wrong. ``where`` are label matchers; ``by`` are
the labels that are kept. Graphs look back ``$__rate_interval``, which Grafana makes long enough for every scrape
interval; numbers and bars look at the whole range that is shown.
Source: prometheus.io/docs/prometheus/latest/querying, and Grafana's "Prometheus template variables".
"""

from __future__ import annotations

#: What every query keeps to: the variables of the dashboards.
JOB = 'job=~"$job"'
ROUTER = f'{JOB}, router=~"$router"'
TAG = f'{JOB}, tag=~"$tag"'

_GRAPH = "$__rate_interval"
_RANGE = "$__range"


def per_second(counter: str, where: str, *by: str) -> str:
    """A counter's growth per second, over time."""
    return f"{_sum(by)}(rate({counter}{{{where}}}[{_GRAPH}]))"


def per_hour(counter: str, where: str, *by: str) -> str:
    """A counter's growth per hour, over time."""
    return f"3600 * {per_second(counter, where, *by)}"


def steps(counter: str, where: str, *by: str) -> str:
    """How much a counter that seldom moves has just grown, over time."""
    return f"{_sum(by)}(increase({counter}{{{where}}}[{_GRAPH}]))"


def over_range(counter: str, where: str, *by: str) -> str:
    """A counter's growth in the range that is shown."""
    return f"{_sum(by)}(increase({counter}{{{where}}}[{_RANGE}]))"


def quantile(share: float, histogram: str, where: str, *by: str, window: str = _GRAPH) -> str:
    """The value that ``share`` of a histogram's observations stay below."""
    return f"histogram_quantile({share}, {_sum(('le', *by))}(rate({histogram}_bucket{{{where}}}[{window}])))"


def quantile_over_range(share: float, histogram: str, where: str) -> str:
    """:func:`quantile` of everything in the range that is shown."""
    return quantile(share, histogram, where, window=_RANGE)


def buckets(histogram: str, where: str) -> str:
    """A histogram's observations per bucket, over time."""
    return steps(f"{histogram}_bucket", where, "le")


def ratio(part: str, whole: str) -> str:
    """One sum in terms of another with the same labels."""
    return f"{part} / {whole}"


def ratio_or_zero(part: str, whole: str) -> str:
    """:func:`ratio` of sums without labels; 0 where the part was never counted, as before a first failure."""
    return f"({part} or vector(0)) / {whole}"


def share_of(part: str, whole: str, *on: str) -> str:
    """What each series of ``part`` makes of the one of ``whole`` that has the same labels ``on``."""
    return f"{part} / on ({', '.join(on)}) group_left () {whole}"


def _sum(by: tuple[str, ...]) -> str:
    return f"sum by ({', '.join(by)}) " if by else "sum"
