"""The dashboard *Latency and errors*: how long clients wait, for whom, and who fails."""

from __future__ import annotations

from gateway.dashboards.board import Board, Section
from gateway.dashboards.panels import About, Query, bars, graph, heat, number
from gateway.dashboards.promql import (
    JOB,
    ROUTER,
    buckets,
    over_range,
    per_second,
    quantile,
    quantile_over_range,
    ratio,
    ratio_or_zero,
)

_REQUESTS = "llm_relay_requests_total"
_TOTAL = "llm_relay_request_duration_seconds"
_FIRST = "llm_relay_time_to_first_token_seconds"
_OVERHEAD = "llm_relay_relay_overhead_seconds"
_ERRORS = "llm_relay_upstream_errors_total"
_FAILED = f'{ROUTER}, status=~"5.."'
_INFLIGHT = f"llm_relay_inflight_requests{{{JOB}}}"

_GLANCE = Section(
    1,
    "At a glance",
    (
        number(
            About(2, "Whole answer, p50", "s", "Half of the requests are over within this time."),
            Query(quantile_over_range(0.5, _TOTAL, ROUTER), "p50"),
        ),
        number(
            About(3, "Whole answer, p95", "s", "95 of 100 requests are over within this time."),
            Query(quantile_over_range(0.95, _TOTAL, ROUTER), "p95"),
        ),
        number(
            About(4, "First token, p95", "s", "95 of 100 answers begin within this time, the decision included."),
            Query(quantile_over_range(0.95, _FIRST, ROUTER), "p95"),
        ),
        number(
            About(
                5, "Relay overhead, p95", "s", "The gateway's own work until the first content, without any waiting."
            ),
            Query(quantile_over_range(0.95, _OVERHEAD, JOB), "p95"),
            colours=((None, "green"), (0.01, "yellow"), (0.1, "red")),
        ),
        number(
            About(6, "Failed", "percentunit", "Share of requests that ended with a 5xx, after any failover."),
            Query(ratio_or_zero(over_range(_REQUESTS, _FAILED), over_range(_REQUESTS, ROUTER)), "failed"),
            colours=((None, "green"), (0.01, "yellow"), (0.05, "red")),
        ),
        number(
            About(7, "In flight", "short", "Requests that are being answered now, in all instances."),
            Query(f"sum({_INFLIGHT})", "in flight"),
        ),
    ),
)

_LATENCY = Section(
    10,
    "How long it takes",
    (
        graph(
            About(11, "Whole answer", "s", "From a request's arrival to the end of its answer."),
            Query(quantile(0.5, _TOTAL, ROUTER), "p50"),
            Query(quantile(0.95, _TOTAL, ROUTER), "p95"),
            Query(quantile(0.99, _TOTAL, ROUTER), "p99", exemplars=True),
        ),
        graph(
            About(12, "First token", "s", "From a request's arrival to the first content of its answer."),
            Query(quantile(0.5, _FIRST, ROUTER), "p50"),
            Query(quantile(0.95, _FIRST, ROUTER), "p95"),
            Query(quantile(0.99, _FIRST, ROUTER), "p99", exemplars=True),
        ),
        graph(
            About(13, "Whole answer, p95 by router", "s", "Long answers take long: compare a router with itself."),
            Query(quantile(0.95, _TOTAL, ROUTER, "router"), "{{router}}"),
        ),
        graph(
            About(14, "First token, p95 by candidate", "s", "What clients feel of a provider, plus the decision."),
            Query(quantile(0.95, _FIRST, ROUTER, "candidate"), "{{candidate}}"),
        ),
        heat(
            About(15, "Whole answer, all requests", "s", "How many requests took how long."),
            Query(buckets(_TOTAL, ROUTER), "{{le}}"),
        ),
        graph(
            About(16, "Relay overhead", "s", "The gateway's own work until the first content; waiting is not in it."),
            Query(quantile(0.5, _OVERHEAD, JOB), "p50"),
            Query(quantile(0.95, _OVERHEAD, JOB), "p95"),
            Query(quantile(0.99, _OVERHEAD, JOB), "p99"),
        ),
    ),
)

_FAILURES = Section(
    20,
    "What fails",
    (
        graph(
            About(
                21,
                "Upstream errors by provider",
                "suffix:errors/s",
                "Failures of providers as the gateway saw them, for all routers, also those that a failover made good.",
            ),
            Query(per_second(_ERRORS, JOB, "provider"), "{{provider}}"),
            stacked=True,
        ),
        graph(
            About(22, "Upstream errors by code", "suffix:errors/s", "What went wrong, by provider."),
            Query(per_second(_ERRORS, JOB, "provider", "code"), "{{provider}}: {{code}}"),
            stacked=True,
        ),
        bars(
            About(23, "Upstream errors", "short", "In the range shown, by provider and code."),
            Query(over_range(_ERRORS, JOB, "provider", "code"), "{{provider}}: {{code}}"),
        ),
        graph(
            About(
                24, "Answers by status", "reqps", "The HTTP status that clients got; 499 are those that left before."
            ),
            Query(per_second(_REQUESTS, ROUTER, "status"), "{{status}}"),
            stacked=True,
        ),
        graph(
            About(25, "Failed share by router", "percentunit", "Part of a router's requests that ended with a 5xx."),
            Query(
                ratio(per_second(_REQUESTS, _FAILED, "router"), per_second(_REQUESTS, ROUTER, "router")),
                "{{router}}",
            ),
            width=24,
        ),
    ),
)

_LOAD = Section(
    30,
    "Load",
    (
        graph(
            About(31, "In flight", "short", "Requests being answered; `limits.concurrency` bounds them per worker."),
            Query(f"sum by (instance) ({_INFLIGHT})", "{{instance}}"),
            stacked=True,
        ),
        graph(
            About(32, "Requests by instance", "reqps", "Requests per second: shows whether the load is spread."),
            Query(per_second(_REQUESTS, ROUTER, "instance"), "{{instance}}"),
            stacked=True,
        ),
    ),
)

BOARD = Board(
    "latency",
    "Latency and errors",
    "How long answers take, where the time goes, and which providers fail.",
    (_GLANCE, _LATENCY, _FAILURES, _LOAD),
    choices=("router",),
)
