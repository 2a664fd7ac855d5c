"""Dashboards in the format of Grafana 11.6, by its own library. Only this module imports it.

What Grafana would fill in when a person saves a dashboard is set here: ids of panels and of
queries, the place of each panel. So files are the same each time, and a test can compare them.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from seawall.testbed.monitoring.panels import FULL, NETWORK, Board, Panel

FAULT_TEXTS: Final[Mapping[str, str]] = MappingProxyType(
    {"tagKeys": "fault,site", "textFormat": "{{site}}", "titleFormat": "{{fault}}"}
)
"""How Prometheus words an annotation; the library has no names for these members."""

Builder: TypeAlias = timeseries.Panel | stat.Panel | heatmap.Panel | statetimeline.Panel

UID_PREFIX: Final = "seawall-"
TAG: Final = "seawall"
DATASOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT: Final = 8
STAT_HEIGHT: Final = 4
REFRESH: Final = "10s"
FAULTS: Final = f"sum by (site, fault) (seawall_chaos_fault_active{{{NETWORK}}}) > 0"
"""Faults as annotations: a band over every picture from injection to rollback."""


def render(board: Board) -> str:
    """Return a dashboard as the JSON text that Grafana imports."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(UID_PREFIX + board.name)
        .description(board.description)
        .tags([TAG])
        .readonly()
        .timezone("browser")
        .refresh(REFRESH)
        .time("now-30m", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Seawall")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(as_dropdown=True)
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
        )
        .annotation(_faults())
    )
    for variable in _variables():
        built = built.with_variable(variable)
    x = y = row_height = 0
    for number, panel in enumerate(board.panels, 1):
        height = STAT_HEIGHT if panel.kind == "stat" else HEIGHT
        if x + panel.width > FULL:
            x, y, row_height = 0, y + row_height, 0
        place = models.GridPos(h=height, w=panel.width, x=x, y=y)
        built = built.with_panel(_panel(panel, number).grid_pos(place))
        x, row_height = x + panel.width, max(row_height, height)
    document = json.loads(JSONEncoder().encode(built.build()))
    for annotation in document["annotations"]["list"]:
        annotation.update(FAULT_TEXTS)
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _variables() -> list[dashboard.DatasourceVariable | dashboard.QueryVariable]:
    return [
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _asked("network", "label_values(seawall_build_info, network)"),
        _asked("site", f"label_values(seawall_build_info{{{NETWORK}}}, site)")
        .multi(multi=True)
        .include_all(include_all=True)
        .current(models.VariableOption(text="All", value="$__all", selected=True)),
    ]


def _asked(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .datasource(DATASOURCE)
        .query({"query": query, "refId": name})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
    )


def _faults() -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name("Faults")
        .datasource(DATASOURCE)
        .enable(enable=True)
        .icon_color("red")
        .expr(FAULTS)
    )


def _panel(panel: Panel, number: int) -> Builder:
    builder = _drawn(panel)
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        asked = (
            prometheus.Dataquery()
            .expr(query.expr)
            .ref_id(letter)
            .datasource(DATASOURCE)
            .legend_format(query.legend or "__auto")
            .range()
        )
        if panel.kind == "heatmap":
            asked = asked.format(PromQueryFormat.HEATMAP)
        builder = builder.with_target(asked)
    return (
        builder.id(number).title(panel.title).description(panel.description).datasource(DATASOURCE)
    )


def _drawn(panel: Panel) -> Builder:
    """Return the builder of a panel's kind, with what only that kind has."""
    match panel.kind:
        case "stat":
            reduced = common.ReduceDataOptions().calcs(["lastNotNull"])
            return stat.Panel().unit(panel.unit).reduce_options(reduced)
        case "heatmap":
            axis = heatmap.YAxisConfig().unit(panel.unit)
            colours = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges")
            return heatmap.Panel().y_axis(axis).color(colours).calculate(calculate=False)
        case "timeline":
            bands = statetimeline.Panel().unit(panel.unit).merge_values(merge_values=True)
            return bands.line_width(0).fill_opacity(70)
        case "graph" | "stacked":
            legend = common.VizLegendOptions().show_legend(show_legend=True)
            legend = legend.display_mode(common_models.LegendDisplayMode.LIST)
            drawn = timeseries.Panel().unit(panel.unit).min(0).fill_opacity(10).legend(legend)
            if panel.kind == "stacked":
                stacking = common.StackingConfig().mode(common_models.StackingMode.NORMAL)
                drawn = drawn.stacking(stacking)
            return drawn
