"""One generation ready to serve: a checked snapshot with everything that can be worked out before a request comes.

Building one may fail and takes its time; using one does neither. A request takes a generation once and keeps it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from gateway.config.model import Client, Model, Operator, Router, Secret, Snapshot
from gateway.costs import Dearest
from gateway.errors import ModelNotFound
from gateway.routing.decide import Policy
from gateway.wire.protocol import Target
from gateway.wire.text import printable

#: Raw response or request headers, as ASGI and httpx take them.
Headers = list[tuple[bytes, bytes]]


_NO_ASSESSMENTS: Mapping[str, Mapping[str, str]] = MappingProxyType({})


class Generation:
    """A snapshot, compiled; ``assessments`` are what designators read of candidates, by router and candidate."""

    __slots__ = (
        "_clients",
        "_decided",
        "_operators",
        "_routers",
        "_targets",
        "assessments",
        "dearest",
        "policies",
        "revision",
        "revision_header",
        "snapshot",
    )

    def __init__(self, snapshot: Snapshot, assessments: Mapping[str, Mapping[str, str]] = _NO_ASSESSMENTS) -> None:
        self.snapshot = snapshot
        self.assessments = assessments
        self.revision = snapshot.revision
        self.revision_header = _revision(snapshot, assessments).encode()
        self.policies: dict[str, Policy] = {
            name: Policy(router, assessments.get(name)) for name, router in snapshot.routers.items()
        }
        #: By router, what its traffic would cost on the dearest of its candidates.
        self.dearest = {
            name: Dearest(candidate.model for candidate in router.candidates)
            for name, router in snapshot.routers.items()
        }
        self._routers: dict[str, Router] = {name.lower(): router for name, router in snapshot.routers.items()}
        self._clients: dict[bytes, Client] = {digest(client.key): client for client in snapshot.clients}
        self._operators: dict[bytes, Operator] = {digest(operator.key): operator for operator in snapshot.operators}
        self._targets: dict[str, Target] = {}
        self._decided: dict[tuple[str, str, str], Headers] = {}

    def router(self, name: str) -> Router | None:
        """The router that a client means by ``name``: letter case and ``:latest`` do not matter."""
        found = self._routers.get(name)
        if found is not None:
            return found
        return self._routers.get(name.lower().removesuffix(":latest"))

    def model(self, name: str) -> Model | None:
        """The model that a client means by ``provider/model``; a provider's own ``:latest`` is left alone."""
        known = self.snapshot.models
        found = self.snapshot.model(name)
        if found is not None and found.id not in known and found.id.lower().endswith(":latest"):
            # Ollama's clients write it behind every name that has no tag.
            plain = self.snapshot.model(found.id[: -len(":latest")])
            return plain if plain is not None and plain.id in known else found
        return found

    def resolve(self, name: str, client: Client | None) -> Router | Model:
        """What ``client`` means by ``name``. Raises ModelNotFound, also for what exists and is not for this client."""
        allowed = None if client is None else client.routers
        router = self.router(name)
        if router is not None and (allowed is None or router.name in allowed):
            return router
        model = self.model(name) if router is None and allowed is None else None
        if model is None:
            raise ModelNotFound(f"model '{printable(name)}' not found")
        return model

    def client(self, key: str) -> Client | None:
        """The client whose key this is. Keys are compared by digest, so the time taken tells nothing of them."""
        return self._clients.get(hashlib.sha256(key.encode()).digest())

    def operator(self, key: str) -> Operator | None:
        """The operator whose key this is."""
        return self._operators.get(hashlib.sha256(key.encode()).digest())

    def target(self, model: Model) -> Target:
        """What a wire must know of ``model``."""
        target = self._targets.get(model.id)
        if target is None:
            target = Target(model.name, stream_usage=model.provider.stream_usage, max_output=model.max_output)
            if model.id in self.snapshot.models:
                self._targets[model.id] = target
        return target

    def decided_headers(self, router: Router, model: Model, decision: str) -> Headers:
        """The response headers that say what a router decided; to be copied, not changed."""
        key = (router.name, model.id, decision)
        headers = self._decided.get(key)
        if headers is None:
            headers = self._decided[key] = [
                (b"x-llm-relay-router", router.name.encode()),
                (b"x-llm-relay-routed-to", model.id.encode()),
                (b"x-llm-relay-decision", decision.encode()),
                (b"x-llm-relay-revision", self.revision_header),
            ]
        return headers


def digest(secret: Secret) -> bytes:
    """SHA-256 of a key."""
    return hashlib.sha256(secret.reveal().encode()).digest()


def _revision(snapshot: Snapshot, assessments: Mapping[str, Mapping[str, str]]) -> str:
    """The content's digest, behind ``+`` that of the assessments, behind ``@`` the commit; each where there is one."""
    said = ""
    if assessments:
        said = "+" + hashlib.sha256(msgspec.json.encode(assessments, order="deterministic")).hexdigest()[:6]
    return f"{snapshot.revision}{said}" + (f"@{snapshot.commit[:12]}" if snapshot.commit else "")
