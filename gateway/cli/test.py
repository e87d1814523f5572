"""``llm-relay test``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.options import FINDINGS, OK, USAGE, folder, said, style, whole

if TYPE_CHECKING:
    from gateway.cases.report import Report
    from gateway.cases.run import Settings
    from gateway.config.model import Router, Snapshot
    from gateway.generation import Generation
    from gateway.intelligence.reading import Beside

#: How often a test is run where its candidates are permuted and nobody says how often.
_PERMUTATIONS = 5


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    test = commands.add_parser("test", help="run the routers' own tests", allow_abbrev=False)
    folder(test)
    test.add_argument("--router", action="append", metavar="NAME", help="only this router's tests; may be repeated")
    test.add_argument("--live", action="store_true", help="ask the designators, whatever is recorded")
    text = "ask the designators for what is not recorded (with --live: for everything), and write it down"
    test.add_argument("--record", action="store_true", help=text)
    times = whole(1, 1000, "number of runs")
    test.add_argument("--repeat", type=times, metavar="N", help="run every test N times; default 1")
    text = f"name the candidates in other orders at every repeat (default: {_PERMUTATIONS} runs)"
    test.add_argument("--permute", action="store_true", help=text)
    text = "the part of the repeats, 0 to 1, that may choose another candidate"
    test.add_argument("--max-flips", type=_part, metavar="PART", help=text)
    text = "the part of the runs, 0 to 1, that must go as expected; default: every test passes"
    test.add_argument("--min-accuracy", type=_part, metavar="PART", help=text)
    style(test, "text", "json", "junit", "github")
    text = "write the report there, and the text to the terminal"
    test.add_argument("--output", type=Path, metavar="FILE", help=text)
    test.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Report what comes of the tests; 1 if that is not good enough."""
    from gateway.cases.report import Gates
    from gateway.cases.run import Settings
    from gateway.cases.show import show
    from gateway.config.load import load
    from gateway.config.report import render
    from gateway.generation import Generation
    from gateway.intelligence.lockfile import LockfileError
    from gateway.intelligence.reading import beside

    # Nothing is sent to a candidate, and a designator's key is asked for where it is needed.
    loaded = load(options.folder, os.environ, require_keys=False)
    if loaded.snapshot is None:
        print(render(loaded.problems, "text"), end="", file=sys.stderr)
        return FINDINGS
    settings = Settings(
        asking="always" if options.live else "unrecorded" if options.record else "never",
        record=options.record,
        repeat=options.repeat or (_PERMUTATIONS if options.permute else 1),
        permute=options.permute,
        gates=Gates(options.min_accuracy, options.max_flips),
    )
    try:
        routers = _chosen(loaded.snapshot, options.router)
        _check_possible(routers, settings)
        # A commit gives the same result every day: what files say counts, also after it has expired.
        known = beside(options.folder, loaded.snapshot, time.time())
        report = asyncio.run(_run(options.folder, Generation(loaded.snapshot, known.texts), routers, settings, known))
        text = show(report, options.format)
        if options.output is not None:
            options.output.write_text(text, encoding="utf-8")
            text = show(report, "text")
    except LockfileError as error:
        style = "github" if options.format == "github" else "text"
        print(render(error.problems, style), end="", file=sys.stdout if style == "github" else sys.stderr)
        return FINDINGS
    except (_Impossible, OSError) as error:
        print(f"llm-relay test: {said(error) if isinstance(error, OSError) else error}", file=sys.stderr)
        return USAGE
    print(text, end="")
    return OK if report.ok else FINDINGS


class _Impossible(Exception):
    """What is asked for cannot be done; the message says what to do instead."""


def _chosen(snapshot: Snapshot, names: Sequence[str] | None) -> list[Router]:
    from gateway.config.problems import did_you_mean

    for name in names or ():
        if name not in snapshot.routers:
            remedy = did_you_mean(name, snapshot.routers, f"there are {', '.join(snapshot.routers)}")
            raise _Impossible(f"there is no router {name!r}; {remedy}")
    return [router for name, router in snapshot.routers.items() if not names or name in names]


def _check_possible(routers: Sequence[Router], settings: Settings) -> None:
    """Raises where a designator would have to be asked that may not be, or cannot be."""
    from gateway.config.secrets import stands_in

    for router in routers:
        provider = router.designator.model.provider
        if provider.sandbox or not router.tests:
            continue
        if settings.asking == "never" and settings.repeat > 1:
            raise _Impossible(f"to repeat the tests of {router.name} its designator must be asked: add --live")
        if settings.asking != "never" and provider.key is not None and stands_in(provider.key):
            missing = provider.key.reference
            raise _Impossible(f"to ask the designator of {router.name} the key of {provider.name} is needed: {missing}")


async def _run(
    folder: Path, generation: Generation, routers: Sequence[Router], settings: Settings, known: Beside
) -> Report:
    from gateway.cases.run import run
    from gateway.rehearsal.rehearse import way_out

    dial = way_out()
    shown = sys.stderr.isatty() and settings.asking != "never"
    try:
        return await run(folder, generation, routers, dial, settings, _progress if shown else _silence, known)
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
        await dial.aclose()


def _progress(router: str, done: int, total: int) -> None:
    sys.stderr.write(f"\r\x1b[K{router}: {done} of {total} tests")
    sys.stderr.flush()


def _silence(router: str, done: int, total: int) -> None:
    pass


def _part(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0.0 <= value <= 1.0:
        return value
    raise argparse.ArgumentTypeError(f"{text!r} is no part of a whole: give 0 to 1, as in 0.9")
