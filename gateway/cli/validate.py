"""``llm-relay validate``."""

from __future__ import annotations

import argparse
import os
import sys

from gateway.cli.options import FINDINGS, OK, USAGE, folder, style


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    validate = commands.add_parser("validate", help="show all problems of a configuration", allow_abbrev=False)
    folder(validate)
    style(validate, "text", "json", "github")
    validate.add_argument("--explain", metavar="CODE", help="show the page on a code and stop; `all` lists the codes")
    validate.add_argument("--no-keys", action="store_true", help="a key that is missing here is no error, as in CI")
    validate.add_argument("--strict", action="store_true", help="warnings are findings too")
    validate.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show every problem; nothing is dialled."""
    if options.explain is not None:
        return _explain(options.explain, options.format)
    from gateway.config.load import load
    from gateway.config.report import render
    from gateway.intelligence.lockfile import check
    from gateway.lint import lint

    loaded = lint(load(options.folder, os.environ, require_keys=not options.no_keys))
    beside = check(options.folder, loaded.snapshot.routers.values()) if loaded.snapshot is not None else ()
    text = render((*loaded.problems, *beside), options.format)
    if text:
        print(text, end="" if text.endswith("\n") else "\n")
    warnings = sum(problem.severity == "warning" for problem in loaded.problems)
    if loaded.snapshot is None or beside or (options.strict and warnings):
        return FINDINGS
    if options.format == "text":
        routers = len(loaded.snapshot.routers)
        verdict = "ok" if not warnings else f"ok, with {warnings} {'warning' if warnings == 1 else 'warnings'}"
        counted = f"{routers} {'router' if routers == 1 else 'routers'}"
        print(f"{options.folder}: {counted}, revision {loaded.revision}: {verdict}")
    return OK


def _explain(code: str, style: str) -> int:
    import msgspec

    from gateway.config.codes import CODES
    from gateway.config.pages import listing, page
    from gateway.config.problems import did_you_mean

    code = code.upper()
    if code != "ALL" and code not in CODES:
        remedy = did_you_mean(code, CODES, "`--explain all` lists the codes")
        print(f"llm-relay validate: there is no code {code!r}; {remedy}", file=sys.stderr)
        return USAGE
    if style == "json":
        pages = [page(each) for each in CODES] if code == "ALL" else page(code)
        print(msgspec.json.format(msgspec.json.encode(pages)).decode())
    else:
        print(listing() if code == "ALL" else page(code), end="")
    return OK
