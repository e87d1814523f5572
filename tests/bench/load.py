"""What is asked and how it is driven: the cases, one checked request of each, and `wrk` for the load."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .configs import DIRECT, PACED, SMART, STREAMED
from .machine import BenchError, find_tool, pinned
from .mock import EVENTS_PER_STREAM

HERE = Path(__file__).parent
LATENCY_LIMIT = "30s"

_SYSTEM = "You are a careful assistant for a team of engineers. Answer briefly, and show code where code helps."
_ASK = "Write a Python function to parse JSON"


@dataclass(frozen=True)
class Case:
    """One kind of request. `events` is how many provider events one answer carries; 0 where it is not streamed."""

    name: str
    path: str
    body: Mapping[str, Any]
    reference_path: str = ""
    """Where the reference proxy serves the same; empty where no plain proxy can."""
    headers: Mapping[str, str] = field(default_factory=dict)
    events: int = 0
    expect: bytes = b""
    """Bytes that the answer must contain, headers in small letters included."""


def _chat(model: str, *, stream: bool) -> dict[str, Any]:
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _ASK}]
    return {"model": model, "messages": messages, "max_tokens": 1024, "stream": stream}


CASES = (
    Case(
        name="plain",
        path="/v1/chat/completions",
        reference_path="/plain/v1/chat/completions",
        body=_chat(DIRECT, stream=False),
        expect=b'"usage"',
    ),
    Case(
        name="smart",
        path="/v1/chat/completions",
        body=_chat(SMART, stream=False),
        expect=b"x-llm-relay-decision: designated\r\n",
    ),
    Case(
        name="stream",
        path="/v1/chat/completions",
        reference_path="/stream/v1/chat/completions",
        body=_chat(STREAMED, stream=True),
        events=EVENTS_PER_STREAM,
        expect=b"data: [DONE]",
    ),
    Case(
        name="paced",
        path="/v1/chat/completions",
        reference_path="/paced/v1/chat/completions",
        body=_chat(PACED, stream=True),
        events=EVENTS_PER_STREAM,
        expect=b"data: [DONE]",
    ),
    Case(
        name="translated",
        path="/v1/messages",
        headers={"anthropic-version": "2023-06-01"},
        body={
            "model": STREAMED,
            "system": _SYSTEM,
            "messages": [{"role": "user", "content": _ASK}],
            "max_tokens": 1024,
            "stream": True,
        },
        events=EVENTS_PER_STREAM,
        expect=b"message_stop",
    ),
)


@dataclass(frozen=True)
class Load:
    """What wrk saw. `answers` is fractional for streams: an answer cut off by the end of the run counts in part."""

    answers: float
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int


def check(case: Case, port: int, path: str) -> int:
    """Ask once and see that the answer is what the case is about. Returns its size on the wire in bytes."""
    body = json.dumps(case.body).encode()
    head = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": len(body), "Connection": "close"}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in {**head, **case.headers}.items())]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    headers, _, content = answer.partition(b"\r\n\r\n")
    seen = headers.lower() + b"\r\n\r\n" + content
    if not headers.startswith(b"HTTP/1.1 200 ") or case.expect not in seen:
        raise BenchError(f"{case.name}: unexpected answer from port {port}:\n{answer[:2000].decode(errors='replace')}")
    return len(answer)


def drive(case: Case, url: str, folder: Path, *, connections: int, seconds: int, cores: str, size: int) -> Load:
    """Keep `connections` requests of the case in flight for `seconds`. `size` is what :func:`check` returned."""
    body = folder / f"{case.name}.json"
    body.write_text(json.dumps(case.body))
    headers = [option for name, value in case.headers.items() for option in ("-H", f"{name}: {value}")]
    command = [find_tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", LATENCY_LIMIT]
    command += [*headers, "-s", str(HERE / "post.lua"), url, "--", str(body)]
    done = subprocess.run(pinned(cores, command), capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode != 0:
        raise BenchError(f"wrk failed: {done.stdout}{done.stderr}")
    summary = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    # Whole answers alone would leave out the work on those still under way at the end: hundreds, for slow streams.
    answers = summary["bytes"] / size if case.events else float(summary["requests"])
    return Load(
        answers=answers,
        seconds=summary["microseconds"] / 1e6,
        p50_ms=summary["p50"] / 1e3,
        p99_ms=summary["p99"] / 1e3,
        errors=summary["errors"],
    )
