"""What an expression may ask of the metrics that there are, and which labels its result has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from gateway.config.model import Candidate, Designator, Model, Price, Provider, Router, Snapshot
from gateway.ledger import Entry
from gateway.metrics import Metrics
from tests.dashboards.promql import Aggregation, Binary, Call, Mistake, Node, Number, Selector, Text

Labels = frozenset[str]
Kind = Literal["counter", "gauge"]

NONE: Labels = frozenset()
#: What Prometheus adds to every series that it scrapes.
SCRAPED: Labels = frozenset({"job", "instance"})

#: Functions of counters over time, of gauges over time, and of values.
_GROWTH = {"rate", "increase"}
_OVER_TIME = {"max_over_time", "min_over_time", "avg_over_time"}
_VALUES = {"abs", "round"}
_SETS = {"and", "or", "unless"}


class Metric(NamedTuple):
    kind: Kind
    labels: Labels


Catalogue = Mapping[str, Metric]


def registered() -> dict[str, Metric]:
    """Every series that the gateway exposes, by name, and what Prometheus knows of its own.

    Labels show only with a sample, so there is one of each.
    """
    page = _full().render("")[1].decode()
    found = {"up": Metric("gauge", SCRAPED)}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            kind: Kind = "gauge" if family.type == "gauge" else "counter"
            found[sample.name] = Metric(kind, SCRAPED | sample.labels.keys())
    return found


def _full() -> Metrics:
    provider = Provider(name="p", wire="openai", base_url="http://p")
    price = Price(input=1.0, output=1.0)
    models = {name: Model(id=name, name=name[2:], provider=provider, price=price) for name in ("p/m", "p/d")}
    candidates = (Candidate(model=models["p/m"], purpose="any"),)
    router = Router(
        name="smart",
        designator=Designator(model=models["p/d"], timeout=1.0),
        candidates=candidates,
        fallback=candidates[0],
        tags=("t",),
    )
    snapshot = Snapshot(revision="r", commit="c", routers={"smart": router}, models=models, providers={"p": provider})
    metrics = Metrics(CollectorRegistry())
    metrics.applied(snapshot, now=1.0)
    metrics.assessed({("smart", "p/m"): 0.0}, now=1.0)
    metrics.record(
        Entry(
            time=0.0,
            request_id="r",
            dialect="openai",
            tags=("t",),
            router="smart",
            candidate="p/m",
            decision="designated",
            designator="p/d",
            designator_outcome="designated",
            designator_ms=1.0,
            designator_input=1,
            designator_output=1,
            designator_cost=1.0,
            input=1,
            output=1,
            cost=1.0,
            dearest_cost=1.0,
            ttft_ms=1.0,
            total_ms=1.0,
            relay_ms=1.0,
            status=200,
        )
    )
    metrics.upstream_error("p", "upstream_timeout")
    return metrics


def labels(node: Node, metrics: Catalogue) -> Labels:
    """The labels that the result has. Raises Mistake where the expression cannot mean what it says."""
    match node:
        case Number() | Text():
            return NONE
        case Selector():
            return _instant(node, metrics)
        case Call():
            return _call(node, metrics)
        case Aggregation(function, by, over):
            inner = labels(over, metrics)
            _within(by, inner, f"{function} by")
            if _buckets(over) and "le" not in by:
                raise Mistake(f"{function} mixes buckets of different sizes")
            return frozenset(by)
        case Binary():
            return _binary(node, metrics)


def _instant(node: Selector, metrics: Catalogue) -> Labels:
    metric = _metric(node, metrics)
    if node.range is not None:
        raise Mistake(f"{node.metric}: a range where a value belongs")
    if metric.kind == "counter":
        raise Mistake(f"{node.metric} is a counter: its value says how long the process has lived")
    return metric.labels


def _call(node: Call, metrics: Catalogue) -> Labels:
    arguments = node.arguments
    match node.function, arguments:
        case "time", ():
            return NONE
        case "vector", (Number(),):
            return NONE
        case "absent", (Selector(matchers=matchers) as selector,):
            _instant(selector, metrics)
            return frozenset(label for label, operator, _ in matchers if operator == "=")
        case "histogram_quantile", (Number(), over):
            inner = labels(over, metrics)
            if not _buckets(over) or "le" not in inner:
                raise Mistake("histogram_quantile needs a histogram's buckets, kept apart by le")
            return inner - {"le"}
        case "label_replace", (over, Text(target), Text(), Text(source), Text()):
            inner = labels(over, metrics)
            _within((source,), inner, "label_replace")
            return inner | {target}
        case function, (over, *_) if function in _VALUES:
            return labels(over, metrics)
        case function, (Selector() as over,) if function in _GROWTH | _OVER_TIME:
            metric = _metric(over, metrics)
            if over.range is None:
                raise Mistake(f"{function}({over.metric}) without a range")
            if (metric.kind == "counter") != (function in _GROWTH):
                raise Mistake(f"{function} of {over.metric}, which is a {metric.kind}")
            return metric.labels
    raise Mistake(f"{node.function} is not used like this here")


def _binary(node: Binary, metrics: Catalogue) -> Labels:
    left, right = labels(node.left, metrics), labels(node.right, metrics)
    if node.operator in _SETS:
        if node.on is not None:
            _within(node.on, left & right, f"{node.operator} on")
        elif node.operator != "or" and left != right:
            raise Mistake(f"{node.operator} of series with labels {sorted(left)} and {sorted(right)}: none can match")
        return left | right if node.operator == "or" else left
    if _scalar(node.left):
        return right
    if _scalar(node.right):
        return left
    if node.on is None:
        if left != right:
            raise Mistake(f"{node.operator} of series with labels {sorted(left)} and {sorted(right)}: none can match")
        return left
    _within(node.on, left & right, f"{node.operator} on")
    match node.many:
        case "left":
            return left
        case "right":
            return right
        case None:
            return frozenset(node.on)


def _scalar(node: Node) -> bool:
    match node:
        case Number() | Call("time", ()):
            return True
        case Binary(_, left, right):
            return _scalar(left) and _scalar(right)
    return False


def _buckets(node: Node) -> bool:
    match node:
        case Selector(metric):
            return metric.endswith("_bucket")
        case Call("histogram_quantile", _):
            return False
        case Call(_, arguments):
            return any(map(_buckets, arguments))
        case Aggregation(_, _, over):
            return _buckets(over)
        case Binary(_, left, right):
            return _buckets(left) or _buckets(right)
    return False


def _metric(node: Selector, metrics: Catalogue) -> Metric:
    metric = metrics.get(node.metric)
    if metric is None:
        raise Mistake(f"{node.metric} is not exposed")
    _within([label for label, _, _ in node.matchers], metric.labels, node.metric)
    return metric


def _within(used: tuple[str, ...] | list[str], given: Labels, where: str) -> None:
    if unknown := set(used) - given:
        raise Mistake(f"{where}: no label {', '.join(sorted(unknown))}")
