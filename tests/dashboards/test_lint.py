"""The rules that dashboards and alerts are written by, so that what is shown is true and can be read."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest

from tests.dashboards.checker import Labels, Metric, labels, registered
from tests.dashboards.promql import Mistake, parse
from tests.dashboards.shipped import ALERTS, DASHBOARDS, PANELS, RECORDINGS, RULED, SHOWN, Expression, panels, variables

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
METRICS = registered()

all_dashboards = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
all_panels = pytest.mark.parametrize("panel", [panel for _, panel in PANELS], ids=[where for where, _ in PANELS])
all_shown = pytest.mark.parametrize("expression", SHOWN, ids=[each.where for each in SHOWN])


def result(expression: str) -> Labels:
    """The labels of an expression's series, with Grafana's own variables filled in."""
    return labels(parse(re.sub(r"\$__\w+", "5m", expression)), METRICS | recorded())


def recorded() -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for rule in RECORDINGS:
        found[rule["record"]] = Metric("gauge", labels(parse(rule["expr"]), METRICS | found))
    return found


# --- dashboards -------------------------------------------------------------------------------------------------------


@all_dashboards
def test_a_dashboard_can_be_found_and_left(dashboard: Any) -> None:
    assert re.fullmatch(r"llm-relay-[a-z]+", dashboard["uid"])
    assert dashboard["title"].startswith("LLM Relay / ")
    assert dashboard["description"]
    assert dashboard["tags"] == ["llm-relay"]
    assert [link["tags"] for link in dashboard["links"]] == [["llm-relay"]]
    assert dashboard["editable"] is False


@all_dashboards
def test_ids_are_unique_and_panels_do_not_overlap(dashboard: Any) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    for place in places:
        assert place["x"] + place["w"] <= 24
    for one, other in combinations(places, 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)


@all_dashboards
def test_every_variable_is_used_and_everything_used_is_a_variable(dashboard: Any) -> None:
    declared = {variable["name"] for variable in dashboard["templating"]["list"]}
    texts = [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]
    used = {name for text in texts for name in re.findall(r"\$([a-z]+)\b", text)}
    assert declared == used | {"datasource"}


@all_dashboards
def test_choices_may_be_several_or_all(dashboard: Any) -> None:
    for variable in variables(dashboard):
        assert variable["datasource"] == PROMETHEUS
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")
        assert variable["label"]
        assert variable["description"]
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
        assert match
        selected = re.sub(r"\{.*", "", match[1])
        assert match[2] in METRICS[selected].labels
        assert match[2] == variable["name"]


@all_dashboards
def test_every_graph_has_the_marks_of_new_generations(dashboard: Any) -> None:
    (annotation,) = dashboard["annotations"]["list"]
    assert annotation["enable"]
    assert "filter" not in annotation
    assert annotation["datasource"] == PROMETHEUS
    assert annotation["useValueForTime"]
    assert set(annotation["tagKeys"].split(",")) == {"revision", "commit"}


@all_panels
def test_a_panel_says_what_it_shows(panel: Any) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]


@all_panels
def test_a_panel_asks_the_chosen_prometheus(panel: Any) -> None:
    assert panel["datasource"] == PROMETHEUS
    references = [target["refId"] for target in panel["targets"]]
    assert len(set(references)) == len(references)
    for target in panel["targets"]:
        assert target["datasource"] == PROMETHEUS
        # A graph asks for a range, a number or a bar for one value.
        graph = panel["type"] in ("timeseries", "heatmap")
        assert (target["range"], target["instant"]) == (graph, not graph)


@all_panels
def test_windows_follow_the_dashboard(panel: Any) -> None:
    window = "$__rate_interval" if panel["type"] in ("timeseries", "heatmap") else "$__range"
    for target in panel["targets"]:
        assert set(re.findall(r"\[(.*?)\]", target["expr"])) <= {window}


# --- expressions ------------------------------------------------------------------------------------------------------


@all_shown
def test_an_expression_asks_for_what_there_is(expression: Expression) -> None:
    found = result(expression.text)
    assert ("le" in found) == expression.heatmap
    # One name a series: none without the labels that tell it from the others.
    assert expression.legend is not None
    assert set(re.findall(r"\{\{(\w+)\}\}", expression.legend)) == found


@all_shown
def test_an_expression_keeps_to_the_chosen_job_and_router(expression: Expression) -> None:
    selectors = re.findall(r"(\w+)\{(.*?)\}", expression.text)
    assert selectors
    for metric, matchers in selectors:
        assert 'job=~"$job"' in matchers
        exposed = METRICS[metric].labels
        for label in ("router", "tag"):
            assert (f'{label}=~"${label}"' in matchers) == (label in exposed)


def test_everything_that_is_exposed_is_shown() -> None:
    texts = "\n".join(each.text for each in SHOWN)
    shown = set(re.findall(r"\b(?:llm_relay|process)_\w+", texts))
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in METRICS if name.startswith("llm_relay_")}
    assert families <= {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}


# --- rules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expression", RULED, ids=[each.where for each in RULED])
def test_a_rule_asks_for_what_there_is(expression: Expression) -> None:
    assert "job" in result(expression.text)
    assert "$" not in expression.text.replace('"$1"', "")


@pytest.mark.parametrize("rule", RECORDINGS, ids=lambda rule: rule["record"])
def test_a_recorded_series_is_named_after_its_labels(rule: Any) -> None:
    level, metric, _ = rule["record"].split(":")
    assert metric.startswith("llm_relay_")
    assert sorted(level.split("_")) == sorted(recorded()[rule["record"]].labels)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_where_to_read_on(rule: Any) -> None:
    assert re.fullmatch(r"LLMRelay[A-Za-z]+", rule["alert"])
    assert rule["for"]
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    said = rule["annotations"]
    assert said.keys() == {"summary", "description", "runbook_url"}
    assert said["runbook_url"] == f"README.md#{rule['alert'].lower()}"
    used = set(re.findall(r"\$labels\.(\w+)", said["summary"] + said["description"]))
    assert used <= result(rule["expr"])


# --- the checker itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("llm_relay_requests_total", "is a counter"),
        ("sum(llm_relay_requests_total)", "is a counter"),
        ("llm_relay_request_duration_seconds_count", "is a counter"),
        ("rate(llm_relay_sessions[5m])", "which is a gauge"),
        ("rate(llm_relay_requests_total)", "without a range"),
        ("max_over_time(llm_relay_requests_total[5m])", "which is a counter"),
        ("llm_relay_unheard_of", "is not exposed"),
        ('llm_relay_sessions{router="smart"}', "no label router"),
        ("sum by (tag) (rate(llm_relay_requests_total[5m]))", "no label tag"),
        ("sum by (router) (rate(llm_relay_request_duration_seconds_bucket[5m]))", "different sizes"),
        ("histogram_quantile(0.9, sum(rate(llm_relay_request_duration_seconds_bucket[5m])))", "different sizes"),
        ("histogram_quantile(0.9, sum by (router) (rate(llm_relay_requests_total[5m])))", "needs a histogram"),
        (
            "sum by (router) (rate(llm_relay_requests_total[5m])) / sum(rate(llm_relay_requests_total[5m]))",
            "none can match",
        ),
        (
            "sum(rate(llm_relay_requests_total[5m])) / on (router) sum(rate(llm_relay_requests_total[5m]))",
            "no label router",
        ),
        ("sum(rate(llm_relay_requests_total[5m]) by (router)", "belongs"),
        ("sum(llm_relay_sessions) sum", "after the end"),
        ("llm_relay_sessions ~ 1", "not PromQL"),
        ("predict_linear(llm_relay_sessions[5m], 60)", "not used like this"),
    ],
)
def test_the_checker_sees(expression: str, reason: str) -> None:
    with pytest.raises(Mistake, match=re.escape(reason)):
        result(expression)


def test_the_checker_knows_labels() -> None:
    assert result("llm_relay_sessions") == {"job", "instance"}
    assert result("1000 * max(llm_relay_sessions)") == set()
    assert result(
        "histogram_quantile(0.9, sum by (le, router) (rate(llm_relay_request_duration_seconds_bucket[1h])))"
    ) == {"router"}
