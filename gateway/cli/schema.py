"""``llm-relay schema build``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gateway.cli.options import OK


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    schema = commands.add_parser("schema", help="the JSON Schemas of the configuration", allow_abbrev=False)
    actions = schema.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = actions.add_parser("build", help="write them", allow_abbrev=False)
    build.add_argument("folder", nargs="?", type=Path, default=Path("schemas"), metavar="DIR", help="default schemas")
    build.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the schemas and name the files."""
    from gateway.config.schema import build

    for path in build(options.folder):
        print(path)
    return OK
