"""``llm-relay plan``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.options import FINDINGS, OK, USAGE, age, folder, style

if TYPE_CHECKING:
    from gateway.generation import Generation
    from gateway.plan.answers import Asked
    from gateway.plan.corpus import Sample
    from gateway.plan.moves import Answers

_DAY = 86400.0


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    plan = commands.add_parser("plan", help="show what a change to the configuration does", allow_abbrev=False)
    folder(plan)
    text = "compare with this folder, or with DIR as of this git commit"
    plan.add_argument("--base", required=True, metavar="REF-or-DIR", help=text)
    text = "example requests to decide under both: one JSON object a line, or a YAML list"
    requests = plan.add_mutually_exclusive_group()
    requests.add_argument("--corpus", type=Path, metavar="FILE", help=text)
    text = "a gateway's data folder: what its past traffic says; sampled requests are decided under both"
    requests.add_argument("--replay", type=Path, metavar="DATA", help=text)
    text = "with --corpus or --replay: ask designators what is not recorded; this costs, and needs their keys"
    plan.add_argument("--live", action="store_true", help=text)
    plan.add_argument(
        "--since", type=age, default="30d", metavar="AGE", help="how far --replay looks back; default 30d"
    )
    style(plan, "text", "json", "markdown")
    plan.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the plan; 1 if the configuration is not valid, 2 if there is nothing to compare it with."""
    from gateway.config import files
    from gateway.config.load import Loader
    from gateway.generation import Generation
    from gateway.intelligence.lockfile import LockfileError
    from gateway.intelligence.reading import beside
    from gateway.ledger import LedgerUnreadable, traffic
    from gateway.plan.answers import KeyMissing, first, recorded, sandbox
    from gateway.plan.assessments import Sides
    from gateway.plan.base import BaseError, checked_out
    from gateway.plan.corpus import CorpusError, check_routers, read
    from gateway.plan.drawn import draw
    from gateway.plan.make import make, start
    from gateway.plan.show import refused, show
    from gateway.rehearsal.recordings import RecordingsUnreadable
    from gateway.store import FILE

    # One loader for both sides: a file that is the same on both is parsed once.
    loader = Loader(os.environ, require_keys=False)
    try:
        if options.live and options.corpus is None and options.replay is None:
            raise CorpusError("--live has nothing to ask without --corpus or --replay")
        since = time.time() - options.since
        samples = None if options.corpus is None else read(options.corpus)
        past = None if options.replay is None else traffic(options.replay / FILE, since=since)
        with checked_out(options.base, options.folder) as base:
            # One moment for both sides, and no decision hangs on it: it only tells what has expired.
            now = time.time()
            old, was = start(base, loader, options.folder, now)
            loaded = loader.compile(files.read(options.folder))
            if loaded.snapshot is None:
                print(refused(loaded.problems, options.format), end="")
                return FINDINGS
            known = beside(options.folder, loaded.snapshot, now)
            new = Generation(loaded.snapshot, known.texts)
            check_routers(samples or (), old.policies, new.policies)
            drawn = None if options.replay is None else draw(options.replay / FILE, old, new, since=since)
            asking = samples if drawn is None else drawn.samples
            answers, asked = first(sandbox, recorded((options.folder, base.folder))), None
            if options.live and asking:
                answers, asked = _ask(asking, old, new, answers)
            report = make(
                base,
                old,
                str(options.folder),
                new,
                samples=samples,
                answers=answers,
                asked=asked,
                ledger=past,
                drawn=drawn,
                # A comment and what a machine keeps are read by more people than the gateway's data is.
                discreet=options.format != "text",
                days=None if past is None else options.since / _DAY,
                sides=Sides(was, known),
                folder=options.folder,
            )
    except LockfileError as error:
        print(refused(error.problems, options.format), end="")
        return FINDINGS
    except (BaseError, CorpusError, KeyMissing, LedgerUnreadable, RecordingsUnreadable) as error:
        print(f"llm-relay plan: {error}", file=sys.stderr)
        return USAGE
    print(show(report, options.format), end="")
    return OK


def _ask(samples: Sequence[Sample], old: Generation, new: Generation, known: Answers) -> tuple[Answers, Asked]:
    """Put what is not ``known`` to the designators."""
    from gateway.plan.answers import first, live
    from gateway.plan.moves import open_questions
    from gateway.rehearsal.rehearse import way_out

    answers, asked = asyncio.run(live(open_questions(samples, (old, new), known), way_out))
    return first(known, answers), asked
