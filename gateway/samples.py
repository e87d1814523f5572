"""Samples of requests, of routers that ask for it (``record``): what the designator reads, never more.

One row of ``samples`` is enough to decide a request again under another configuration, which is all that it is for:
the excerpt of the request that a decision is made from, which question the designator was asked (as a digest), and
what was decided. What the request used is in the ledger, under the same request id. Of a conversation that stays with
its candidate (``session``, ``tool_loop``) only the request that decided can be sampled: later ones follow it.

The gateway writes through :class:`Samples`; :func:`read` reads the file from any other process.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from gateway.chat import ChatRequest
from gateway.config.model import Record, Snapshot
from gateway.ledger import reading
from gateway.routing.decide import Decision, Excerpt, Policy, question
from gateway.routing.designator import Brief, in_brief, user_prompt
from gateway.routing.eligible import Needs, needs
from gateway.store import Lane, Store
from gateway.wire.text import has_key

#: Decisions that follow an earlier one.
FOLLOWING = frozenset({"session", "tool_loop"})
#: The newest samples that are kept, of one router and of all together. One is 1 to 6 KB.
MOST_OF_ONE, MOST = 10_000, 50_000

#: Samples that wait for the disk; then the oldest are dropped.
_WAITING = 2_000
_DAY = 86400.0
_PRUNE_EVERY = 60.0
_PRUNE_ROWS = 1_000

_INSERT = """
    INSERT INTO samples
    (time, request_id, router, revision, prompt, designator, question, decision, candidate, needs, brief)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ROUTERS = "SELECT DISTINCT router FROM samples"
_COUNT, _COUNT_OF_ONE = "SELECT count(*) FROM samples", "SELECT count(*) FROM samples WHERE router = ?"
_PRUNE_OLD = """
    DELETE FROM samples WHERE id IN (SELECT id FROM samples WHERE router = ? AND time < ? ORDER BY time LIMIT ?)
"""
_PRUNE_OLDEST_OF_ONE = """
    DELETE FROM samples WHERE id IN (SELECT id FROM samples WHERE router = ? ORDER BY time, id LIMIT ?)
"""
_PRUNE_OLDEST = "DELETE FROM samples WHERE id IN (SELECT id FROM samples ORDER BY id LIMIT ?)"
_READ = """
    SELECT samples.time, samples.request_id, samples.router, samples.question, samples.decision, samples.candidate,
        samples.needs, samples.brief, ledger.input, ledger.output
    FROM samples LEFT JOIN ledger ON ledger.request_id = samples.request_id
    WHERE samples.time >= ? AND samples.router IN (SELECT value FROM json_each(?))
    ORDER BY samples.time DESC, samples.id DESC LIMIT ?
"""
_THERE_IS_NONE = "SELECT count(*) = 0 FROM sqlite_master WHERE name = 'samples'"


class Taken(msgspec.Struct, frozen=True):
    """A sample on its way to the file."""

    time: float
    request_id: str
    revision: str
    policy: Policy
    excerpt: Excerpt
    decision: Decision


class Sampled(msgspec.Struct, frozen=True):
    """A sample as it was kept."""

    time: float
    request_id: str
    router: str
    #: The digest of what the designator was asked; empty where it was not asked, since one candidate alone could serve.
    question: str
    decision: str
    #: Who was decided on, whoever answered in the end.
    candidate: str
    excerpt: Excerpt
    #: Tokens that the request took, as far as the ledger knows.
    input: int | None = None
    output: int | None = None


