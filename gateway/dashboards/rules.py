"""Recording and alerting rules for Prometheus.

An alert asks for someone to look, so it fires on what clients or payers feel, and only on enough traffic to mean it:
one failed request in a quiet night wakes nobody. Recording rules are named as Prometheus recommends, after the labels
they keep, the metric and what was done to it (prometheus.io/docs/practices/rules). ``job`` is kept everywhere, so that
several installations can share a Prometheus.
"""

from __future__ import annotations

import json
from typing import Literal, NamedTuple

Severity = Literal["critical", "warning", "info"]

#: The scrape job of the gateways; the scrape configuration beside the rules calls it so.
JOB = "llm-relay"

_DECIDED = 'llm_relay_requests_total{decision!~"direct|other"}'
_FALLBACKS = 'llm_relay_requests_total{decision=~"fallback_.*"}'

_DECISIONS = "job_router:llm_relay_decisions:increase1h"
_SHARE = "job_router_candidate:llm_relay_decisions:share_rate1h"
_FALLBACK_RATIO = "job_router:llm_relay_fallbacks:ratio_rate10m"
_DESIGNATOR_P95 = "job_router_designator:llm_relay_designator_duration_seconds:p95_rate10m"
_COST = "job_router:llm_relay_cost_usd:increase1h"
_ANSWERS = "job_provider:llm_relay_upstream_answers:rate5m"
_ERRORS = "job_provider:llm_relay_upstream_errors:rate5m"
_ERROR_RATIO = "job_provider:llm_relay_upstream_errors:ratio_rate5m"


class Recording(NamedTuple):
    """A series that is computed at every evaluation."""

    record: str
    expr: str


class Alert(NamedTuple):
    """``expr`` has results while something is wrong; ``hold`` is for how long before it fires."""

    name: str
    severity: Severity
    hold: str
    expr: str
    summary: str
    description: str


RECORDINGS = (
    Recording(_DECISIONS, f"sum by (job, router) (increase({_DECIDED}[1h]))"),
    Recording(
        _SHARE,
        f"sum by (job, router, candidate) (rate({_DECIDED}[1h]))\n"
        "  / on (job, router) group_left ()\n"
        f"  sum by (job, router) (rate({_DECIDED}[1h]))",
    ),
    Recording(
        _FALLBACK_RATIO,
        f"sum by (job, router) (rate({_FALLBACKS}[10m]))\n  / sum by (job, router) (rate({_DECIDED}[10m]))",
    ),
    Recording(
        _DESIGNATOR_P95,
        "histogram_quantile(0.95,\n"
        "  sum by (job, router, designator, le) (rate(llm_relay_designator_duration_seconds_bucket[10m])))",
    ),
    Recording(_COST, "sum by (job, router) (increase(llm_relay_cost_usd_total[1h]))"),
    # A provider is the first part of the names of its models, and serves as candidate and as designator.
    Recording(
        _ANSWERS,
        "sum by (job, provider) (\n"
        '  label_replace(rate(llm_relay_requests_total{status=~"2.."}[5m]),\n'
        '    "provider", "$1", "candidate", "([^/]+)/.*")\n'
        '  or label_replace(rate(llm_relay_designator_requests_total{outcome=~"designated|invalid|none"}[5m]),\n'
        '    "provider", "$1", "designator", "([^/]+)/.*"))',
    ),
    Recording(_ERRORS, "sum by (job, provider) (rate(llm_relay_upstream_errors_total[5m]))"),
    Recording(_ERROR_RATIO, f"{_ERRORS}\n  / ({_ERRORS}\n    + ({_ANSWERS} or 0 * {_ERRORS}))"),
)

