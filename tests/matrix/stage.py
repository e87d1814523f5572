"""A real gateway before scripted providers, for clients that are not ours."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.faultserver import FaultServer, Request, Script, answer, chunk, end, head
from tests.gatewayprocess import Gateway
from tests.matrix.providers import MODEL, PROVIDERS, Provider
from tests.matrix.said import Ask, Reply

#: What clients of the gateway show.
KEY = "the-team-s-key"
ENVIRON = {"TEAM_KEY": KEY}
VECTOR = (0.5, -0.25)
#: The smallest picture, as a PNG in base64.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

_PROVIDERS = {provider.wire: provider for provider in PROVIDERS}
_JUDGE = "judge"


class Company(FaultServer):
    """A designator and one candidate of each wire, told apart by the first segment of their paths."""

    def __init__(self) -> None:
        super().__init__(respond=self._act)
        #: Whom the designator names, by wire; what that one replies; and what it does instead, where it does.
        self.chosen: Provider = PROVIDERS[0]
        self.reply = Reply()
        self.play: Script = ()

    def documents(self) -> dict[str, str]:
        """The gateway document, and the router ``smart``."""
        bases = {wire: f"{self.url}/{wire}" + ("/v1" if wire == "openai" else "") for wire in _PROVIDERS}
        providers = [f"  my-{wire}: {{wire: {wire}, base_url: '{base}'}}" for wire, base in bases.items()]
        providers.append(f"  {_JUDGE}: {{wire: openai, base_url: '{self.url}/{_JUDGE}/v1'}}")
        candidates = [f"  - {{model: my-{wire}/{MODEL}, purpose: Speaks {wire}}}" for wire in _PROVIDERS]
        return {
            "gateway.yaml": "\n".join(
                ["kind: gateway", "clients: [{name: team, key: env:TEAM_KEY}]", "providers:", *providers, ""]
            ),
            "smart.yaml": "\n".join(
                [
                    "name: smart",
                    "description: Whoever is best",
                    f"designator: {{model: {_JUDGE}/{MODEL}, timeout: 5s}}",
                    "candidates:",
                    *candidates,
                    "",
                ]
            ),
        }

    def _act(self, request: Request) -> Script:
        _, wire, *path = request.target.split("/")
        if wire == _JUDGE:
            return [answer(_PROVIDERS["openai"].whole(Reply(f"my-{self.chosen.wire}/{MODEL}")))]
        if self.play:
            return self.play
        body = json.loads(request.body)
        if path[-1] in ("embeddings", "embed"):
            return [answer(json.dumps(_embeddings(wire, body)))]
        provider = self.chosen if wire == self.chosen.wire else _PROVIDERS[wire]
        if body.get("stream"):
            return [head(provider.stream_type), *map(chunk, provider.stream(self.reply)), end()]
        return [answer(provider.whole(self.reply))]


def _embeddings(wire: str, body: Any) -> Any:
    vectors: list[Any] = [list(VECTOR)] * (1 if isinstance(body["input"], str) else len(body["input"]))
    if wire == "ollama":
        return {"model": MODEL, "embeddings": vectors, "prompt_eval_count": 2}
    if body.get("encoding_format") == "base64":
        vectors = [base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()] * len(vectors)
    data = [{"object": "embedding", "index": place, "embedding": it} for place, it in enumerate(vectors)]
    return {"object": "list", "model": MODEL, "data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}}


class Stage(NamedTuple):
    """The gateway, and who stands behind it."""

    company: Company
    gateway: Gateway

    def set(self, provider: Provider, reply: Reply | None = None, *play: Any) -> None:
        """From here on ``provider`` is the one that is chosen, and replies this, or plays that."""
        self.company.chosen = provider
        self.company.reply = reply or Reply("Hello.")
        self.company.play = play
        self.company.requests.clear()

    @property
    def body(self) -> Any:
        """The last request that a candidate got, decoded."""
        return json.loads(self.company.requests[-1].body)

    @property
    def asked(self) -> Ask:
        """What it asked."""
        return self.company.chosen.read(self.body).numbered()

    def check_decision(self, headers: Mapping[str, str]) -> None:
        """The response's headers say who was chosen, how and by which generation."""
        assert headers["x-llm-relay-router"] == "smart"
        assert headers["x-llm-relay-routed-to"] == f"my-{self.company.chosen.wire}/{MODEL}"
        assert headers["x-llm-relay-decision"] == "designated"
        assert headers["x-llm-relay-revision"]
        assert headers["x-request-id"]
        assert "designator;dur=" in headers["server-timing"]
