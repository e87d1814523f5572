"""A real Prometheus scrapes a real gateway, and is asked everything that dashboards and rules ask."""

from __future__ import annotations

import asyncio
import math
import re
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.dashboards import traffic
from tests.dashboards.prometheusprocess import Prometheus, needs_prometheus, promtool
from tests.dashboards.shipped import DASHBOARDS, DOCUMENTS, PANELS, RECORDINGS, RULED, RULES_FILE, SHOWN, variables
from tests.gatewayprocess import Gateway
from tests.server.scene import Scene

pytestmark = needs_prometheus

#: What Grafana fills in.
_GRAFANA = {"$__rate_interval": "1m", "$__range": "5m", "$job": "llm-relay", "$router": ".+", "$tag": ".+"}
_LABELS = {"job": "llm-relay", "router": traffic.ROUTER, "candidate": traffic.CANDIDATE}
#: Recorded series that are compared with yesterday's.
_REMEMBERED = sorted(set(re.findall(r"([\w:]+)(?:\[\w+\])? offset 1d", DOCUMENTS[RULES_FILE])))

#: Prometheus's queries by a name: of panels, annotations and rules, and the recorded series themselves.
QUERIES = {each.where: each.text for each in SHOWN}
QUERIES |= {f"recorded {rule['record']}": rule["record"] for rule in RECORDINGS}
# A comparison has results only while it is true. As a value, 0 or 1, it has them always, if both sides have any.
QUERIES |= {each.where: re.sub(r"(?<!=)(==|[<>]=?) ", r"\1 bool ", each.text) for each in RULED}

EXEMPLARS = {
    f"{where} {target['refId']}": target["expr"]
    for where, panel in PANELS
    for target in panel["targets"]
    if target.get("exemplar")
}
VARIABLES = {
    f"{name}/{variable['name']}": variable["query"]
    for name, board in DASHBOARDS.items()
    for variable in variables(board)
}


class Observed(NamedTuple):
    """What Prometheus answered, by query and by variable; the page it scraped; and what the gateway said of itself."""

    series: dict[str, list[Any]]
    exemplars: dict[str, list[Any]]
    values: dict[str, list[str]]
    page: bytes
    status: Any
    complaints: list[str]


def _grafana(text: str) -> str:
    for name, value in _GRAFANA.items():
        text = text.replace(name, value)
    return text


def _yesterday(folder: Path) -> None:
    """Gives Prometheus a past: the same hour yesterday of one router."""
    now = time.time()
    lines = []
    for series in _REMEMBERED:
        labels = ",".join(f'{name}="{value}"' for name, value in _LABELS.items() if name in series.split(":")[0])
        lines.append(f"# TYPE {series} gauge")
        lines += [f"{series}{{{labels}}} 0.5 {now - 86400 + 60 * minute:.0f}" for minute in range(-10, 10)]
    past = folder / "past.txt"
    past.write_text("\n".join([*lines, "# EOF", ""]))
    made = promtool("tsdb", "create-blocks-from", "openmetrics", past, folder / "past")
    assert made.returncode == 0, made.stdout.decode()


async def _observe(folder: Path) -> Observed:
    rules = folder / "llm-relay.rules.yaml"
    rules.write_text(DOCUMENTS[RULES_FILE])
    _yesterday(folder)
    async with Scene() as scene, Gateway(folder, traffic.files(scene)) as gateway:
        traffic.assess(gateway)
        await gateway.until(lambda status: "assessment" in str(status["routers"]))
        async with Prometheus(folder, f"127.0.0.1:{gateway.port}", rules) as prometheus:

            async def scraped() -> None:
                # Every counter is seen before and after it grows: a rate needs both.
                requests = await gateway.metric("llm_relay_requests_total")
                await prometheus.until(f"sum(llm_relay_requests_total) == {requests}")

            # From 0 on: the first refusal is an increase.
            await prometheus.until('llm_relay_config_reloads_total{outcome="refused"} == 0')
            await traffic.visit(gateway, scene)
            await traffic.refuse(gateway)
            await scraped()
            await prometheus.until('increase(llm_relay_config_reloads_total{outcome="refused"}[1m]) > 0')
            await traffic.visit(gateway, scene)
            await traffic.refuse(gateway)
            await scraped()
            for rule in RECORDINGS:
                await prometheus.until(f"{rule['record']} == {rule['record']}")
            series = {where: await prometheus.query(_grafana(text)) for where, text in QUERIES.items()}
            exemplars = {where: await prometheus.exemplars(_grafana(text)) for where, text in EXEMPLARS.items()}
            values = {}
            for where, query in VARIABLES.items():
                match = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
                assert match
                values[where] = await prometheus.values(match[2], _grafana(match[1]))
            complaints = prometheus.complaints
        page = (await gateway.client.get("/metrics")).content
        return Observed(series, exemplars, values, page, await gateway.status(), complaints)


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    return asyncio.run(_observe(tmp_path_factory.mktemp("live")))


@pytest.mark.parametrize("where", QUERIES)
def test_a_query_has_data(observed: Observed, where: str) -> None:
    values = [float(each["value"][1]) for each in observed.series[where]]
    assert any(map(math.isfinite, values)), QUERIES[where]


@pytest.mark.parametrize("where", VARIABLES)
def test_a_variable_has_choices(observed: Observed, where: str) -> None:
    expected = {
        "job": {"llm-relay"},
        "router": {traffic.ROUTER, "support", "smart", "direct", "other"},
        "tag": {"demo", "platform"},
    }
    assert set(observed.values[where]) == expected[where.partition("/")[2]]


@pytest.mark.parametrize("where", EXEMPLARS)
def test_a_latency_leads_to_single_requests(observed: Observed, where: str) -> None:
    assert observed.exemplars[where]
    assert all(re.fullmatch(r"[0-9a-f]+", each["labels"]["request_id"]) for each in observed.exemplars[where])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_mark_stands_where_a_generation_was_applied(observed: Observed, name: str) -> None:
    (mark,) = observed.series[f"{name}/Configuration applied"]
    assert mark["metric"] == {"revision": observed.status["revision"], "commit": observed.status["commit"]}
    applied_at = datetime.fromisoformat(observed.status["applied_at"]).timestamp()
    # One is told in whole seconds, and they are not taken in the same instant.
    assert float(mark["value"][1]) / 1000 == pytest.approx(applied_at, abs=2)


def test_the_page_is_as_prometheus_likes_it(observed: Observed) -> None:
    checked = promtool("check", "metrics", stdin=observed.page)
    assert (checked.returncode, checked.stdout) == (0, b"")


def test_prometheus_takes_everything_without_a_complaint(observed: Observed) -> None:
    assert observed.complaints == []


def test_prometheus_and_its_tool_are_there() -> None:
    assert shutil.which("prometheus")
    assert shutil.which("promtool")
