"""Providers that use another number of tokens for every answer, and keep books of their own on it.

They are told apart by the first segment of their path. ``judge`` names the candidate that the request asks for, as in
``choose open/m``, ``broken`` is never available, ``strict`` finds every request wrong; the others answer on their
wires. A text that says ``endless`` gets a stream without an end, one that says ``tool`` a call of one.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import replace

from tests.faultserver import FaultServer, Request, Script, answer, chunk, end, hang, head
from tests.matrix.providers import Anthropic, Ollama, OpenAI, Provider
from tests.matrix.said import Call, Reply

WIRES: Mapping[str, Provider] = {
    "judge": OpenAI(),
    "open": OpenAI(),
    "bare": OpenAI(),
    "claude": Anthropic(),
    "llama": Ollama(),
    "broken": OpenAI(),
    "strict": OpenAI(),
}
#: USD per million tokens; nobody knows what ``bare`` costs.
PRICES = {
    "judge/m": "{input: 0.0375, output: 0.15, cache_read: 0.01}",
    "open/m": "{input: 2.5, output: 10, cache_read: 1.25}",
    "claude/m": "{input: 3, output: 15, cache_read: 0.3, cache_write: 3.75}",
    "llama/m": "{input: 0, output: 0}",
    "broken/m": "{input: 9, output: 90}",
    "strict/m": "{input: 1, output: 1}",
}

_CHOICE = re.compile(r"choose (\w+/m)")


class Till(FaultServer):
    """All providers at one address; :attr:`books` holds what each of them used, in order."""

    def __init__(self) -> None:
        super().__init__(respond=self._act)
        self.books: dict[str, list[Reply]] = {}
        self._numbers = itertools.count(1)

    def gateway(self, more: str = "") -> str:
        """A gateway document that leads here."""
        roots = {name: f"{self.url}/{name}{'/v1' if wire.wire == 'openai' else ''}" for name, wire in WIRES.items()}
        lines = ["kind: gateway", "providers:"]
        lines += [f"  {name}: {{wire: {wire.wire}, base_url: '{roots[name]}'}}" for name, wire in WIRES.items()]
        lines += ["models:", "  bare/m: {context: 100000}"]
        lines += [f"  {model}: {{price: {price}}}" for model, price in PRICES.items()]
        return "\n".join([*lines, more, ""])

    def _act(self, request: Request) -> Script:
        name = request.target.split("/")[1]
        wire, text = WIRES[name], request.body.decode()
        if name == "broken":
            return [answer(wire.error("no", "server_error"), 503)]
        if name == "strict":
            return [answer(wire.error("no", "invalid_request_error"), 400)]
        reply = self._used(wire, text)
        if request.target.endswith("/embeddings"):
            self._note(name, Reply(input=reply.input, output=0))
            data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
            return [answer(json.dumps({"object": "list", "data": data, "usage": {"prompt_tokens": reply.input}}))]
        if name == "judge":
            choice = _CHOICE.search(text)
            reply = Reply(choice[1] if choice else "I cannot say.", input=reply.input, output=3, cached=reply.cached)
        if not json.loads(text).get("stream", wire.wire == "ollama"):
            self._note(name, reply)
            return [answer(wire.whole(reply))]
        if "endless" in text:
            # Anthropic's wire begins with what was used so far, the others tell at the end alone.
            early = wire.wire == "anthropic"
            self._note(name, Reply(input=reply.input, output=1, cached=reply.cached) if early else Reply(input=None))
            return [head(wire.stream_type), chunk(wire.begun(reply)), hang()]
        self._note(name, reply)
        return [head(wire.stream_type), *map(chunk, wire.stream(reply)), end()]

    def _used(self, wire: Provider, text: str) -> Reply:
        number = next(self._numbers)
        cached = number if wire.tells_cache and number % 3 == 0 else None
        reply = Reply("As you say.", input=1000 + 7 * number, output=1 + number, cached=cached)
        if "tool" in text and "clock" in text:
            return replace(reply, text="", calls=(Call(f"call_{number}", "clock", {}),), stop="tools")
        return reply

    def _note(self, name: str, reply: Reply) -> None:
        self.books.setdefault(name, []).append(reply)
