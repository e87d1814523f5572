"""The dashboard *Cost and tokens*: who spends, on what, and what the routers save. Designators are always apart."""

from __future__ import annotations

from gateway.dashboards.board import Board, Section
from gateway.dashboards.panels import About, Query, bars, graph, number
from gateway.dashboards.promql import ROUTER, TAG, over_range, per_hour, per_second, ratio

_COST = "llm_relay_cost_usd_total"
_DEAREST = "llm_relay_dearest_cost_usd_total"
_REQUESTS = "llm_relay_requests_total"
_CANDIDATE_TOKENS = "llm_relay_candidate_tokens_total"
_DESIGNATOR_TOKENS = "llm_relay_designator_tokens_total"
_TAG_COST = "llm_relay_tag_cost_usd_total"
_TAG_TOKENS = "llm_relay_tag_tokens_total"

_CANDIDATES = f'{ROUTER}, role="candidate"'
_DESIGNATORS = f'{ROUTER}, role="designator"'

#: Router by router, so that one whose dearest candidate has no known price is left out on both sides.
_SAVED = f"({over_range(_DEAREST, ROUTER, 'router')} - {over_range(_COST, ROUTER, 'router')})"
_UNKNOWN = "Requests whose price or tokens are unknown are missing, never free."
_PARTS = "cache_read and cache_write are parts of input, reasoning is a part of output."

_GLANCE = Section(
    1,
    "At a glance",
    (
        number(
            About(2, "Spent", "currencyUSD", f"On candidates and designators, in the range shown. {_UNKNOWN}"),
            Query(over_range(_COST, ROUTER), "spent"),
        ),
        number(
            About(3, "of it on designators", "currencyUSD", "What deciding cost: part of the sum beside it."),
            Query(over_range(_COST, _DESIGNATORS), "designators"),
        ),
        number(
            About(4, "All on the dearest", "currencyUSD", "The same tokens on each router's dearest candidate."),
            Query(over_range(_DEAREST, ROUTER), "dearest"),
        ),
        number(
            About(
                5, "Saved", "currencyUSD", "The dearest candidates' price less what candidates and designators cost."
            ),
            Query(f"sum{_SAVED}", "saved"),
            colours=((None, "red"), (0, "green")),
        ),
        number(
            About(6, "Saved share", "percentunit", "The saving as part of the dearest candidates' price."),
            Query(ratio(f"sum{_SAVED}", over_range(_DEAREST, ROUTER)), "saved"),
            colours=((None, "red"), (0, "green")),
        ),
        number(
            About(7, "Per 1000 requests", "currencyUSD", "Mean cost of a thousand requests, designators included."),
            Query(ratio(f"1000 * {over_range(_COST, ROUTER)}", over_range(_REQUESTS, ROUTER)), "mean"),
        ),
    ),
)

_WHERE = Section(
    10,
    "Where it goes",
    (
        graph(
            About(11, "Cost by router", "currencyUSD", f"USD per hour, designators included. {_UNKNOWN}"),
            Query(per_hour(_COST, ROUTER, "router"), "{{router}}"),
            stacked=True,
        ),
        graph(
            About(12, "Cost by candidate", "currencyUSD", "USD per hour, without designators."),
            Query(per_hour(_COST, _CANDIDATES, "model"), "{{model}}"),
            stacked=True,
        ),
        graph(
            About(
                13,
                "Spent and saved",
                "currencyUSD",
                "USD per hour: the distance between what is spent and the dearest candidates is the saving.",
            ),
            Query(per_hour(_COST, _CANDIDATES), "candidates"),
            Query(per_hour(_COST, _DESIGNATORS), "designators"),
            Query(per_hour(_DEAREST, ROUTER), "all on the dearest"),
        ),
        graph(
            About(14, "Cost of designators", "currencyUSD", "USD per hour, by the router that asks them."),
            Query(per_hour(_COST, _DESIGNATORS, "router", "model"), "{{router}}: {{model}}"),
            stacked=True,
        ),
        graph(
            About(
                15, "Mean cost of a request", "currencyUSD", "By router, designators included; rises with long prompts."
            ),
            Query(ratio(per_second(_COST, ROUTER, "router"), per_second(_REQUESTS, ROUTER, "router")), "{{router}}"),
            width=24,
        ),
    ),
)

_TAGS = Section(
    20,
    "By tag",
    (
        graph(
            About(
                21,
                "Cost by tag",
                "currencyUSD",
                "USD per hour. A request with several tags counts under each: tags do not add up to the whole.",
            ),
            Query(per_hour(_TAG_COST, TAG, "tag"), "{{tag}}"),
        ),
        bars(
            About(22, "Spent by tag", "currencyUSD", "In the range shown, candidates and designators apart."),
            Query(over_range(_TAG_COST, TAG, "tag", "role"), "{{tag}}: {{role}}s"),
        ),
        graph(
            About(23, "Candidates' tokens by tag", "suffix:tokens/s", f"Per second, by direction: {_PARTS}"),
            Query(per_second(_TAG_TOKENS, f'{TAG}, role="candidate"', "tag", "direction"), "{{tag}}: {{direction}}"),
        ),
        graph(
            About(24, "Designators' tokens by tag", "suffix:tokens/s", f"Per second, by direction: {_PARTS}"),
            Query(per_second(_TAG_TOKENS, f'{TAG}, role="designator"', "tag", "direction"), "{{tag}}: {{direction}}"),
        ),
    ),
)

_TOKENS = Section(
    30,
    "Tokens",
    (
        graph(
            About(31, "Candidates' tokens", "suffix:tokens/s", f"Per second, by candidate and direction: {_PARTS}"),
            Query(per_second(_CANDIDATE_TOKENS, ROUTER, "candidate", "direction"), "{{candidate}}: {{direction}}"),
        ),
        graph(
            About(
                32,
                "Designators' tokens",
                "suffix:tokens/s",
                f"Per second, by designator and direction: {_PARTS}",
            ),
            Query(per_second(_DESIGNATOR_TOKENS, ROUTER, "designator", "direction"), "{{designator}}: {{direction}}"),
        ),
        bars(
            About(33, "Candidates' tokens by router", "short", f"In the range shown, by direction: {_PARTS}"),
            Query(over_range(_CANDIDATE_TOKENS, ROUTER, "router", "direction"), "{{router}}: {{direction}}"),
        ),
        bars(
            About(34, "Designators' tokens by router", "short", f"In the range shown, by direction: {_PARTS}"),
            Query(over_range(_DESIGNATOR_TOKENS, ROUTER, "router", "direction"), "{{router}}: {{direction}}"),
        ),
    ),
)

BOARD = Board(
    "cost",
    "Cost and tokens",
    "What models cost, by router, candidate and tag, and what choosing saves. By client: `llm-relay usage`.",
    (_GLANCE, _WHERE, _TAGS, _TOKENS),
    choices=("router", "tag"),
)
