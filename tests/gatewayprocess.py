"""A real gateway in a process of its own, on a free port, for tests that a simulated server would deceive."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from tests.faultserver import PATIENCE, free_port

ROOT = Path(__file__).resolve().parent.parent
_UNLIMITED = httpx.Limits(max_connections=None, max_keepalive_connections=None)


class Gateway:
    """``llm-relay serve`` over the documents in ``files`` (name to text)::

    async with Gateway(tmp_path, {"smart.yaml": SMART}) as gateway:
        answer = await gateway.client.post("/api/chat", json=...)
    """

    def __init__(
        self,
        folder: Path,
        files: Mapping[str, str],
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        config: Path | None = None,
    ) -> None:
        self.config = config or folder / "routers.d"
        self.data = folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._arguments = arguments
        self._environ = environ or {}
        self._lines: list[str] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self.client = httpx.AsyncClient(base_url=self.url, timeout=30.0, trust_env=False, limits=_UNLIMITED)
        if config is None:
            self.config.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            self.write(name, text)

    # --- the configuration ------------------------------------------------------------------------------------------

    def write(self, name: str, text: str) -> None:
        """Replace a document as an editor or a checkout does: with one rename."""
        temporary = self.config / f".{name}.tmp"
        temporary.write_text(text)
        temporary.rename(self.config / name)

    async def status(self) -> Any:
        """``GET /status``."""
        return (await self.client.get("/status")).json()

    async def until(self, true: Callable[[Any], bool]) -> Any:
        """The first status of which ``true`` holds."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if true(status := await self.status()):
                    return status
                await asyncio.sleep(0.02)

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels; 0 where there are none."""
        page = (await self.client.get("/metrics")).text
        return sum(
            float(line.rpartition(" ")[2])
            for line in page.splitlines()
            if line.startswith((f"{name} ", f"{name}{{"))
            and all(f'{label}="{value}"' in line for label, value in labels.items())
        )

    async def until_metric(self, name: str, value: float, **labels: str) -> None:
        """Wait until :meth:`metric` is ``value``."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if await self.metric(name, **labels) == value:
                    return
                await asyncio.sleep(0.02)

    async def stored(self, table: str, condition: str = "TRUE", count: int = 1) -> list[dict[str, Any]]:
        """The rows of the gateway's database that meet a condition, as soon as there are so many."""
        location = f"{(self.data / 'relay.db').as_uri()}?mode=ro"
        async with asyncio.timeout(PATIENCE):
            while True:
                # The gateway makes the file a moment after it is ready.
                with contextlib.suppress(sqlite3.OperationalError):
                    with contextlib.closing(sqlite3.connect(location, uri=True)) as connection:
                        connection.row_factory = sqlite3.Row
                        rows = connection.execute(f"SELECT * FROM {table} WHERE {condition}").fetchall()
                    if len(rows) >= count:
                        return [dict(row) for row in rows]
                await asyncio.sleep(0.01)

    # --- the process ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        await self._spawn()
        assert self._process is not None
        assert self._reading is not None
        async with asyncio.timeout(PATIENCE):
            while True:
                if self._process.returncode is not None:
                    await self._reading
                    raise AssertionError(f"exit {self._process.returncode}:\n{self.output}")
                try:
                    if (await self.client.get("/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    await asyncio.sleep(0.02)

    async def run(self) -> int:
        """Start it where it will end by itself; the exit status."""
        await self._spawn()
        return await self.ended()

    async def ended(self) -> int:
        """The exit status, once it has ended."""
        assert self._process is not None
        assert self._reading is not None
        async with asyncio.timeout(PATIENCE):
            status = await self._process.wait()
            await self._reading
        return status

    async def _spawn(self) -> None:
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.data.parent), **self._environ}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            "serve",
            *("--config", str(self.config), "--data", str(self.data), "--port", str(self.port)),
            *("--log-format", "json", *self._arguments),
            cwd=ROOT,
            env=environ,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read())

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """End it with a signal; the exit status."""
        self.send(number)
        return await self.ended()

    def send(self, number: int) -> None:
        """Send a signal to the parent process, unless it has ended."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)

    @property
    def pid(self) -> int:
        """The parent process."""
        assert self._process is not None
        return self._process.pid

    def workers(self) -> list[int]:
        """The worker processes, in the order of their start."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def kill(self) -> None:
        """End all of its processes without a word (SIGKILL)."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)

    @property
    def log(self) -> list[Any]:
        """The log's lines so far, decoded."""
        return [json.loads(line) for line in self._lines if line.startswith("{")]

    @property
    def output(self) -> str:
        """Everything that was written to standard error so far."""
        return "".join(self._lines)

    async def logged(self, true: Callable[[Any], bool]) -> Any:
        """The first line of the log of which ``true`` holds."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for line in self.log:
                    if true(line):
                        return line
                await asyncio.sleep(0.02)

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._lines.append(line.decode())

    async def __aenter__(self) -> Gateway:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.returncode is None:
            self.kill()
            await self._process.wait()
        if self._reading is not None:
            await self._reading
        await self.client.aclose()
