"""The kinds of panels that the dashboards are made of, each with everything a reader needs: title, unit, description.

Ids are given, not counted: links to a panel must not break because another one was put before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from grafana_foundation_sdk.builders import bargauge, common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    BigValueTextMode,
    DataSourceRef,
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

#: The variable that chooses the Prometheus; there is no other data source in here.
DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = Builder[model.Panel]

_GRAPH_HEIGHT, _NUMBER_HEIGHT = 8, 4
#: A colour for values from here on; None is the colour of all that is below.
Steps = Sequence[tuple[float | None, str]]
GREEN: Steps = ((None, "green"),)


class About(NamedTuple):
    """What a panel says of itself. ``unit`` is one of Grafana's, such as ``s``, ``reqps`` or ``percentunit``."""

    id: int
    title: str
    unit: str
    description: str


class Query(NamedTuple):
    """One expression, and how its series are called: a text with ``{{label}}`` in it.

    ``exemplars`` are dots for single requests, with their ids, where Prometheus keeps them.
    """

    expr: str
    legend: str
    exemplars: bool = False


_P = TypeVar("_P", timeseries.Panel, stat.Panel, bargauge.Panel, heatmap.Panel)


def graph(about: About, *queries: Query, width: int = 12, stacked: bool = False, steps: bool = False) -> Panel:
    """Lines over time, or areas on top of each other; ``steps`` are bars, for what seldom happens."""
    panel = _panel(timeseries.Panel(), about, width, _GRAPH_HEIGHT)
    for index, query in enumerate(queries):
        panel.with_target(_target(query, index).range())
    panel.legend(
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
    )
    panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    panel.show_points(VisibilityMode.NEVER).line_width(1).min(0)
    if steps:
        panel.draw_style(GraphDrawStyle.BARS)
    if stacked or steps:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A")).fill_opacity(60)
    if about.unit == "percentunit" and stacked:
        panel.max(1)
    return panel


def number(
    about: About,
    query: Query,
    *,
    width: int = 4,
    colours: Steps = GREEN,
    texts: Mapping[str, str] | None = None,
    named: bool = False,
) -> Panel:
    """One value for the whole range; ``texts`` are said in place of values, ``named`` shows the series' names."""
    panel = _panel(stat.Panel(), about, width, _NUMBER_HEIGHT).with_target(_target(query, 0).instant())
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.graph_mode(BigValueGraphMode.NONE).color_mode(BigValueColorMode.VALUE)
    panel.text_mode(BigValueTextMode.NAME if named else BigValueTextMode.VALUE)
    panel.thresholds(_thresholds(colours)).no_value("-")
    if texts:
        said = {value: model.ValueMappingResult(text=text) for value, text in texts.items()}
        panel.mappings([model.ValueMap(options=said)])
    return panel


def bars(about: About, query: Query, *, width: int = 12) -> Panel:
    """One bar a series for the whole range."""
    panel = _panel(bargauge.Panel(), about, width, _GRAPH_HEIGHT).with_target(_target(query, 0).instant())
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.orientation(VizOrientation.HORIZONTAL).display_mode(BarGaugeDisplayMode.GRADIENT)
    return panel.thresholds(_thresholds(((None, "blue"),))).min(0).no_value("-")


def heat(about: About, query: Query, *, width: int = 12) -> Panel:
    """A histogram over time."""
    target = _target(query, 0).range().format(PromQueryFormat.HEATMAP)
    panel = _panel(heatmap.Panel(), about, width, _GRAPH_HEIGHT).with_target(target)
    panel.color(heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues").steps(32))
    return panel.y_axis(heatmap.YAxisConfig().unit(about.unit)).calculate(False)


def _panel(panel: _P, about: About, width: int, height: int) -> _P:
    panel.id(about.id).title(about.title).description(about.description)
    return panel.unit(about.unit).datasource(DATASOURCE).span(width).height(height)


def _target(query: Query, index: int) -> prometheus.Dataquery:
    target = prometheus.Dataquery().ref_id("ABCDEFGH"[index]).datasource(DATASOURCE)
    target.expr(query.expr).legend_format(query.legend)
    return target.exemplar(True) if query.exemplars else target


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    made = [model.Threshold(value=value, color=colour) for value, colour in steps]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(made)