class Samples:
    """The writing side. ``chance`` gives numbers from 0 to 1, below 1; ``clock`` gives seconds since 1970."""

    def __init__(
        self,
        store: Store,
        snapshot: Snapshot,
        *,
        most: int = MOST,
        most_of_one: int = MOST_OF_ONE,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._chance = chance
        self._clock = clock
        self._fresh = 0
        self._records: Mapping[str, Record] = {}
        self.follow(snapshot)
        self._lane: Lane[Taken] = store.lane(self._write, _WAITING)
        self._pruning = store.every(_PRUNE_EVERY, self.prune)

    def follow(self, snapshot: Snapshot) -> None:
        """Keep what the routers of ``snapshot`` allow; the store's thread looks at it when it prunes."""
        self._records = {name: router.record for name, router in snapshot.routers.items() if router.record is not None}

    def offer(
        self, request_id: str, at: float, revision: str, policy: Policy, request: ChatRequest, decision: Decision
    ) -> None:
        """Take a sample of a request that was decided, or let it go, as its router and chance have it."""
        record = policy.router.record
        if record is None or decision.reason in FOLLOWING or self._chance() >= record.sample:
            return
        wanted = needs(request)
        excerpt = Excerpt(wanted, in_brief(request, wanted, decision.eligible))
        self._lane.add(Taken(at, request_id, revision, policy, excerpt, decision))

    def prune(self, connection: sqlite3.Connection) -> bool:
        """Deletes some of what must not be kept any longer; True if there may be more. In the store's thread."""
        self._fresh = 0
        records, now = self._records, self._clock()
        # What was said is gone then, not only unlinked: SQLite fills the space with zeros.
        connection.execute("PRAGMA secure_delete=ON")
        try:
            deleted = 0
            for (router,) in connection.execute(_ROUTERS).fetchall():
                record = records.get(router)
                cutoff = float("inf") if record is None else now - record.days * _DAY
                deleted += connection.execute(_PRUNE_OLD, (router, cutoff, _PRUNE_ROWS - deleted)).rowcount
                (count,) = connection.execute(_COUNT_OF_ONE, (router,)).fetchone()
                surplus = min(max(count - self._most_of_one, 0), _PRUNE_ROWS - deleted)
                deleted += connection.execute(_PRUNE_OLDEST_OF_ONE, (router, surplus)).rowcount
            (count,) = connection.execute(_COUNT).fetchone()
            surplus = min(max(count - self._most, 0), _PRUNE_ROWS - deleted)
            deleted += connection.execute(_PRUNE_OLDEST, (surplus,)).rowcount
        finally:
            connection.execute("PRAGMA secure_delete=OFF")
        return deleted == _PRUNE_ROWS

    def _write(self, connection: sqlite3.Connection, taken: Sequence[Taken]) -> None:
        connection.executemany(_INSERT, filter(None, map(_row, taken)))
        self._fresh += len(taken)
        if self._fresh > self._most_of_one // 10:
            self._pruning.due = float("-inf")


def read(path: Path, routers: Iterable[str], *, since: float = 0.0, limit: int = MOST) -> tuple[list[Sampled], int]:
    """The latest samples of ``routers`` in the store's file, oldest first; and how many others nobody can read.

    Those were written by another version of the gateway. Raises LedgerUnreadable.
    """
    names = msgspec.json.encode(sorted(routers)).decode()
    with reading(path) as connection:
        # A file that no gateway of this version has opened yet.
        if connection.execute(_THERE_IS_NONE).fetchone()[0]:
            return [], 0
        rows = connection.execute(_READ, (since, names, limit)).fetchall()
    found: list[Sampled] = []
    for at, request_id, router, asked, decision, candidate, wanted, brief, tokens_in, tokens_out in reversed(rows):
        try:
            excerpt = Excerpt(msgspec.json.decode(wanted, type=Needs), msgspec.json.decode(brief, type=Brief))
        except (msgspec.MsgspecError, UnicodeError):
            continue
        found.append(Sampled(at, request_id, router, asked, decision, candidate, excerpt, tokens_in, tokens_out))
    return found, len(rows) - len(found)


def _row(taken: Taken) -> tuple[object, ...] | None:
    """None where something in the text looks like a key: that belongs into no file."""
    policy, decision = taken.policy, taken.decision
    text = user_prompt(taken.excerpt.brief)
    if has_key(text):
        return None
    designator = policy.router.designator.model.id
    # A lone candidate is decided on without a question, also where others only rested.
    asked = len(decision.eligible) > 1
    return (
        taken.time,
        taken.request_id,
        policy.router.name,
        taken.revision,
        policy.digest,
        designator,
        question(designator, policy.system, text) if asked else "",
        decision.reason,
        decision.candidate.id,
        msgspec.json.encode(taken.excerpt.needs).decode(),
        text,
    )
