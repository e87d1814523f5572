"""``llm-relay intelligence``: refresh, show, prune, export, apply."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.cli.options import FINDINGS, OK, USAGE, age, data, folder, style

if TYPE_CHECKING:
    from gateway.config.model import Router, Snapshot
    from gateway.intelligence.assessment import Assessments
    from gateway.intelligence.refresh import Result
    from gateway.intelligence.store import ChromaStore

_Run = Callable[[argparse.Namespace, "Snapshot", "list[Router]"], int]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its verbs."""
    parser = commands.add_parser("intelligence", help="web assessments of the candidates", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str, run: _Run) -> argparse.ArgumentParser:
        found = verbs.add_parser(name, help=text, allow_abbrev=False)
        folder(found)
        found.add_argument("--router", action="append", metavar="NAME", help="only this router; may be repeated")
        data(found)
        found.set_defaults(run=lambda options: _with_routers(options, run))
        return found

    refresh = verb("refresh", "search, sum up, and keep what was found", _refresh)
    refresh.add_argument("--force", action="store_true", help="also where the assessment is young enough")
    text = "an assessment younger than this is left alone, such as 12h or 7d (the default)"
    refresh.add_argument("--max-age", type=age, default="7d", metavar="AGE", help=text)
    text = "for how long assessments are used, such as 30d (the default)"
    refresh.add_argument("--lifetime", type=age, default="30d", metavar="AGE", help=text)
    refresh.add_argument("--dry-run", action="store_true", help="say what would be asked, and ask nothing")
    show = verb("show", "print assessments with their sources and age", _show)
    show.add_argument("--stored", action="store_true", help="what is in ChromaDB, also where routers use files")
    style(show, "text", "json")
    prune = verb("prune", "forget what has expired, and what no router has any more", _prune)
    prune.add_argument("--dry-run", action="store_true", help="only say what would go")
    verb("export", "write what is stored into DIR/intelligence, one file a router, for review", _export)
    verb("apply", "store what DIR/intelligence holds", _apply)


def _with_routers(options: argparse.Namespace, run: _Run) -> int:
    """Run a verb over the routers that are meant."""
    from gateway.config.load import load
    from gateway.config.problems import did_you_mean
    from gateway.config.report import render
    from gateway.intelligence.lockfile import LockfileError
    from gateway.intelligence.store import StoreError

    # Only a refresh dials somebody who asks for a key.
    loaded = load(options.folder, os.environ, require_keys=run is _refresh and not options.dry_run)
    if loaded.snapshot is None:
        print(render(loaded.problems, "text"), end="", file=sys.stderr)
        return FINDINGS
    known = loaded.snapshot.routers
    for name in options.router or ():
        if name not in known:
            remedy = did_you_mean(name, known, ", ".join(known))
            return _say(f"no router {name!r}; {remedy}", USAGE)
        if known[name].intelligence is None:
            return _say(f"the router {name!r} has no intelligence block", USAGE)
    routers = [
        router
        for router in known.values()
        if router.intelligence is not None and (not options.router or router.name in options.router)
    ]
    try:
        return run(options, loaded.snapshot, routers)
    except (StoreError, LockfileError) as error:
        return _say(str(error), FINDINGS)
    except OSError as error:
        return _say(f"{error.filename}: {error.strerror}", FINDINGS)


def _say(message: str, status: int) -> int:
    print(f"llm-relay intelligence: {message}", file=sys.stderr)
    return status


def _store(options: argparse.Namespace) -> ChromaStore:
    from gateway.intelligence.store import ChromaStore, place

    return ChromaStore(place(options.data, os.environ))


def _stored(options: argparse.Namespace, routers: list[Router]) -> Assessments:
    store = _store(options)
    found: Assessments = {}
    for router in routers:
        found |= store.get(router.name, [candidate.id for candidate in router.candidates])
    return found


