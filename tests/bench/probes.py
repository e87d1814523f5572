"""Figures that need no load: validation of many router files, and the longest wait of a request during a reload."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from . import configs
from .machine import BenchError, pinned

RELOAD_WITHIN = 15.0
"""Seconds until a change must have taken effect."""
SETTLE = 0.5
"""Seconds of requests before a change, and after it took effect: the old generation is still being freed then."""


class Reload(NamedTuple):
    """Of several reloads: the longest request while nothing changed and while something did; write to effect."""

    quiet_ms: float
    wait_ms: float
    applied_ms: float


def validate_seconds(gateway: Sequence[str], folder: Path, cores: str) -> float:
    begun = time.perf_counter()
    command = pinned(cores, [*gateway, "validate", str(folder)])
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    elapsed = time.perf_counter() - begun
    if done.returncode != 0:
        raise BenchError(f"the generated configuration is refused:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return elapsed


def reload_wait(port: int, folder: Path, rounds: int) -> Reload:
    """Ask one request after another on one connection, change a router file meanwhile, and keep the longest wait."""
    client = _Client(port)
    quiet = wait = applied = 0.0
    for turn in range(rounds):
        quiet = max(quiet, client.longest_until(time.perf_counter() + SETTLE))
        before = client.revision
        configs.write_router(folder, configs.PROBE, f"Changed {turn}")
        begun = time.perf_counter()
        while client.revision == before:
            wait = max(wait, client.ask())
            if time.perf_counter() - begun > RELOAD_WITHIN:
                raise BenchError("a changed router file took no effect")
        applied = max(applied, time.perf_counter() - begun)
        wait = max(wait, client.longest_until(time.perf_counter() + SETTLE))
    return Reload(quiet_ms=quiet * 1e3, wait_ms=wait * 1e3, applied_ms=applied * 1e3)


class _Client:
    """One kept connection; `revision` is the generation that served the last answer."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=RELOAD_WITHIN)
        self._body = json.dumps({"model": configs.PROBE, "messages": [{"role": "user", "content": "Hello"}]})
        self.revision = ""
        self.ask()

    def ask(self) -> float:
        """Seconds that one routed request took."""
        begun = time.perf_counter()
        self._connection.request("POST", "/v1/chat/completions", self._body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        content = answer.read()
        elapsed = time.perf_counter() - begun
        if answer.status != 200:
            raise BenchError(f"a request failed during a reload: {content[:500].decode(errors='replace')}")
        self.revision = answer.headers["X-LLM-Relay-Revision"]
        return elapsed

    def longest_until(self, deadline: float) -> float:
        longest = 0.0
        while time.perf_counter() < deadline:
            longest = max(longest, self.ask())
        return longest
