"""``llm-relay validate``."""

from __future__ import annotations

import argparse
import os

from gateway.cli.options import FINDINGS, OK, folder, style


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    validate = commands.add_parser("validate", help="show all problems of a configuration", allow_abbrev=False)
    folder(validate)
    style(validate, "text", "json", "github")
    validate.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show every problem; nothing is dialled."""
    from gateway.config.load import load
    from gateway.config.report import render

    loaded = load(options.folder, os.environ)
    text = render(loaded.problems, options.format)
    if text:
        print(text, end="" if text.endswith("\n") else "\n")
    if loaded.snapshot is None:
        return FINDINGS
    if options.format == "text":
        routers = len(loaded.snapshot.routers)
        print(f"{options.folder}: {routers} {'router' if routers == 1 else 'routers'}, revision {loaded.revision}: ok")
    return OK
