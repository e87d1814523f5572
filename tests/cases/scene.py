"""Folders of routers for these tests, the command line over them, and a designator that is asked over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway.cli import main
from tests.faultserver import FaultServer, Request, Script, answer

#: Three candidates of the sandbox, with purposes that it tells apart.
CANDIDATES = """\
candidates:
  - {model: sandbox/coder, purpose: Python and other code}
  - {model: sandbox/writer, purpose: Poems and stories}
  - {model: sandbox/eyes, purpose: Pictures}
fallback: sandbox/writer
"""
#: Only one of them reads pictures, and one has a small window.
FACTS = """\
kind: gateway
models:
  sandbox/coder: {capabilities: [tools, json], context: 4000}
  sandbox/writer: {capabilities: [tools, json]}
"""


def router(tests: str, *, strategy: str = "per_request", designator: str = "sandbox/designator") -> str:
    """A router's document; ``tests`` is a YAML list."""
    indented = "".join(f"  {line}\n" for line in tests.splitlines())
    head = f"name: smart\ndesignator: {{model: {designator}, timeout: 5s}}\nstrategy: {strategy}\n"
    return f"{head}{CANDIDATES}tests:\n{indented}"


def folder(path: Path, tests: str, **options: str) -> Path:
    """A folder with the router ``smart`` in the sandbox."""
    return write(path / "routers.d", {"smart.yaml": router(tests, **options), "gateway.yaml": FACTS})


def write(path: Path, files: Mapping[str, str]) -> Path:
    """``path`` with these files."""
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        (path / name).write_text(text, encoding="utf-8")
    return path


class Printed(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, decoded."""
        return json.loads(self.out)


class Shell:
    """Runs `llm-relay` in this process, in a thread of its own: it makes its own event loop."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    async def __call__(self, *arguments: object) -> Printed:
        self._capture.readouterr()
        try:
            status = await asyncio.to_thread(main, [str(each) for each in arguments])
        except SystemExit as end:
            status = int(str(end.code))
        return Printed(status, *self._capture.readouterr())


class Judge(FaultServer):
    """A designator that answers what :attr:`choose` makes of the brief that it reads; OpenAI's wire."""

    def __init__(self) -> None:
        super().__init__(respond=self._act)
        self.choose: Callable[[Any], str] = lambda brief: str(brief["eligible"][0])
        #: What it does instead of answering, if anything.
        self.script: Script | None = None

    @property
    def briefs(self) -> list[Any]:
        """All user prompts so far, decoded."""
        return [_brief(request) for request in self.requests]

    @property
    def systems(self) -> list[str]:
        """All system prompts so far."""
        return [json.loads(request.body)["messages"][0]["content"] for request in self.requests]

    def folder(self, path: Path, tests: str, *, key: str = "") -> Path:
        """A folder with the router ``smart`` that asks this designator."""
        provider = f"{{wire: openai, base_url: '{self.url}/v1'{f', api_key: {key}' if key else ''}}}"
        document = f"{FACTS}  judge/m: {{price: {{input: 1, output: 2}}}}\nproviders:\n  judge: {provider}\n"
        files = {"smart.yaml": router(tests, designator="judge/m"), "gateway.yaml": document}
        return write(path / "routers.d", files)

    def _act(self, request: Request) -> Script:
        if self.script is not None:
            return self.script
        return [answer(completion(self.choose(_brief(request))))]


def _brief(request: Request) -> Any:
    return json.loads(json.loads(request.body)["messages"][1]["content"])


def completion(text: str) -> str:
    """A whole answer on OpenAI's wire."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 30, "completion_tokens": 3, "total_tokens": 33}
    return json.dumps({"id": "c", "object": "chat.completion", "created": 1, "choices": [choice], "usage": usage})


def statuses(report: Any) -> Sequence[str]:
    """What each test of a JSON report came to."""
    return [test["status"] for router in report["routers"] for test in router["tests"]]
