"""``llm-relay usage``."""

from __future__ import annotations

import argparse
import sys
import time

from gateway.cli.options import FINDINGS, OK, age, data, style


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    usage = commands.add_parser("usage", help="show what was used, from the ledger", allow_abbrev=False)
    usage.add_argument("--by", choices=("router", "candidate", "tag", "client", "day"), default="router")
    usage.add_argument("--since", type=age, default="7d", metavar="AGE", help="such as 12h or 7d (the default)")
    data(usage)
    style(usage, "text", "json", "csv")
    usage.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the ledger's sums."""
    from gateway.ledger import LedgerUnreadable, summary
    from gateway.store import FILE
    from gateway.usage import render

    try:
        sums = summary(options.data / FILE, by=options.by, since=time.time() - options.since)
    except LedgerUnreadable as error:
        print(f"llm-relay usage: {error}", file=sys.stderr)
        return FINDINGS
    print(render(sums, by=options.by, style=options.format), end="")
    return OK
