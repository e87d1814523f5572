"""`python -m tests.bench`: measure, print one table, and hold the figures against their targets."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

from .load import CASES
from .machine import BenchError, find_tool
from .report import as_data, as_text, verdicts
from .run import Bench, Plan

# Cases, connections, rounds. The quick ones are what the targets need.
_FULL = ("plain,smart,stream,paced,translated", "1,16,64,256", 5)
_QUICK = ("plain,smart,stream,translated", "1,16", 3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 when measured, 1 when a target was missed and `--strict` asks, 2 when it cannot be measured."""
    parser = _parser()
    options = parser.parse_args(arguments)
    plan = _plan(options, parser)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        find_tool("wrk")
        with tempfile.TemporaryDirectory(prefix="llm-relay-bench-") as folder, ExitStack() as running:
            cells, costs = Bench(plan, Path(folder), running).run()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(json.dumps(as_data(cells, costs), indent=2) if options.format == "json" else as_text(cells, costs))
    return int(options.strict and not all(verdict.ok for verdict in verdicts(cells, costs)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the gateway beside nginx.")
    parser.add_argument("--quick", action="store_true", help="only what the targets need: a minute instead of four")
    parser.add_argument("--cases", help=f"default: {_FULL[0]}; quick: {_QUICK[0]}")
    parser.add_argument("--connections", help=f"default: {_FULL[1]}; quick: {_QUICK[1]}")
    parser.add_argument("--rounds", type=int, help=f"the median counts; default: {_FULL[2]}; quick: {_QUICK[2]}")
    parser.add_argument("--seconds", type=int, default=1, help="of one measurement; default: %(default)s")
    parser.add_argument("--routers", type=int, default=1000, help="to validate and reload; default: %(default)s")
    parser.add_argument("--gateway", help="the command to measure, such as another checkout's; default: this one's")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a figure is over its target")
    return parser


def _plan(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Plan:
    cases, connections, rounds = _QUICK if options.quick else _FULL
    wanted = (options.cases or cases).split(",")
    if unknown := set(wanted).difference(case.name for case in CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    return Plan(
        gateway=tuple(shlex.split(options.gateway)) if options.gateway else (sys.executable, "-m", "gateway"),
        cases=tuple(case for case in CASES if case.name in wanted),
        connections=tuple(map(int, (options.connections or connections).split(","))),
        seconds=options.seconds,
        rounds=options.rounds or rounds,
        routers=options.routers,
    )


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    """A termination leaves the `with` blocks like an interrupt does, so no server stays behind."""
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main())
