"""The run itself: start the parties, measure every case on them, then what the gateway costs beside requests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple, Self

from . import configs, mock, probes
from .load import Case, check, drive
from .machine import BenchError, Process, free_port, split_cores
from .report import Cell, Costs, middle

WARM_UP = 16
"""Connections of the second before each case that is not counted."""
STARTS = 3
"""Starts and validations are measured this often, and the median counts; reloads too, and the longest wait counts."""


@dataclass(frozen=True)
class Plan:
    """What to run: every case at every number of connections, `rounds` times for `seconds` each."""

    gateway: tuple[str, ...]
    cases: tuple[Case, ...]
    connections: tuple[int, ...]
    seconds: int
    rounds: int
    routers: int


class Server(NamedTuple):
    process: Process
    port: int
    ready_seconds: float
    """From the start of the process until it was ready."""


class _Way(NamedTuple):
    """One server's way to serve a case; `size` is an answer's on the wire."""

    server: str
    process: Process
    url: str
    size: int

    @classmethod
    def checked(cls, case: Case, name: str, server: Server, path: str) -> Self:
        size = check(case, server.port, path)
        return cls(name, server.process, f"http://127.0.0.1:{server.port}{path}", size)


class Bench:
    """One run in its own folder. The servers that live through all of it are left on `running`."""

    def __init__(self, plan: Plan, folder: Path, running: ExitStack) -> None:
        self._plan = plan
        self._folder = folder
        self._cores = split_cores()
        self._mock_port = free_port()
        conf = mock.write_mock(folder / "mock", self._mock_port, configs.CHOSEN)
        running.enter_context(self._nginx(conf, self._mock_port, self._cores.others))
        proxy_port = free_port()
        conf = mock.write_proxy(folder / "proxy", proxy_port, self._mock_port)
        self._proxy = running.enter_context(self._nginx(conf, proxy_port, self._cores.subject))

    def run(self) -> tuple[list[Cell], Costs]:
        small = configs.write_small(self._folder / "small", self._mock_port)
        startup = median(self._startup_seconds(small) for _ in range(STARTS))
        with self._gateway(small) as gateway:
            idle = gateway.process.resident()
            cells = [cell for case in self._plan.cases for cell in self._measure(case, gateway)]
            loaded = gateway.process.resident()

        routers = self._plan.routers
        large = configs.write_large(self._folder / "large", self._mock_port, routers)
        _say(f"validate and reload {routers:,} routers")
        command = self._plan.gateway
        validate = median(probes.validate_seconds(command, large, self._cores.subject) for _ in range(STARTS))
        with self._gateway(large) as gateway:
            reload = probes.reload_wait(gateway.port, large, STARTS)
        return cells, Costs(startup, idle, loaded, routers, validate, reload)

    def _measure(self, case: Case, gateway: Server) -> Iterator[Cell]:
        ways = [_Way.checked(case, "gateway", gateway, case.path)]
        if case.reference_path:
            ways.insert(0, _Way.checked(case, "nginx", self._proxy, case.reference_path))
        _say(f"{case.name}: warming up")
        for way in ways:
            self._cell(case, way, WARM_UP, seconds=1)
        for connections in self._plan.connections:
            _say(f"{case.name}: {connections} connections")
            # The servers take turns, so that a disturbance of the machine meets both.
            rounds = [
                [self._cell(case, way, connections, self._plan.seconds) for way in ways]
                for _ in range(self._plan.rounds)
            ]
            yield from map(middle, zip(*rounds, strict=True))

    def _cell(self, case: Case, way: _Way, connections: int, seconds: int) -> Cell:
        before = way.process.cpu_seconds()
        load = drive(
            case,
            way.url,
            self._folder,
            connections=connections,
            seconds=seconds,
            cores=self._cores.others,
            size=way.size,
        )
        if not load.answers:
            raise BenchError(f"{case.name}: {way.server} gave no answer at {connections} connections")
        cpu_us = (way.process.cpu_seconds() - before) * 1e6 / load.answers
        rate = load.answers / load.seconds
        return Cell(
            case=case.name,
            server=way.server,
            connections=connections,
            requests_per_second=rate,
            cpu_us_per_request=cpu_us,
            events_per_second=rate * case.events,
            cpu_us_per_event=cpu_us / case.events if case.events else 0.0,
            p50_ms=load.p50_ms,
            p99_ms=load.p99_ms,
            errors=load.errors,
        )

    def _startup_seconds(self, config: Path) -> float:
        with self._gateway(config) as gateway:
            return gateway.ready_seconds

    @contextmanager
    def _gateway(self, config: Path) -> Iterator[Server]:
        port = free_port()
        command = [*self._plan.gateway, "serve", "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        command += ["--data", str(self._folder / f"data-{port}")]
        log = self._folder / "gateway.log"
        with Process(command, cores=self._cores.subject, log=log, env=_settled(os.environ)) as process:
            yield Server(process, port, process.wait_ready(port, "/readyz"))

    @contextmanager
    def _nginx(self, conf: Path, port: int, cores: str) -> Iterator[Server]:
        with Process(mock.nginx_command(conf), cores=cores, log=conf.with_suffix(".log")) as process:
            yield Server(process, port, process.wait_ready(port, "/plain/"))


def _settled(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the gateway's own settings, which the command line gives."""
    return {name: value for name, value in environment.items() if not name.startswith("LLM_RELAY_")}


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)
