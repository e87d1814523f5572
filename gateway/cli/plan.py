"""``llm-relay plan``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.options import FINDINGS, OK, USAGE, age, folder, style

if TYPE_CHECKING:
    from gateway.config.problems import Problem
    from gateway.plan.report import Report

_DAY = 86400.0


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    plan = commands.add_parser("plan", help="show what a change to the configuration does", allow_abbrev=False)
    folder(plan)
    plan.add_argument(
        "--base", required=True, metavar="REF-or-DIR", help="compare with this folder, or with DIR as of this git commit"
    )
    traffic = plan.add_mutually_exclusive_group()
    traffic.add_argument(
        "--corpus", type=Path, metavar="FILE", help="example requests to decide under both, one JSON object a line or a YAML list"
    )
    traffic.add_argument("--replay", type=Path, metavar="DATA", help="the data folder of a gateway, for its past traffic")
    plan.add_argument("--since", type=age, default="30d", metavar="AGE", help="how far --replay looks back, default 30d")
    style(plan, "text", "json", "markdown")
    plan.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the plan; 1 if the configuration is not valid, 2 if there is nothing to compare it with."""
    from gateway.config.load import Loader
    from gateway.ledger import LedgerUnreadable, traffic
    from gateway.plan.base import BaseError, checked_out
    from gateway.plan.corpus import CorpusError, read
    from gateway.plan.make import NOTHING, make
    from gateway.store import FILE

    # One loader for both: a file that is the same on both sides is parsed once.
    loader = Loader(os.environ, require_keys=False)
    try:
        with checked_out(options.base, options.folder) as base:
            before = None if base.missing else loader.load(base.folder)
            after = loader.load(options.folder)
            if after.snapshot is None:
                _refuse([problem for problem in after.problems if problem.severity == "error"], options.format)
                return FINDINGS
            old = NOTHING if before is None else before.snapshot
            if old is None:
                raise BaseError(f"{base.name} is not a valid configuration: {before.problems[0] if before else ''}")
            report = make(
                base,
                old,
                str(options.folder),
                after.snapshot,
                samples=None if options.corpus is None else read(options.corpus),
                ledger=traffic(options.replay / FILE, since=time.time() - options.since) if options.replay else None,
                days=options.since / _DAY if options.replay else None,
            )
    except (BaseError, CorpusError, LedgerUnreadable) as error:
        print(f"llm-relay plan: {error}", file=sys.stderr)
        return USAGE
    print(_printed(report, options.format), end="")
    return OK
