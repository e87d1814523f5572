"""``llm-relay explain``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.options import FINDINGS, OK, USAGE, folder, style

if TYPE_CHECKING:
    from gateway.chat import ChatRequest
    from gateway.config.model import Router
    from gateway.explain import Explanation
    from gateway.generation import Generation


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    explain = commands.add_parser("explain", help="show one decision, step by step", allow_abbrev=False)
    explain.add_argument("router", metavar="ROUTER")
    folder(explain)
    explain.add_argument("--ask", metavar="TEXT", help="the user's text")
    text = "what comes before it: a list of messages, or a whole request, as in the OpenAI API"
    explain.add_argument("--messages", type=Path, metavar="FILE", help=text)
    explain.add_argument("--live", action="store_true", help="ask the designator, whatever is recorded")
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
    from gateway.explain import render, request_of
    from gateway.generation import Generation
    from gateway.rehearsal.recordings import RecordingsUnreadable

    if options.ask is None and options.messages is None:
        return _wrong("give a request: --ask TEXT, or --messages FILE")
    loaded = load(options.folder, os.environ, require_keys=False)
    if loaded.snapshot is None:
        print(problems(loaded.problems, "text"), end="", file=sys.stderr)
        return FINDINGS
    generation = Generation(loaded.snapshot)
    router = generation.router(options.router)
    if router is None:
        names = loaded.snapshot.routers
        return _wrong(f"no router {options.router!r}; {did_you_mean(options.router, names, ', '.join(names))}")
    key = router.designator.model.provider.key
    if options.live and key is not None and stands_in(key):
        return _wrong(f"to ask the designator a key is needed: {key.reference}")
    try:
        given = None if options.messages is None else msgspec.json.decode(options.messages.read_bytes())
        request = request_of(router.name, given, options.ask)
        explanation = asyncio.run(_explain(options.folder, generation, router, request, options.live))
    except msgspec.DecodeError as error:
        return _wrong(f"{options.messages} is not JSON: {error}")
    except (BadRequest, OSError, RecordingsUnreadable) as error:
        return _wrong(str(error))
    if options.format == "json":
        print(msgspec.json.format(msgspec.json.encode(explanation), indent=2).decode())
    else:
        print(render(explanation), end="")
    return OK


async def _explain(
    folder: Path, generation: Generation, router: Router, request: ChatRequest, live: bool
) -> Explanation:
    from gateway.explain import explain
    from gateway.rehearsal.recordings import load
    from gateway.rehearsal.rehearse import way_out

    dial = way_out()
    try:
        return await explain(
            generation,
            router,
            request,
            dial,
            asking="always" if live else "never",
            recordings=load(folder, generation.policies[router.name]),
        )
    finally:
        await dial.aclose()


def _wrong(message: str) -> int:
    print(f"llm-relay explain: {message}", file=sys.stderr)
    return USAGE
