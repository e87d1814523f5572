"""Prometheus's own tool on the rules: they are well formed, and each alert fires when it should, and ends."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dashboards.prometheusprocess import needs_prometheus, promtool
from tests.dashboards.shipped import ALERTS
from tests.gatewayprocess import ROOT

RULES = ROOT / "dashboards" / "rules"
TESTS = sorted((RULES / "tests").glob("*.yaml"))


@needs_prometheus
def test_the_rules_are_well_formed() -> None:
    checked = promtool("check", "rules", RULES / "llm-relay.rules.yaml")
    assert checked.returncode == 0, checked.stdout.decode()


@needs_prometheus
def test_the_example_configuration_finds_them() -> None:
    checked = promtool("check", "config", ROOT / "dashboards" / "provisioning" / "prometheus" / "prometheus.yaml")
    assert checked.returncode == 0, checked.stdout.decode()
    assert b"1 rule files found" in checked.stdout


@needs_prometheus
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_and_end(path: Path) -> None:
    tested = promtool("test", "rules", path)
    assert tested.returncode == 0, tested.stdout.decode()


def test_every_alert_is_shown_to_fire_and_to_end() -> None:
    shown: dict[str, list[bool]] = defaultdict(list)
    for path in TESTS:
        for case in yaml.safe_load(path.read_text())["tests"]:
            seen: dict[str, list[Any]] = defaultdict(list)
            for step in case["alert_rule_test"]:
                seen[step["alertname"]].append(bool(step["exp_alerts"]))
            for name, firing in seen.items():
                # Silence before is part of most cases; what matters is that it fires and is over at the end.
                shown[name].append(any(firing) and not firing[-1])
    assert {name for name, cases in shown.items() if all(cases)} == {rule["alert"] for rule in ALERTS}
