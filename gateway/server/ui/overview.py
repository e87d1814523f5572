"""*Overview*: how it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.activity import Activity, Filter, Listing, Route, Span
from gateway.ledger import Sum
from gateway.server.ui import intelligence
from gateway.server.ui.charts import FAILED, Chart, draw
from gateway.server.ui.view import Page, View, span

#: Requests whose durations are looked at, and requests that are listed.
_TIMED = 1000
_LATEST = 8


@dataclass(frozen=True)
class Part:
    """A router's or candidate's part of the traffic."""

    name: str
    requests: int
    #: Of the requests in percent.
    share: float
    #: Requests that were answered by a fallback.
    fallbacks: int


@dataclass(frozen=True)
class _Seen:
    total: Sum
    parts: tuple[Part, ...]
    #: Requests to routers, and how many of them were answered by a fallback.
    routed: int
    fallbacks: int
    #: Requests whose time to the first content is known, of those that were looked at.
    timed: int
    first_ms: float | None
    total_ms: float | None
    slow_ms: float | None
    chart: Chart
    latest: Listing


def overview(view: View) -> Page:
    """The last 24 hours and the generation that serves."""
    past = span("24h", view.now)
    seen = view.look(lambda activity: _see(activity, past, view.now))
    values = {
        "seen": seen,
        "snapshot": view.generation.snapshot,
        "applied_at": view.services.holder.applied_at,
        "inflight": len(view.services.attendant) - 1,
        "intelligence": intelligence.notices(view),
        "beside": view.services.feed.problems,
    }
    return Page("overview.html", "Overview", "", values)


def _see(activity: Activity, past: Span, now: float) -> _Seen:
    routes = activity.routes(past)
    first, whole = activity.durations(_TIMED)
    return _Seen(
        total=activity.total(past),
        parts=parts(routes, "router"),
        routed=sum(route.requests for route in routes if route.router),
        fallbacks=sum(route.requests for route in routes if is_fallback(route.decision)),
        timed=len(first),
        first_ms=quantile(first, 0.5),
        total_ms=quantile(whole, 0.5),
        slow_ms=quantile(whole, 0.95),
        chart=hours(activity, past, now),
        latest=activity.entries(Filter(), limit=_LATEST),
    )


def hours(activity: Activity, past: Span, now: float, router: str | None = None) -> Chart:
    """Requests over time, those that failed on top."""
    rows = {bar: [float(requests - errors), float(errors)] for bar, requests, errors in activity.bars(past, router)}
    return draw(rows, ((0, "answered"), (FAILED, "failed")), past, now)


def parts(routes: Iterable[Route], field: str) -> tuple[Part, ...]:
    """The traffic by ``router`` or ``candidate``, the largest part first."""
    requests: Counter[str] = Counter()
    fallbacks: Counter[str] = Counter()
    for route in routes:
        name: str = getattr(route, field)
        requests[name] += route.requests
        fallbacks[name] += route.requests if is_fallback(route.decision) else 0
    whole = requests.total() or 1
    return tuple(Part(name, n, round(100 * n / whole, 2), fallbacks[name]) for name, n in requests.most_common())


def is_fallback(decision: str) -> bool:
    """Whether the designator was to choose and did not."""
    return decision.startswith("fallback_")


def quantile(ordered: Sequence[float], part: float) -> float | None:
    """The value below which that part of the values lies; None of nothing."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None
