"""A small web: search providers in their own formats, a summarizer and a designator, all on one scripted server."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.config.load import load
from gateway.config.model import Router, Snapshot
from gateway.intelligence.assessment import Assessment, Source, Statement, timestamp
from tests.faultserver import FaultServer, Request, Script, answer

needs_chroma = pytest.mark.skipif(
    importlib.util.find_spec("chromadb") is None, reason="ChromaDB is not installed: make .venv/.intelligence"
)

#: 2026-06-01T00:00:00Z.
NOW = 1_780_272_000.0
FULL, SMALL = "openai/gpt-4o", "openai/gpt-4o-mini"

#: What the web says: of the one, of the other, and of both.
WEB = [
    {"url": "https://a.example/gpt-4o", "title": "GPT-4o reviewed", "content": "GPT-4o is strong at vision tasks."},
    {"url": "https://b.example/mini", "title": "GPT-4o mini reviewed", "content": "GPT-4o mini is cheap and quick."},
    {
        "url": "https://c.example/both",
        "title": "GPT-4o vs GPT-4o mini",
        "content": "GPT-4o wins at reasoning. GPT-4o mini wins on price.",
        "publishedDate": "2026-05-01T00:00:00",
    },
]

Pages = list[dict[str, str]]


def searxng(pages: Pages) -> Script:
    """An answer in SearXNG's format."""
    results = [{**page, "engine": "a", "score": 1.0, "parsed_url": ["https"]} for page in pages]
    return [answer(json.dumps({"query": "q", "results": results, "answers": [], "unresponsive_engines": []}))]


def perplexity(pages: Pages) -> Script:
    """An answer in the format of Perplexity's search API."""
    results = [
        {"title": page["title"], "url": page["url"], "snippet": page["content"], "date": page.get("publishedDate")}
        for page in pages
    ]
    return [answer(json.dumps({"id": "x", "results": results}))]


def jina(pages: Pages) -> Script:
    """An answer in the format of Jina's search API."""
    data = [
        {**page, "description": "short", "date": page.get("publishedDate", ""), "usage": {"tokens": 9}}
        for page in pages
    ]
    return [answer(json.dumps({"code": 200, "status": 20000, "data": data}))]


def completion(content: str) -> Script:
    """An answer of a chat model."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    return [
        answer(json.dumps({"id": "1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}))
    ]


def sum_up(asked: dict[str, Any]) -> str:
    """A summarizer that repeats what it reads."""
    pages = asked["pages"]
    statements = [{"text": page["text"], "sources": [page["index"]]} for page in pages]
    whole = {"text": f"{asked['model']}: " + " ".join(page["text"] for page in pages), "sources": [0]}
    summary = {"assessment": whole, "strengths": statements, "weaknesses": [], "best_for": [], "avoid_for": []}
    return json.dumps({**summary, "confidence": "high"})


class Web:
    """The server's answers; ``asked`` are the prompts of designator and summarizer, ``queries`` the searches."""

    def __init__(
        self,
        pages: Callable[[str], Pages] = lambda query: WEB,
        *,
        summarise: Callable[[dict[str, Any]], str] = sum_up,
        search: Callable[[Request], Script | None] = lambda request: None,
    ) -> None:
        self.queries: list[str] = []
        self.summaries: list[dict[str, Any]] = []
        self.designations: list[str] = []
        self._pages = pages
        self._summarise = summarise
        self._search = search

    def server(self) -> FaultServer:
        return FaultServer(respond=self._respond)

    def _respond(self, request: Request) -> Script:
        for path, form, field in (("/px/search", perplexity, "query"), ("/jina/", jina, "q")):
            if request.target == path:
                self.queries.append(json.loads(request.body)[field])
                return form(self._pages(self.queries[-1]))
        if request.target.startswith("/search"):
            self.queries.append(parse_qs(urlsplit(request.target).query)["q"][0])
            return self._search(request) or searxng(self._pages(self.queries[-1]))
        body = json.loads(request.body)
        messages = body["messages"]
        if body["model"] == "writer":
            self.summaries.append(json.loads(messages[-1]["content"]))
            return completion(self._summarise(self.summaries[-1]))
        if body["model"] == "chooser":
            self.designations.append(messages[0]["content"])
            return completion(FULL)
        return completion("hello")


def documents(
    url: str,
    *,
    source: str = "chroma",
    names: tuple[str, ...] = ("smart",),
    provider: str = "searxng",
    search: str = "",
) -> dict[str, str]:
    """A gateway and its routers, all of whose models are at ``url``; ``search`` is the gateway's block, or ``-``."""
    gateway = (
        f"kind: gateway\nproviders:\n  openai: {{base_url: '{url}/v1', api_key: env:OPENAI_API_KEY}}\n"
        f"  own: {{wire: openai, base_url: '{url}/v1'}}\n"
        "models:\n  own/writer: {context: 100000, price: {input: 1, output: 2}}\n"
    )
    if search != "-":
        gateway += search or f"search: {{provider: searxng, searxng: {{url: '{url}'}}}}\n"

    router = (
        "designator: {{model: own/chooser, timeout: 5s}}\n"
        f"candidates:\n  - {{{{model: {FULL}, purpose: Hard tasks}}}}\n"
        f"  - {{{{model: {SMALL}, purpose: Small ones}}}}\n"
        f"intelligence: {{{{search: {provider}, summarizer: own/writer, source: {source}}}}}\n"
    )
    return {"gateway.yaml": gateway, **{f"{name}.yaml": f"name: {name}\n" + router.format() for name in names}}


ENVIRON = {"OPENAI_API_KEY": "sk-test"}


def write(folder: Path, texts: Mapping[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
    return folder


def snapshot(folder: Path) -> Snapshot:
    loaded = load(folder, ENVIRON)
    assert loaded.snapshot is not None, [str(problem) for problem in loaded.problems]
    return loaded.snapshot


def routers(folder: Path) -> list[Router]:
    return list(snapshot(folder).routers.values())


def assessment(
    candidate: str = FULL,
    text: str = "Strong at vision.",
    *,
    router: str = "smart",
    made: float = NOW,
    days: float = 30,
) -> Assessment:
    return Assessment(
        router=router,
        candidate=candidate,
        assessment=Statement(text, (0,)),
        strengths=(Statement('Reads "pictures": well # and charts', (0, 1)), Statement("Größe, 日本, emoji 🙂", (1,))),
        best_for=(Statement("charts", (1,)),),
        confidence="medium",
        sources=(Source("https://a.example/?a=1&b=2", "A: review", "2026-05-01"), Source("https://b.example", "", "")),
        summarizer="own/writer",
        generated_at=timestamp(made),
        expires_at=timestamp(made + days * 86400),
    )
