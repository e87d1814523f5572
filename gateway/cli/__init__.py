"""The command line: one module per command, each importing what it needs only when it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from gateway import __version__
from gateway.cli import dashboards, explain, intelligence, plan, schema, serve, test, usage, validate
from gateway.cli.options import OK, USAGE, said

COMMANDS = (serve, validate, plan, test, explain, usage, intelligence, dashboards, schema)


def parser() -> argparse.ArgumentParser:
    """What can be written on the command line."""
    parser = argparse.ArgumentParser(
        prog="llm-relay", description="A declarative, GitOps-driven LLM gateway.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"llm-relay {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        status = run(options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        _hush()
        return OK
    except OSError as error:
        # A folder that cannot be written, a full disk.
        print(f"llm-relay {options.command}: {said(error)}", file=sys.stderr)
        _hush()
        return USAGE


def _hush() -> None:
    """Print nothing more, not at exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