def _refresh(options: argparse.Namespace, snapshot: Snapshot, routers: list[Router]) -> int:
    from gateway.intelligence.refresh import tasks
    from gateway.intelligence.report import Progress, table

    wanted = tasks(routers)
    if not wanted:
        print("no router has an intelligence block")
        return OK
    progress = Progress(sys.stdout, len(wanted))
    results = asyncio.run(_ask(options, snapshot, progress.told, routers))
    progress.end()
    print(table(results), end="")
    return FINDINGS if any(result.outcome == "failed" for result in results) else OK


async def _ask(
    options: argparse.Namespace, snapshot: Snapshot, told: Callable[[Result], None], routers: list[Router]
) -> list[Result]:
    from gateway.intelligence.fetch import Fetch
    from gateway.intelligence.refresh import Refresh, tasks
    from gateway.intelligence.summarise import Summariser
    from gateway.sandbox import SandboxTransport
    from gateway.upstream import Upstream

    store = _store(options)
    known: Assessments = {}
    for router in routers:
        known |= store.get(router.name, [candidate.id for candidate in router.candidates])
    upstream = Upstream(sandbox=SandboxTransport())
    try:
        async with Fetch() as fetch:
            run = Refresh(
                fetch=fetch,
                summariser=Summariser(upstream, clock=time.time, lifetime=options.lifetime),
                put=store.put,
                known=known,
                search=snapshot.search,
                environ=os.environ,
                max_age=options.max_age,
                force=options.force,
                dry_run=options.dry_run,
                told=told,
            )
            return await run.run(tasks(routers))
    finally:
        await upstream.aclose()


def _show(options: argparse.Namespace, snapshot: Snapshot, routers: list[Router]) -> int:
    import msgspec

    from gateway.intelligence import lockfile
    from gateway.intelligence.report import render

    sources = {router.name: router.intelligence.source for router in routers if router.intelligence is not None}
    stored = [router for router in routers if options.stored or sources[router.name] == "chroma"]
    found = _stored(options, stored) if stored else {}
    for router in routers:
        if router not in stored:
            found |= lockfile.read(options.folder, router.name)
    if options.format == "json":
        print(msgspec.json.encode(list(found.values())).decode())
    else:
        print(render(found, now=time.time()), end="")
    return OK


def _prune(options: argparse.Namespace, snapshot: Snapshot, routers: list[Router]) -> int:
    store = _store(options)
    now = time.time()
    used = {
        (router.name, each.id)
        for router in snapshot.routers.values()
        if router.intelligence
        for each in router.candidates
    }
    gone = []
    for key, assessment in store.all().items():
        if options.router and key[0] not in options.router:
            continue
        reason = "no router has it" if key not in used else "it has expired" if assessment.expires <= now else ""
        if reason:
            gone.append(key)
            print(f"{key[0]}  {key[1]}  {reason}")
    if not options.dry_run:
        store.delete(gone)
    print(f"{len(gone)} {'would be ' if options.dry_run else ''}removed")
    return OK


def _export(options: argparse.Namespace, snapshot: Snapshot, routers: list[Router]) -> int:
    from gateway.intelligence import lockfile

    found = _stored(options, routers)
    for router in routers:
        mine = [each for key, each in found.items() if key[0] == router.name]
        if mine:
            print(f"{lockfile.write(options.folder, router.name, mine)}: {len(mine)} assessments")
    return OK


def _apply(options: argparse.Namespace, snapshot: Snapshot, routers: list[Router]) -> int:
    from gateway.intelligence import lockfile

    # All files are read before the first is stored: a mistake in one of them must not leave half of a review.
    found = {router.name: lockfile.read(options.folder, router.name) for router in routers}
    store = _store(options)
    for router in routers:
        ids = [candidate.id for candidate in router.candidates]
        before, after = store.get(router.name, ids), found[router.name]
        if not after:
            continue
        changed = [each for key, each in after.items() if before.get(key) != each]
        for each in changed:
            store.put(each)
        removed = [key for key in before if key not in after]
        store.delete(removed)
        print(f"{router.name}: {len(changed)} stored, {len(removed)} removed, {len(after) - len(changed)} unchanged")
    return OK
