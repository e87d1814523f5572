"""*Decisions*: single requests, and every step of each."""

from __future__ import annotations

import re
from typing import get_args

from gateway.activity import Activity, Ending, Filter, Listing
from gateway.config.model import DecisionReason
from gateway.errors import NotFound
from gateway.server.ui.steps import spans, steps
from gateway.server.ui.view import Elsewhere, Page, View

_ROWS = 50
_ENDINGS: dict[Ending, str] = {"answered": "answered", "failed": "failed", "left": "client left"}
_NUMBER = re.compile(r"^[0-9]{1,18}$")
_REQUEST_ID = re.compile(r"^[0-9a-f]{24}$")
#: What stands in a form for requests that have none: nothing is "any", and no name has this form.
_NONE = "-"


def decisions(view: View) -> Page | Elsewhere:
    """The latest requests that a filter lets through, or the one with a request id."""
    wanted = view.query.get("request", "").strip().lower()
    if wanted:
        number = view.look(lambda activity: activity.number(wanted)) if _REQUEST_ID.match(wanted) else None
        if number is not None:
            return Elsewhere(f"/ui/decisions/{number}")
    before = view.query.get("before", "")
    start = int(before) if _NUMBER.match(before) else None
    asked = _filter(view)
    listing: Listing | None = view.look(lambda activity: activity.entries(asked, limit=_ROWS, before=start))
    snapshot = view.generation.snapshot
    values = {
        "listing": listing,
        "filter": asked,
        "chosen": {name: view.query[name] for name in _FIELDS if view.query.get(name)},
        "live": start is None,
        "missing": wanted,
        "fields": (
            ("router", "Router", _options([*snapshot.routers], "asked directly")),
            ("candidate", "Candidate", _options(_candidates(view), None)),
            ("decision", "Decision", _options(get_args(DecisionReason), None)),
            ("status", "Status", tuple(_ENDINGS.items())),
            ("client", "Client", _options([client.name for client in snapshot.clients], "no client")),
        ),
    }
    return Page("decisions.html", "Decisions", "decisions", values)


def decision(view: View, number: str) -> Page:
    """One request, step by step. Raises NotFound."""
    if not _NUMBER.match(number):
        raise NotFound("there is no such request")

    def see(activity: Activity) -> object:
        return activity.entry(int(number))

    row = view.look(see)
    if row is None and not view.notice:
        raise NotFound("there is no such request, or not any more")
    if row is None:
        return Page("decision.html", "Decision", "decisions", {"row": None})
    entry = row.entry  # type: ignore[attr-defined]
    known = entry.router in view.generation.snapshot.routers
    values = {"row": row, "entry": entry, "steps": steps(entry), "spans": spans(entry), "known": known}
    return Page("decision.html", f"Request {entry.request_id}", "decisions", values)


_FIELDS = ("router", "candidate", "decision", "status", "client")


def _filter(view: View) -> Filter:
    given = {name: "" if value == _NONE else value for name in _FIELDS if (value := view.query.get(name))}
    ending = given.pop("status", None)
    return Filter(**given, ending=ending if ending in _ENDINGS else None)


def _options(names: list[str] | tuple[str, ...], none: str | None) -> tuple[tuple[str, str], ...]:
    options = tuple((name, name) for name in names)
    return options if none is None else (*options, (_NONE, none))


def _candidates(view: View) -> list[str]:
    routers = view.generation.snapshot.routers.values()
    return sorted({candidate.id for router in routers for candidate in router.candidates})
