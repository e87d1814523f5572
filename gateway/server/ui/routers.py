"""*Routers*: what is configured, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.activity import Activity, Filter, Listing, Route
from gateway.errors import NotFound
from gateway.routing.eligible import BYTES_PER_TOKEN
from gateway.server.ui import intelligence
from gateway.server.ui.charts import Chart
from gateway.server.ui.overview import Part, hours, parts
from gateway.server.ui.view import Page, View, span

_LATEST = 12


@dataclass(frozen=True)
class _Seen:
    requests: int
    candidates: dict[str, Part]
    #: Candidates of earlier generations.
    gone: tuple[Part, ...]
    decisions: tuple[Part, ...]
    chart: Chart
    latest: Listing


def routers(view: View) -> Page:
    """All of them."""
    routes: list[Route] = view.look(lambda activity: activity.routes(view.span)) or []
    by_router = {part.name: part for part in parts(routes, "router")}
    values = {"routers": view.generation.snapshot.routers.values(), "traffic": by_router}
    return Page("routers.html", "Routers", "routers", values)


def router(view: View, name: str) -> Page:
    """One of them. Raises NotFound."""
    found = view.generation.snapshot.routers.get(name)
    if found is None:
        raise NotFound("there is no such router in the generation that serves")
    declared = [candidate.id for candidate in found.candidates]

    def see(activity: Activity) -> _Seen:
        routes = [route for route in activity.routes(view.span) if route.router == name]
        candidates = parts(routes, "candidate")
        return _Seen(
            requests=sum(route.requests for route in routes),
            candidates={part.name: part for part in candidates},
            gone=tuple(part for part in candidates if part.name and part.name not in declared),
            decisions=parts(routes, "decision"),
            chart=hours(activity, span(view.range, view.now), view.now, name),
            latest=activity.entries(Filter(router=name), limit=_LATEST),
        )

    policy = view.generation.policies[name]
    size = len(policy.system.encode())
    values = {
        "router": found,
        "policy": policy,
        "prompt_bytes": size,
        "prompt_tokens": size // BYTES_PER_TOKEN,
        "seen": view.look(see),
        "intelligence": intelligence.section(view, found),
    }
    return Page("router.html", found.name, "routers", values)
