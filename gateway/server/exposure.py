"""Whether a configuration is safe for how the gateway was started."""

from __future__ import annotations

from gateway.config.model import Snapshot
from gateway.config.problems import Problem
from gateway.server.settings import Settings


def objections(settings: Settings, snapshot: Snapshot) -> tuple[Problem, ...]:
    """What is wrong with a valid configuration for a gateway that others can reach: nobody would need a key."""
    if settings.loopback or settings.allow_anonymous or snapshot.clients:
        return ()
    return (
        Problem(
            file=str(settings.config),
            line=1,
            column=1,
            path="clients",
            code="E320",
            message=f"without clients, everybody who reaches {settings.host} could use your providers' keys",
            remedy="declare clients, bind a loopback address, or start with --allow-anonymous",
        ),
    )
