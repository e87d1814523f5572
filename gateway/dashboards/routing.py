"""The dashboard *Routing*: who answers, why, and how the designators do."""

from __future__ import annotations

from gateway.dashboards.board import Board, Section
from gateway.dashboards.panels import About, Query, bars, graph, heat, number
from gateway.dashboards.promql import (
    ROUTER,
    buckets,
    over_range,
    per_second,
    quantile,
    quantile_over_range,
    ratio,
    ratio_or_zero,
    share_of,
)

_REQUESTS = "llm_relay_requests_total"
_DESIGNATIONS = "llm_relay_designator_requests_total"
_DURATION = "llm_relay_designator_duration_seconds"
#: Requests that came to a router's decision; the others name their model, or fail before.
_DECIDED = f'{ROUTER}, decision!~"direct|other"'
_FALLBACKS = f'{ROUTER}, decision=~"fallback_.*"'
_FAILOVERS = f'{ROUTER}, decision="failover"'
_FAILED = f'{ROUTER}, outcome!="designated"'


def _share(where: str) -> str:
    return ratio_or_zero(over_range(_REQUESTS, where), over_range(_REQUESTS, _DECIDED))


_GLANCE = Section(
    1,
    "At a glance",
    (
        number(
            About(2, "Requests", "short", "Requests answered in the range shown, errors included."),
            Query(over_range(_REQUESTS, ROUTER), "requests"),
        ),
        number(
            About(3, "Designated", "percentunit", "Share of decisions that a designator made, as it should be."),
            Query(_share(f'{ROUTER}, decision="designated"'), "designated"),
        ),
        number(
            About(4, "Fallbacks", "percentunit", "Share of decisions where the fallback answered for the designator."),
            Query(_share(_FALLBACKS), "fallbacks"),
            colours=((None, "green"), (0.02, "yellow"), (0.1, "red")),
        ),
        number(
            About(
                5, "Failovers", "percentunit", "Share of decisions where another candidate took over from a failed one."
            ),
            Query(_share(_FAILOVERS), "failovers"),
            colours=((None, "green"), (0.02, "yellow"), (0.1, "red")),
        ),
        number(
            About(6, "Designator, p95", "s", "95 of 100 designator calls are answered, or given up, within this time."),
            Query(quantile_over_range(0.95, _DURATION, ROUTER), "p95"),
            colours=((None, "green"), (0.75, "yellow"), (1, "red")),
        ),
        number(
            About(
                7, "Designator failures", "percentunit", "Share of designator calls that brought no candidate's name."
            ),
            Query(ratio_or_zero(over_range(_DESIGNATIONS, _FAILED), over_range(_DESIGNATIONS, ROUTER)), "failed"),
            colours=((None, "green"), (0.02, "yellow"), (0.1, "red")),
        ),
    ),
)

_WHO = Section(
    10,
    "Who answers",
    (
        graph(
            About(
                11,
                "Share by candidate",
                "percentunit",
                "Which part of the requests each candidate answered. A step here without a mark of a new configuration "
                "means that requests changed, or that a designator judges them otherwise.",
            ),
            Query(share_of(per_second(_REQUESTS, ROUTER, "candidate"), per_second(_REQUESTS, ROUTER)), "{{candidate}}"),
            stacked=True,
        ),
        bars(
            About(12, "Share by router and candidate", "percentunit", "Each router's split over the range shown."),
            Query(
                share_of(
                    over_range(_REQUESTS, ROUTER, "router", "candidate"),
                    over_range(_REQUESTS, ROUTER, "router"),
                    "router",
                ),
                "{{router}} → {{candidate}}",
            ),
        ),
        graph(
            About(13, "Requests by router", "reqps", "Requests per second; `direct` are models asked for by name."),
            Query(per_second(_REQUESTS, ROUTER, "router"), "{{router}}"),
            stacked=True,
        ),
        graph(
            About(14, "Requests by candidate", "reqps", "Requests per second that each candidate answered."),
            Query(per_second(_REQUESTS, ROUTER, "candidate"), "{{candidate}}"),
            stacked=True,
        ),
    ),
)

_WHY = Section(
    20,
    "Why",
    (
        graph(
            About(
                21,
                "Decisions by reason",
                "reqps",
                "As in the header X-LLM-Relay-Decision; `direct` needed none, `other` failed before one.",
            ),
            Query(per_second(_REQUESTS, ROUTER, "decision"), "{{decision}}"),
            stacked=True,
        ),
        graph(
            About(
                22, "Fallback share by router", "percentunit", "Part of a router's decisions that its fallback made."
            ),
            Query(
                ratio(per_second(_REQUESTS, _FALLBACKS, "router"), per_second(_REQUESTS, _DECIDED, "router")),
                "{{router}}",
            ),
        ),
        graph(
            About(23, "Fallbacks by reason", "reqps", "Why the designator's choice was missing, by router."),
            Query(per_second(_REQUESTS, _FALLBACKS, "router", "decision"), "{{router}}: {{decision}}"),
            stacked=True,
        ),
        graph(
            About(24, "Failovers", "reqps", "Requests that another candidate took over, and which one that was."),
            Query(per_second(_REQUESTS, _FAILOVERS, "router", "candidate"), "{{router}} → {{candidate}}"),
            stacked=True,
        ),
    ),
)

_DESIGNATOR = Section(
    30,
    "Designator",
    (
        graph(
            About(
                31,
                "Latency",
                "s",
                "From asking a designator to its answer or deadline: what deciding adds to a request.",
            ),
            Query(quantile(0.5, _DURATION, ROUTER), "p50"),
            Query(quantile(0.95, _DURATION, ROUTER), "p95"),
            Query(quantile(0.99, _DURATION, ROUTER), "p99", exemplars=True),
        ),
        graph(
            About(
                32,
                "p95 by designator",
                "s",
                "A designator that comes near its router's timeout will soon be passed over.",
            ),
            Query(quantile(0.95, _DURATION, ROUTER, "router", "designator"), "{{router}}: {{designator}}"),
        ),
        heat(
            About(33, "Latency, all calls", "s", "How many designator calls took how long."),
            Query(buckets(_DURATION, ROUTER), "{{le}}"),
        ),
        graph(
            About(
                34, "Outcomes", "reqps", "What came of asking; `open` was not asked, because its last calls had failed."
            ),
            Query(per_second(_DESIGNATIONS, ROUTER, "outcome"), "{{outcome}}"),
            stacked=True,
        ),
        graph(
            About(35, "Failure share", "percentunit", "Part of a designator's calls that brought no candidate's name."),
            Query(
                ratio(
                    per_second(_DESIGNATIONS, _FAILED, "router", "designator"),
                    per_second(_DESIGNATIONS, ROUTER, "router", "designator"),
                ),
                "{{router}}: {{designator}}",
            ),
            width=24,
        ),
    ),
)

BOARD = Board(
    "routing",
    "Routing",
    "Which candidate answers, who decided it, and what went wrong with deciding.",
    (_GLANCE, _WHO, _WHY, _DESIGNATOR),
    choices=("router",),
)
