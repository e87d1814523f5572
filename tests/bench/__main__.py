"""`python -m tests.bench`: measure, print one table, and hold the figures against their targets."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import FrameType
from typing import NamedTuple, NoReturn

from . import configs, mock, probes
from .load import CASES, Case, check, drive
from .machine import BenchError, Process, find_tool, free_port, split_cores
from .report import JUDGED_AT, Cell, Costs, as_data, as_text, middle, verdicts

STARTS = 3
"""Starts and validations are measured this often; the median counts."""


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
        servers = {"gateway": (gateway, case.path)}
        if case.reference_path:
            servers = {"nginx": (self._proxy, case.reference_path), **servers}
        sizes = {name: check(case, server.port, path) for name, (server, path) in servers.items()}

        def cell(name: str, connections: int, seconds: int) -> Cell:
            server, path = servers[name]
            before = server.process.cpu_seconds()
            url = f"http://127.0.0.1:{server.port}{path}"
            load = drive(
                case,
                url,
                self._folder,
                connections=connections,
                seconds=seconds,
                cores=self._cores.others,
                size=sizes[name],
            )
            if not load.answers:
                raise BenchError(f"{case.name}: {name} gave no answer at {connections} connections")
            cpu_us = (server.process.cpu_seconds() - before) * 1e6 / load.answers
            rate = load.answers / load.seconds
            return Cell(
                case=case.name,
                server=name,
                connections=connections,
                requests_per_second=rate,
                cpu_us_per_request=cpu_us,
                events_per_second=rate * case.events,
                cpu_us_per_event=cpu_us / case.events if case.events else 0.0,
                p50_ms=load.p50_ms,
                p99_ms=load.p99_ms,
                errors=load.errors,
            )

        _say(f"{case.name}: warming up")
        for name in servers:
            cell(name, JUDGED_AT, 1)
        for connections in self._plan.connections:
            _say(f"{case.name}: {connections} connections")
            # The servers take turns, so that a disturbance of the machine meets both.
            rounds = [{name: cell(name, connections, self._plan.seconds) for name in servers} for _ in self._rounds]
            for name in servers:
                yield middle([turn[name] for turn in rounds])

    @property
    def _rounds(self) -> range:
        return range(self._plan.rounds)

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


def _parse(arguments: Sequence[str] | None) -> tuple[Plan, argparse.Namespace]:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    names = [case.name for case in CASES]
    parser.add_argument("--quick", action="store_true", help="one short round of each: about 40 s")
    parser.add_argument("--cases", default=",".join(names), help="default: %(default)s")
    parser.add_argument("--connections", default="1,16,64,256", help="default: %(default)s")
    parser.add_argument("--seconds", type=int, help="of one measurement; default 3, quick 1")
    parser.add_argument("--rounds", type=int, help="of which the median counts; default 3, quick 1")
    parser.add_argument("--routers", type=int, default=1000, help="to validate and reload; default: %(default)s")
    parser.add_argument("--gateway", help="the command to measure, e.g. that of another checkout; default: this one")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a figure is over its target")
    options = parser.parse_args(arguments)
    wanted = options.cases.split(",")
    if unknown := set(wanted).difference(names):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    plan = Plan(
        gateway=tuple(shlex.split(options.gateway)) if options.gateway else (sys.executable, "-m", "gateway"),
        cases=tuple(case for case in CASES if case.name in wanted),
        connections=tuple(map(int, options.connections.split(","))),
        seconds=options.seconds or (1 if options.quick else 3),
        rounds=options.rounds or (1 if options.quick else 3),
        routers=options.routers,
    )
    return plan, options


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    """A termination leaves the `with` blocks like an interrupt does, so no server stays behind."""
    raise SystemExit(143)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 when measured, 1 when a target was missed and `--strict` asks, 2 when it cannot be measured."""
    plan, options = _parse(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        find_tool("wrk", "wrk")
        with tempfile.TemporaryDirectory(prefix="llm-relay-bench-") as folder, ExitStack() as running:
            cells, costs = Bench(plan, Path(folder), running).run()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(json.dumps(as_data(cells, costs), indent=2) if options.format == "json" else as_text(cells, costs))
    return int(options.strict and not all(verdict.ok for verdict in verdicts(cells, costs)))


if __name__ == "__main__":
    sys.exit(main())
