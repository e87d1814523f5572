"""``llm-relay usage``."""

from __future__ import annotations

import argparse
import sys
import time

from gateway.cli.options import FINDINGS, OK, age, data, style


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    usage = commands.add_parser("usage", help="show what was used, from the ledger", allow_abbrev=False)
    by = ("router", "candidate", "tag", "client", "day")
    usage.add_argument("--by", choices=by, default="router", help="what each line is for; default router")
    usage.add_argument("--since", type=age, default="7d", metavar="AGE", help="such as 12h or 7d (the default)")
    data(usage)
    style(usage, "text", "json", "csv")
    usage.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the ledger's sums."""
    from gateway.ledger import LedgerUnreadable, account
    from gateway.store import FILE
    from gateway.usage import Report, render

    since = time.time() - options.since
    try:
        groups, total = account(options.data / FILE, by=options.by, since=since)
    except LedgerUnreadable as error:
        print(f"llm-relay usage: {error}", file=sys.stderr)
        return FINDINGS
    print(render(Report(options.by, since, groups, total), style=options.format), end="")
    return OK
