"""``llm-relay explain``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.options import FINDINGS, OK, USAGE, data, folder, said, style

if TYPE_CHECKING:
    from gateway.chat import ChatRequest
    from gateway.config.model import Router
    from gateway.explain.assessments import Background
    from gateway.explain.views import Explanation
    from gateway.generation import Generation

_UNREAD = (
    "they are in ChromaDB, which is not asked here: --stored asks it; a running gateway shows what it has read "
    "(POST /status/explain)"
)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    explain = commands.add_parser("explain", help="show one decision, step by step", allow_abbrev=False)
    explain.add_argument("router", metavar="ROUTER")
    folder(explain)
    explain.add_argument("--ask", metavar="TEXT", help="the user's text")
    text = "what comes before it: a list of messages, or a whole request, as in the OpenAI API"
    explain.add_argument("--messages", type=Path, metavar="FILE", help=text)
    explain.add_argument("--live", action="store_true", help="ask the designator, whatever is recorded")
    text = "read assessments that are kept in ChromaDB: at $CHROMA_URL, else below --data"
    explain.add_argument("--stored", action="store_true", help=text)
    data(explain)
    style(explain, "text", "json")
    explain.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Explain one request; nothing is sent to a candidate."""
    import msgspec

    from gateway.config.load import load
    from gateway.config.problems import did_you_mean
    from gateway.config.report import render as problems
    from gateway.config.secrets import stands_in
    from gateway.errors import BadRequest
    from gateway.explain.steps import request_of
    from gateway.explain.text import render
    from gateway.generation import Generation
    from gateway.intelligence.lockfile import LockfileError
    from gateway.intelligence.reading import texts
    from gateway.intelligence.store import StoreError
    from gateway.rehearsal.recordings import RecordingsUnreadable

    if options.ask is None and options.messages is None:
        return _wrong("give a request: --ask TEXT, or --messages FILE")
    loaded = load(options.folder, os.environ, require_keys=False)
    if loaded.snapshot is None:
        print(problems(loaded.problems, "text"), end="", file=sys.stderr)
        return FINDINGS
    plain = Generation(loaded.snapshot)
    router = plain.router(options.router)
    if router is None:
        names = loaded.snapshot.routers
        return _wrong(f"no router {options.router!r}; {did_you_mean(options.router, names, ', '.join(names))}")
    key = router.designator.model.provider.key
    if options.live and key is not None and stands_in(key):
        return _wrong(f"to ask the designator a key is needed: {key.reference}")
    try:
        given = None if options.messages is None else _read(options.messages)
        request = request_of(router.name, given, options.ask)
        background = _background(options, router, time.time())
        # As the gateway would have it now, hence without what has expired.
        generation = Generation(loaded.snapshot, texts(loaded.snapshot, background.known, background.now))
        explanation = asyncio.run(_explain(options.folder, generation, router, request, background, options.live))
    except LockfileError as error:
        print(problems(error.problems, "text"), end="", file=sys.stderr)
        return FINDINGS
    except StoreError as error:
        print(f"llm-relay explain: {error}", file=sys.stderr)
        return FINDINGS
    except OSError as error:
        return _wrong(said(error))
    except (BadRequest, RecordingsUnreadable) as error:
        return _wrong(str(error))
    if options.format == "json":
        print(msgspec.json.format(msgspec.json.encode(explanation), indent=2).decode())
    else:
        print(render(explanation), end="")
    return OK


def _read(path: Path) -> Any:
    """What a file of JSON holds. Raises OSError, and BadRequest where it is none."""
    import msgspec

    from gateway.errors import BadRequest

    try:
        return msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest("invalid_json", f"{path} is not JSON: {error}") from error


def _background(options: argparse.Namespace, router: Router, now: float) -> Background:
    """What is known of the router's assessments. Raises LockfileError and StoreError."""
    from gateway.explain.assessments import Background
    from gateway.intelligence import lockfile
    from gateway.intelligence.store import ChromaStore, place

    if router.intelligence is None:
        return Background(now)
    if router.intelligence.source == "file":
        return Background(now, lockfile.read(options.folder, router.name))
    if not options.stored:
        return Background(now, unread=_UNREAD)
    ids = [candidate.id for candidate in router.candidates]
    return Background(now, ChromaStore(place(options.data, os.environ)).get(router.name, ids))


async def _explain(
    folder: Path,
    generation: Generation,
    router: Router,
    request: ChatRequest,
    background: Background,
    live: bool,
) -> Explanation:
    from gateway.explain.steps import explain
    from gateway.rehearsal.recordings import load
    from gateway.rehearsal.rehearse import way_out

    dial = way_out()
    try:
        return await explain(
            generation,
            router,
            request,
            dial,
            background,
            asking="always" if live else "never",
            recordings=load(folder, generation.policies[router.name]),
        )
    finally:
        await dial.aclose()


def _wrong(message: str) -> int:
    print(f"llm-relay explain: {message}", file=sys.stderr)
    return USAGE
