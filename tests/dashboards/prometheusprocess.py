"""A real Prometheus in a process of its own, and its tool."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import pytest
import yaml

from tests.faultserver import free_port

#: Nothing that a test waits for takes longer, unless it is broken. A scrape a second is what it waits for.
PATIENCE = 30.0

#: In CI it must be there: there a test that cannot run is a failure.
needs_prometheus = pytest.mark.skipif(
    (shutil.which("prometheus") is None or shutil.which("promtool") is None) and os.environ.get("CI") != "true",
    reason="needs Prometheus with promtool; on Debian: apt-get install prometheus",
)


def promtool(*arguments: str | Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run the tool to its end."""
    return subprocess.run(
        ["promtool", *map(str, arguments)],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
    )


class Prometheus:
    """Scrapes ``target`` (host and port) every second as the job ``llm-relay``, and evaluates the rules in ``rules``.

    Its database is ``folder / "past"``; what is there when it starts is its past.
    """

    def __init__(self, folder: Path, target: str, rules: Path) -> None:
        self.port = free_port()
        self.data = folder / "past"
        self._config = folder / "prometheus.yaml"
        self._log = folder / "prometheus.log"
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=PATIENCE)
        self._process: asyncio.subprocess.Process | None = None
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "scrape_configs": [{"job_name": "llm-relay", "static_configs": [{"targets": [target]}]}],
            "rule_files": [str(rules)],
        }
        self._config.write_text(yaml.safe_dump(config))

    @property
    def complaints(self) -> list[str]:
        """What it warned of so far: samples and exemplars that it did not take, rules that failed."""
        lines = self._log.read_text().splitlines()
        return [line for line in lines if re.search(r"level=(?:warn|error)", line, re.IGNORECASE)]

    async def query(self, expression: str) -> list[Any]:
        """The series that an expression has now. Raises AssertionError where Prometheus refuses it."""
        answer = await self._client.post("/api/v1/query", data={"query": expression})
        body = answer.json()
        assert body["status"] == "success", body
        result = body["data"]["result"]
        return result if body["data"]["resultType"] == "vector" else [{"metric": {}, "value": result}]

    async def values(self, label: str, selector: str) -> list[str]:
        """The values of a label, as Grafana's ``label_values`` asks for them."""
        answer = await self._client.get(f"/api/v1/label/{label}/values", params={"match[]": selector})
        found: list[str] = answer.json()["data"]
        return found

    async def exemplars(self, expression: str) -> list[Any]:
        """Single requests behind an expression's histograms, of the last minutes, each with its labels."""
        now = time.time()
        answer = await self._client.get(
            "/api/v1/query_exemplars", params={"query": expression, "start": now - 600, "end": now}
        )
        return [exemplar for series in answer.json()["data"] for exemplar in series["exemplars"]]

    async def until(self, expression: str, true: Callable[[list[Any]], bool] = bool) -> None:
        """Wait until ``true`` is said of what an expression has."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if true(await self.query(expression)):
                    return
                await asyncio.sleep(0.1)

    async def __aenter__(self) -> Prometheus:
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                "prometheus",
                f"--config.file={self._config}",
                f"--storage.tsdb.path={self.data}",
                "--enable-feature=exemplar-storage",
                f"--web.listen-address=127.0.0.1:{self.port}",
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(PATIENCE):
            while True:
                assert self._process.returncode is None, self._log.read_text()
                try:
                    if (await self._client.get("/-/ready")).status_code == 200:
                        return self
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