ALERTS = (
    Alert(
        "LLMRelayDown",
        "critical",
        "2m",
        f'up{{job="{JOB}"}} == 0 or absent(up{{job="{JOB}"}})',
        "{{ with $labels.instance }}The gateway {{ . }} is{{ else }}All gateways are{{ end }} gone",
        "Prometheus has not been able to scrape it for two minutes: its clients most likely get no answers.",
    ),
    Alert(
        "LLMRelayReloadRefused",
        "warning",
        "1m",
        "min by (job, instance) (llm_relay_config_last_reload_successful) == 0",
        "{{ $labels.instance }} refuses the configuration on disk",
        "The last change has problems, so the generation before it serves on. Nobody is harmed yet, but nothing that "
        "is merged takes effect until this is mended.",
    ),
    Alert(
        "LLMRelayFallbacksHigh",
        "warning",
        "5m",
        f"{_FALLBACK_RATIO} > 0.1\n  and on (job, router) sum by (job, router) (increase({_FALLBACKS}[10m])) >= 5",
        "{{ $value | humanizePercentage }} of the decisions of {{ $labels.router }} are fallbacks",
        "The designator does not decide: requests go to the fallback whatever they ask, which costs quality or money.",
    ),
    Alert(
        "LLMRelayDesignatorSlow",
        "warning",
        "10m",
        f"{_DESIGNATOR_P95} > 1",
        "{{ $labels.designator }} takes {{ $value | humanizeDuration }} to decide for {{ $labels.router }}",
        "This is the 95th percentile of ten minutes. Every request waits that long before it is sent anywhere, and at "
        "the router's timeout the fallback answers.",
    ),
    Alert(
        "LLMRelayRouteMixShift",
        "info",
        "30m",
        f"abs({_SHARE}\n  - {_SHARE} offset 1d) > 0.2\n"
        f"  and on (job, router) {_DECISIONS} >= 100\n"
        f"  and on (job, router) {_DECISIONS} offset 1d >= 100",
        "{{ $labels.router }} sends {{ $value | humanizePercentage }} of its requests elsewhere than yesterday",
        "The share of {{ $labels.candidate }} in the last hour differs that much from the same hour yesterday: after "
        "a change of the configuration, of the designator, or of what is asked.",
    ),
    # Compared with the week before yesterday's same hour: a spike must not become its own measure within the hour,
    # and a Monday must not be measured by a Sunday.
    Alert(
        "LLMRelayCostSpike",
        "warning",
        "15m",
        f"{_COST} > 1\n  and {_COST}\n    > 2 * max_over_time({_COST}[6d] offset 1d)",
        '{{ $labels.router }} cost {{ $value | printf "%.2f" }} USD in the last hour',
        "That is more than twice its dearest hour of the week before, designators included.",
    ),
    Alert(
        "LLMRelayProviderFailing",
        "warning",
        "5m",
        f"{_ERROR_RATIO} > 0.25\n"
        "  and on (job, provider) sum by (job, provider) (increase(llm_relay_upstream_errors_total[5m])) >= 5",
        "{{ $labels.provider }} fails {{ $value | humanizePercentage }} of what it is sent",
        "Other candidates take over where they can; requests without another candidate fail.",
    ),
    # Made anew every week and good for thirty days, as the README proposes: two refreshes failed, one is left.
    Alert(
        "LLMRelayIntelligenceStale",
        "warning",
        "1h",
        "max by (job, router, candidate) (llm_relay_intelligence_age_seconds) > 21 * 86400",
        "What {{ $labels.router }} says of {{ $labels.candidate }} is {{ $value | humanizeDuration }} old",
        "Assessments are made anew by `llm-relay intelligence refresh`, which seems not to run, or to fail for this "
        "candidate. When this one expires, the designator decides without it.",
    ),
)


def render(runbook: str) -> str:
    """The rules file; ``runbook`` is the address of the text that has a heading for each alert."""
    lines = [
        "# Written by `llm-relay dashboards build`.",
        "groups:",
        # One group: its rules are evaluated one after the other, so alerts see what was just recorded.
        "  - name: llm-relay",
        "    rules:",
    ]
    for recording in RECORDINGS:
        lines += [f"      - record: {recording.record}", *_expr(recording.expr)]
    for alert in ALERTS:
        texts = {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": f"{runbook}#{alert.name.lower()}",
        }
        lines += [f"      - alert: {alert.name}", *_expr(alert.expr), f"        for: {alert.hold}"]
        lines += ["        labels:", f"          severity: {alert.severity}", "        annotations:"]
        # A JSON string is a YAML string.
        lines += [f"          {key}: {json.dumps(text, ensure_ascii=False)}" for key, text in texts.items()]
    return "\n".join([*lines, ""])


def _expr(expr: str) -> list[str]:
    return ["        expr: |-", *(f"          {line}" for line in expr.splitlines())]
