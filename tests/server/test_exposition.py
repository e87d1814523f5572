"""The metrics' page of a real gateway in both formats, of one process and of several workers."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.dashboards.prometheusprocess import needs_prometheus, promtool
from tests.gatewayprocess import Gateway
from tests.server.scene import Scene, ask, told

#: What Prometheus sends.
ACCEPT = (
    "application/openmetrics-text;version=1.0.0;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
)
REQUESTS = 20
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(families: Any) -> Samples:
    """Without what changes from one look to the next."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        if not family.name.startswith("process_")
        for sample in family.samples
    }


@needs_prometheus
@pytest.mark.parametrize("workers", [1, 2])
async def test_both_formats_are_valid_and_say_the_same(tmp_path: Path, workers: int) -> None:
    async with Scene() as scene, Gateway(tmp_path, scene.files(), "--workers", str(workers)) as gateway:
        for answer in await asyncio.gather(*(ask(gateway.client, "Hi") for _ in range(REQUESTS))):
            told(answer)
        await gateway.stored("ledger", count=REQUESTS)
        text = await gateway.client.get("/metrics")
        openmetrics = await gateway.client.get("/metrics", headers={"accept": ACCEPT})
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert openmetrics.text.endswith("# EOF\n")
    families = list(parse_openmetrics(openmetrics.text))  # type: ignore[no-untyped-call]
    assert samples(families) == samples(parse(text.text))
    checked = promtool("check", "metrics", stdin=text.content)
    assert (checked.returncode, checked.stdout) == (0, b"")

    exemplars = [(sample, sample.exemplar) for family in families for sample in family.samples if sample.exemplar]
    # The files of several workers have no room for them.
    assert bool(exemplars) is (workers == 1)
    for sample, exemplar in exemplars:
        assert sample.name.endswith("_bucket")
        assert re.fullmatch("[0-9a-f]{24}", exemplar.labels["request_id"])
        assert exemplar.value <= float(sample.labels["le"])
        # The specification's limit of all names and values together.
        assert sum(len(name) + len(value) for name, value in exemplar.labels.items()) <= 128
