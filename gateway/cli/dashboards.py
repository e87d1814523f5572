"""``llm-relay dashboards build``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gateway.cli.options import FINDINGS, OK

_MISSING = "llm-relay dashboards: needs grafana-foundation-sdk; pip install 'llm-relay[dashboards]'"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    dashboards = commands.add_parser("dashboards", help="Grafana dashboards and Prometheus rules", allow_abbrev=False)
    actions = dashboards.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = actions.add_parser("build", help="write them", allow_abbrev=False)
    build.add_argument(
        "folder", nargs="?", type=Path, default=Path("dashboards"), metavar="DIR", help="default dashboards"
    )
    build.add_argument(
        "--runbook", default="README.md", metavar="URL", help="where alerts link to: this README, default README.md"
    )
    build.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the files and name them."""
    try:
        from gateway.dashboards import build
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "grafana_foundation_sdk":
            raise
        print(_MISSING, file=sys.stderr)
        return FINDINGS
    for path in build(options.folder, options.runbook):
        print(path)
    return OK
