"""*Config*: what is wanted, what serves, and how it came to that."""

from __future__ import annotations

from gateway.config.diff import Item, Plan
from gateway.server.ui.view import Page, View


def configuration(view: View) -> Page:
    """Desired versus applied, problems, and the history of this process."""
    holder = view.services.holder
    values = {
        "snapshot": view.generation.snapshot,
        "beside": view.services.feed.problems,
        "applied_at": holder.applied_at,
        "history": [(reading, sections(reading.plan)) for reading in reversed(holder.history)],
        "workers": view.services.settings.workers,
        "folder": view.services.settings.config,
    }
    return Page("config.html", "Config", "config", values)


def sections(plan: Plan | None) -> list[tuple[str, tuple[Item, ...]]]:
    """A plan's differences by the kind of thing that is not what it was."""
    if plan is None:
        return []
    gateway = Item("limits, hosts, search", "changed", plan.gateway)
    found = (
        ("Routers", plan.routers),
        ("Models", plan.models),
        ("Providers", plan.providers),
        ("Clients", plan.clients),
        ("Operators", plan.operators),
        ("Gateway", (gateway,) if plan.gateway else ()),
    )
    return [(title, items) for title, items in found if items]
