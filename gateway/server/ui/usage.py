"""*Usage*: who used what and what it cost, the designators' part apart."""

from __future__ import annotations

from typing import cast, get_args

from gateway import usage as report
from gateway.activity import Activity, Measure
from gateway.errors import NotFound
from gateway.ledger import By, Sum
from gateway.rollup import HOUR
from gateway.server.ui.charts import Chart, stacked
from gateway.server.ui.view import Download, Page, View

_BY: tuple[By, ...] = ("router", "candidate", "tag", "client", "day")
_MEASURES: dict[Measure, str] = {"requests": "Requests", "cost": "Cost", "tokens": "Tokens"}
#: What requests are called that have none.
_NAMELESS: dict[By, str] = {
    "router": "asked directly",
    "candidate": "no candidate",
    "tag": "without tags",
    "client": "no client",
    "day": "",
}
#: Rows of a table: what clients may invent, as tags, must not make an endless page. The export has all.
_ROWS = 200


def usage(view: View) -> Page:
    """Sums of a time by one property, over that time and in all."""
    by, measure = _by(view), _measure(view)

    def see(activity: Activity) -> tuple[list[Sum], Sum, Chart]:
        series = (
            activity.series(by, measure, view.span)
            if by != "day"
            else [(bar, "all", value) for bar, value in _all(activity, measure, view)]
        )
        chart = stacked(series, view.span, view.now, nameless=_NAMELESS[by])
        return *activity.account(by, view.span), chart

    seen = view.look(see)
    sums, total, chart = seen if seen is not None else ([], None, None)
    ranked = sums if by == "day" else sorted(sums, key=lambda one: (-one.requests, one.key or ""))
    values = {
        "by": by,
        "measure": measure,
        "bys": [(name, name.capitalize()) for name in _BY],
        "measures": _MEASURES,
        "sums": ranked[:_ROWS],
        "hidden": len(ranked[_ROWS:]),
        "total": total,
        "chart": chart,
        "nameless": _NAMELESS[by],
    }
    return Page("usage.html", "Usage", "usage", values)


def export(view: View) -> Download:
    """The same sums in a file, as ``llm-relay usage --format`` writes them. Raises NotFound without a ledger."""
    by, style = _by(view), view.path.rpartition(".")[2]
    found = view.look(lambda activity: activity.account(by, view.span))
    if found is None:
        raise NotFound(view.notice)
    whole = report.Report(by=by, since=view.span.since * HOUR, groups=found[0], total=found[1])
    kind = b"text/csv; charset=utf-8" if style == "csv" else b"application/json"
    return Download(f"usage-{by}-{view.range}.{style}", kind, report.render(whole, style=style).encode())


def _all(activity: Activity, measure: Measure, view: View) -> list[tuple[int, float]]:
    return [(bar, value) for bar, _, value in activity.series("day", measure, view.span)]


def _by(view: View) -> By:
    wanted = view.query.get("by", "")
    return cast(By, wanted) if wanted in get_args(By) else "router"


def _measure(view: View) -> Measure:
    wanted = view.query.get("show", "")
    return wanted if wanted in _MEASURES else "requests"
