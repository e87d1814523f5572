"""The page that Prometheus reads, of one process or of several workers.

Several workers write their values to files in one folder, and any of them answers for all; see
https://prometheus.github.io/client_python/multiprocess/.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

_OPENMETRICS = "application/openmetrics-text"
_LIVE_FILE = re.compile(r"gauge_live[a-z]*_(\d+)\.db")


def page(registry: CollectorRegistry, folder: Path | None, accept: str) -> tuple[str, bytes]:
    """Content type and page, in OpenMetrics' text format where the ``Accept`` header names it.

    ``folder`` is where the workers write, None for a process that answers for itself alone.
    """
    openmetrics = any(part.partition(";")[0].strip().lower() == _OPENMETRICS for part in accept.split(","))
    # Never the client's own words: the library puts their version into the response's header and trips over some.
    encode, content_type = choose_encoder(f"{_OPENMETRICS}; version=1.0.0" if openmetrics else "")
    if folder is None:
        return content_type, encode(registry)
    bury(folder)
    return content_type, encode(_AllWorkers(folder))


class _AllWorkers(Collector):
    """What all workers have written."""

    def __init__(self, folder: Path) -> None:
        self._files = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        for metric in self._files.collect():  # type: ignore[no-untyped-call]
            if metric.name == "llm_relay_config_info":
                # Nothing can be removed from the files: what is zero is gone.
                metric.samples = [sample for sample in metric.samples if sample.value]
            yield metric


def bury(folder: Path) -> None:
    """Removes the gauges of workers that are no more; what they counted stays."""
    if os.name != "posix":
        # Elsewhere signal 0 is not a question but a signal.
        return
    for pid in {int(match[1]) for name in os.listdir(folder) if (match := _LIVE_FILE.fullmatch(name))}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            # Another worker may be at it too.
            with suppress(FileNotFoundError):
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        except PermissionError:
            continue
