"""The generated files as data, and every expression in them, by a name that says where it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from gateway.dashboards import BOARDS, documents

DOCUMENTS = documents()
RULES_FILE = "rules/llm-relay.rules.yaml"

#: Every dashboard as Grafana gets it, by name.
DASHBOARDS: dict[str, Any] = {board.name: json.loads(DOCUMENTS[f"{board.name}.json"]) for board in BOARDS}
#: Every rule as Prometheus gets it, in the order of evaluation.
RULES: list[Any] = [rule for group in yaml.safe_load(DOCUMENTS[RULES_FILE])["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDINGS = [rule for rule in RULES if "record" in rule]


class Expression(NamedTuple):
    """``where`` is for people; ``legend`` is the text with ``{{label}}``, None where there is none."""

    where: str
    text: str
    legend: str | None = None
    heatmap: bool = False


def panels(dashboard: Any) -> list[Any]:
    """Those that show something: all but the headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


PANELS = [
    (f"{name}/{panel['id']} {panel['title']}", panel) for name, board in DASHBOARDS.items() for panel in panels(board)
]


def variables(dashboard: Any) -> list[Any]:
    """Those that ask Prometheus for their values."""
    return [variable for variable in dashboard["templating"]["list"] if variable["type"] == "query"]


def _shown() -> Iterator[Expression]:
    for where, panel in PANELS:
        for target in panel["targets"]:
            heatmap = target.get("format") == "heatmap"
            yield Expression(f"{where} {target['refId']}", target["expr"], target["legendFormat"], heatmap)
    for name, board in DASHBOARDS.items():
        for annotation in board["annotations"]["list"]:
            legend = annotation["titleFormat"] + annotation["textFormat"]
            yield Expression(f"{name}/{annotation['name']}", annotation["expr"], legend)


#: Of panels and annotations.
SHOWN = list(_shown())
#: Of recording and alerting rules.
RULED = [Expression(rule.get("alert") or rule["record"], rule["expr"]) for rule in RULES]
