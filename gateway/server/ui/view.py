"""What a page is made from, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from gateway.activity import Activity, Span, looking
from gateway.generation import Generation
from gateway.ledger import LedgerUnreadable
from gateway.server.services import Services
from gateway.store import FILE

T = TypeVar("T")

RANGES = {"24h": "24 hours", "7d": "7 days", "30d": "30 days"}
_DAYS = {"7d": 7, "30d": 30}


@dataclass(frozen=True)
class Page:
    """A template and its values; ``section`` is the part of the site that it belongs to."""

    template: str
    title: str
    section: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Download:
    """A file."""

    name: str
    content_type: bytes
    body: bytes


@dataclass(frozen=True)
class Elsewhere:
    """A path of this site where the answer is."""

    path: str


class View:
    """One look at the gateway: everything on a page is of this generation and this moment."""

    def __init__(self, services: Services, generation: Generation, query: Mapping[str, str], path: str) -> None:
        self.services = services
        self.generation = generation
        self.query = query
        self.path = path
        self.now = time.time()
        #: Why nothing can be said of past requests; empty where it can.
        self.notice = ""

    def look(self, job: Callable[[Activity], T]) -> T | None:
        """What ``job`` finds in the ledger; None, and a notice, where there is none to look at."""
        data = self.services.settings.data
        if data is None:
            self.notice = "This gateway keeps no ledger: start it with --data DIR to see its requests here."
            return None
        try:
            with looking(data / FILE) as activity:
                return job(activity)
        except LedgerUnreadable as error:
            self.notice = f"The ledger cannot be read now: {error}."
            return None

    @property
    def range(self) -> str:
        """The time that was asked for: a key of :data:`RANGES`."""
        wanted = self.query.get("range", "")
        return wanted if wanted in RANGES else "24h"

    @property
    def span(self) -> Span:
        """That time, in hours or days (UTC) of which the last one is not over."""
        return span(self.range, self.now)


def span(name: str, now: float) -> Span:
    """One of :data:`RANGES` up to ``now``: bars of an hour, of six hours, of a day."""
    hour = int(now // 3600)
    days = _DAYS.get(name)
    if days is None:
        return Span(hour - 23, 1)
    return Span(hour // 24 * 24 - (days - 1) * 24, 6 if days == 7 else 24, daily=True)
