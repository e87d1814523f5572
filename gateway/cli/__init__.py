"""The command line: one module per command, each importing what it needs only when it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from gateway import __version__
from gateway.cli import dashboards, explain, intelligence, plan, schema, serve, test, usage, validate
from gateway.cli.options import OK

COMMANDS = (serve, validate, plan, test, explain, usage, intelligence, dashboards, schema)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="llm-relay", description="A declarative, GitOps-driven LLM gateway.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"llm-relay {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    options = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough; say nothing more, not at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
