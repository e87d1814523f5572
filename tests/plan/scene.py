"""Two configurations and example requests, in as few words as these tests need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway.chat import ChatRequest, Message, Text
from gateway.config.load import Loader
from gateway.generation import Generation
from gateway.plan.corpus import Sample, Usage
from tests.config.folders import snapshot_of, write

KEYS = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY"), "k")

ROUTER = """\
name: smart
designator: {model: sandbox/designator}
candidates:
  - {model: openai/gpt-4o, purpose: Texts and letters}
  - {model: anthropic/claude-sonnet-4-5, purpose: Code and debugging}
"""


def generations(folder: Path, before: str, after: str, gateway: str = "") -> tuple[Generation, Generation]:
    """Two generations of one router each; ``gateway`` is a document of the second one."""
    loader = Loader(KEYS)
    texts = {"after": {"r.yaml": after, **({"gateway.yaml": gateway} if gateway else {})}, "before": {"r.yaml": before}}
    old, new = (Generation(snapshot_of(loader.load(write(folder / name, texts[name])))) for name in ("before", "after"))
    return old, new


def sample(ask: str, router: str = "smart", usage: Usage = Usage(), **fields: Any) -> Sample:  # noqa: B008
    """A request of one user turn."""
    request = ChatRequest(
        dialect="openai", model=router, messages=(Message("user", (Text(ask),)),), fields={}, **fields
    )
    return Sample(router, request, usage)


def request(of: Sample) -> ChatRequest:
    """The request itself, where somebody wrote it down."""
    assert isinstance(of.request, ChatRequest)
    return of.request
