"""What all dashboards share: variables, the marks of new generations, links to each other, and JSON that is the same
whenever it is made.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from gateway.dashboards.panels import DATASOURCE, Panel
from gateway.dashboards.promql import JOB

#: Marks our dashboards, for the links between them.
_MARK = "llm-relay"

#: A new generation is marked when it was applied, which is the gauge's value (the annotation's time in milliseconds),
#: so that no mark depends on how finely the range is sampled. Several replicas apply it in turn: the first counts.
_GENERATIONS = (
    "min by (revision, commit) (1000"
    f" * llm_relay_config_last_reload_success_timestamp_seconds{{{JOB}}}"
    f" * on (job, instance) group_right () llm_relay_config_info{{{JOB}}})"
)


#: Variables: label, the series that have the values, and what to know of them.
_CHOICES = {
    "job": ("Job", "llm_relay_config_info", "The scrape job: one for each installation of the gateway."),
    "router": (
        "Router",
        f"llm_relay_requests_total{{{JOB}}}",
        "`direct` are models that were asked for by name, `other` what never reached a router.",
    ),
    "tag": (
        "Tag",
        f"llm_relay_tag_tokens_total{{{JOB}}}",
        "Tags that the configuration names; `other` are those that only requests name.",
    ),
}


class Section(NamedTuple):
    """A row of the dashboard: its heading, and its panels from left to right and from top to bottom."""

    id: int
    title: str
    panels: tuple[Panel, ...]


class Board(NamedTuple):
    """One dashboard. ``choices`` are those of its variables that not every dashboard has: ``router``, ``tag``."""

    name: str
    title: str
    description: str
    sections: tuple[Section, ...]
    choices: tuple[str, ...] = ()


def render(board: Board) -> str:
    """The dashboard as Grafana imports it."""
    built = (
        dashboard.Dashboard(f"LLM Relay / {board.title}")
        .uid(f"llm-relay-{board.name}")
        .description(board.description)
        .tags([_MARK])
        .readonly()
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("1m")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .variables(_variables(board.choices))
        .annotation(_generations())
        .link(
            dashboard.DashboardLink("LLM Relay")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([_MARK])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
    )
    for section in board.sections:
        built.with_row(dashboard.Row(section.title).id(section.id))
        for panel in section.panels:
            built.with_panel(panel)
    return json.dumps(built.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _variables(choices: tuple[str, ...]) -> list[Builder[model.VariableModel]]:
    datasource = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    return [datasource, *(_choice(name, *_CHOICES[name]) for name in ("job", *choices))]


def _choice(name: str, label: str, series: str, description: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .description(description)
        .datasource(DATASOURCE)
        .query(f"label_values({series}, {name})")
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _generations() -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name("Configuration applied")
        .datasource(DATASOURCE)
        .enable(True)
        .icon_color("purple")
        .expr(_GENERATIONS)
        .use_value_for_time(True)
        .title_format("Configuration {{revision}}")
        .text_format("commit {{commit}}")
        .tag_keys("revision,commit")
        .step("60s")
    )
