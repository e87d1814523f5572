"""Three search providers, as they answer and as they fail."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gateway.config.model import Search, SearchProvider, Secret
from gateway.intelligence.fetch import Fetch, SearchError
from gateway.intelligence.search import Found, reader, searcher
from tests.faultserver import FaultServer, Script, answer, free_port, hang, head, repeat, send
from tests.intelligence.kit import WEB, jina, perplexity, searxng

PAGES = {"searxng": searxng(WEB), "perplexity": perplexity(WEB), "jina": jina(WEB)}


def settings(name: SearchProvider, url: str) -> Search:
    key = Secret("k-123456789")
    return Search(
        provider=name,
        searxng_url=url,
        perplexity_url=url,
        perplexity_key=key,
        jina_search_url=url,
        jina_reader_url=url,
        jina_key=key,
    )


async def no_sleep(seconds: float) -> None:
    await asyncio.sleep(0)


async def ask(name: SearchProvider, *scripts: Script, fetch: Fetch | None = None) -> tuple[list[Found], FaultServer]:
    async with FaultServer(*scripts) as server, fetch or Fetch(sleep=no_sleep) as client:
        return await searcher(name, settings(name, server.url), {}, client).search("gpt-4o & more"), server


@pytest.mark.parametrize("name", ["searxng", "perplexity", "jina"])
async def test_pages_are_found(name: SearchProvider) -> None:
    found, server = await ask(name, PAGES[name])
    assert [(page.url, page.title, page.text) for page in found] == [
        (page["url"], page["title"], page["content"]) for page in WEB
    ]
    assert [page.date for page in found] == ["", "", "2026-05-01T00:00:00"]
    (request,) = server.requests
    assert request.headers["accept"] == "application/json"
    match name:
        case "searxng":
            assert (request.method, request.target) == ("GET", "/search?q=gpt-4o+%26+more&format=json")
        case "perplexity":
            assert (request.method, request.target) == ("POST", "/search")
            assert json.loads(request.body) == {
                "query": "gpt-4o & more",
                "max_results": 10,
                "max_tokens_per_page": 1024,
            }
        case "jina":
            assert (request.method, request.target) == ("POST", "/")
            assert json.loads(request.body) == {"q": "gpt-4o & more"}
            assert request.headers["x-retain-images"] == "none"
    assert name == "searxng" or request.headers["authorization"] == "Bearer k-123456789"


async def test_the_reader_brings_a_pages_text() -> None:
    page = Found("https://a.example/x", "t", "short")
    data = {"code": 200, "data": {"url": page.url, "title": "t", "content": "All of\n\x07it."}}
    async with FaultServer([answer(json.dumps(data))], [answer("oops", 500)]) as server, Fetch() as fetch:
        read = reader(settings("jina", server.url), {}, fetch)
        assert read is not None
        assert (await read.read(page)).text == "All of it."
        assert await read.read(page) == page, "a page that cannot be read is still a page"
    assert json.loads(server.requests[0].body) == {"url": page.url}


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([answer("<html>Forbidden", 403, content_type="text/html")], "add `json` under `search.formats`"),
        ([answer("<html>results", 200, content_type="text/html")], "add `json` under `search.formats`"),
        ([answer("{}")], "has no list of results"),
        ([answer("[1]")], "has no list of results"),
        ([answer('{"results": 3}')], "has no list of results"),
        ([answer("bad gateway", 502)], "status 502"),
        ([answer("{}", 429, [("Retry-After", "1")])], "rate limited (429)"),
        (
            [answer("", 302, [("Location", "http://169.254.169.254/latest")])],
            "redirects (302), which is never followed",
        ),
        ([answer("", 301, [("Location", "http://127.0.0.1:1/")])], "redirects (301)"),
        ([answer("{}", headers=[("Content-Encoding", "gzip")])], "encoded"),
        ([answer("x" * 5000)], "over 4,000 bytes"),
        ([head("application/json"), repeat(9, send(b"3e8\r\n" + b" " * 1000 + b"\r\n"))], "over 4,000 bytes"),
        ([hang()], "no whole answer within 0.2 s"),
        ([head("application/json"), hang()], "no whole answer within 0.2 s"),
        ([send("HTTP/9 what\r\n\r\n")], "the exchange failed"),
    ],
)
async def test_an_answer_that_cannot_be_used(script: Script, words: str) -> None:
    with pytest.raises(SearchError) as caught:
        await ask("searxng", script, fetch=Fetch(sleep=no_sleep, limit=4000, seconds=0.2))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "script", "words"),
    [
        (
            "searxng",
            [
                answer(
                    '{"query": "q", "results": [], "answers": [], "unresponsive_engines": '
                    '[["brave", "Suspended: too many requests"], ["google", "CAPTCHA"], 3, [], [null, "x"]]}'
                )
            ],
            "no results, and engines of it did not answer: brave (Suspended: too many requests), google (CAPTCHA)",
        ),
        (
            "searxng",
            [
                answer(
                    json.dumps({"results": None, "unresponsive_engines": [[f"e{n}", "timeout\x00"] for n in range(9)]})
                )
            ],
            "e3 (timeout ), e4 (timeout ) and 4 more",
        ),
        ("jina", [answer('{"data": null, "code": 402, "name": "InsufficientBalanceError"}', 402)], "no balance left"),
        ("jina", [answer('{"data": null, "code": 422, "status": 42201, "message": "q"}', 422)], "status 422"),
        ("perplexity", [answer('{"detail": "bad"}', 422)], "status 422"),
        ("perplexity", [answer('{"results": {}}')], "no list of results"),
        ("jina", [answer('{"code": 200}')], "no list of data"),
    ],
)
async def test_an_answer_that_says_why(name: SearchProvider, script: Script, words: str) -> None:
    with pytest.raises(SearchError) as caught:
        await ask(name, script)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("searxng", '{"results": [], "unresponsive_engines": []}', 200),
        ("searxng", '{"results": null}', 200),
        ("perplexity", '{"results": [], "id": "x"}', 200),
        ("jina", '{"code": 200, "status": 20000, "data": null}', 200),
        ("jina", '{"data": null, "code": 422, "status": 42206, "name": "AssertionFailureError"}', 422),
        ("jina", '{"data": null, "code": "422", "status": "42206"}', 422),
    ],
)
async def test_a_search_that_finds_nothing(name: SearchProvider, body: str, status: int) -> None:
    assert (await ask(name, [answer(body, status)]))[0] == []


#: A result with everything wrong that may be wrong with one that can be used.
ODD: dict[str, object] = {
    "url": "https://ok.example/",
    "title": None,
    "content": None,
    "snippet": 3,
    "description": ["x"],
    "publishedDate": None,
    "pubdate": 20260501,
    "date": {"year": 2026},
    "last_updated": None,
    "usage": {"tokens": "9"},
    "score": "high",
    "new": [{"deep": {"er": 1}}],
}


@pytest.mark.parametrize(("name", "field"), [("searxng", "results"), ("perplexity", "results"), ("jina", "data")])
async def test_a_result_with_nothing_but_an_address(name: SearchProvider, field: str) -> None:
    bare = {"url": "https://bare.example/"}
    found, _ = await ask(name, [answer(json.dumps({field: [ODD, bare], "code": "200", "more": 1}))])
    assert found == [Found("https://ok.example/", "", ""), Found("https://bare.example/", "", "")]


async def test_what_only_pythons_json_takes() -> None:
    """SearXNG writes with Python's own json: halves of characters, and numbers that JSON does not have."""
    text = '{"results": [{"url": "https://ok.example/", "content": "a\\ud83db", "score": NaN}]}'
    found, _ = await ask("searxng", [answer(text)])
    assert [page.text for page in found] == ["a b"]


async def test_a_second_date_stands_in_for_the_first() -> None:
    pages = [{"url": "https://a.example/", "date": None, "last_updated": "2026-02-01"}]
    found, _ = await ask("perplexity", [answer(json.dumps({"results": pages}))])
    assert [page.date for page in found] == ["2026-02-01"]


async def test_nobody_is_there() -> None:
    async with Fetch() as fetch:
        with pytest.raises(SearchError, match="cannot be reached"):
            await searcher("searxng", None, {"SEARXNG_URL": f"http://127.0.0.1:{free_port()}"}, fetch).search("q")


async def test_a_rate_limit_is_waited_for() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    limited = [answer("{}", 429, [("Retry-After", "7")])]
    long = [answer("{}", 429, [("Retry-After", "9999")])]
    found, server = await ask("searxng", limited, long, PAGES["searxng"], fetch=Fetch(sleep=sleep))
    assert len(found) == 3
    assert waits == [7.0, 30.0]
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("name", "environ", "words"),
    [
        ("searxng", {}, "set search.searxng.url in the gateway document, or SEARXNG_URL"),
        ("searxng", {"SEARXNG_URL": "searxng:8080"}, "SEARXNG_URL: the URL is neither http nor https"),
        ("searxng", {"SEARXNG_URL": "http://169.254.169.254/"}, "SEARXNG_URL: "),
        ("searxng", {"SEARXNG_URL": "http://me:secret@searxng"}, "SEARXNG_URL: the URL holds credentials"),
        ("perplexity", {}, "set PERPLEXITY_API_KEY, or PERPLEXITY_API_KEY_FILE"),
        ("perplexity", {"PERPLEXITY_API_KEY_FILE": "/nowhere"}, '"/nowhere" cannot be read: it does not exist'),
        ("perplexity", {"PERPLEXITY_API_KEY": "two\nlines"}, "not one line of printable ASCII"),
        ("jina", {}, "set JINA_API_KEY, or JINA_API_KEY_FILE"),
    ],
)
async def test_what_is_missing(name: SearchProvider, environ: dict[str, str], words: str) -> None:
    async with Fetch() as fetch:
        with pytest.raises(SearchError) as caught:
            searcher(name, None, environ, fetch)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("provider", ["perplexity", "jina"])
@pytest.mark.parametrize("kind", ["variable", "file"])
async def test_a_key_of_the_environment(tmp_path: Path, provider: SearchProvider, kind: str) -> None:
    name = f"{provider.upper()}_API_KEY"
    (tmp_path / "key").write_text("k-of-a-file\n")
    environ = {name: "k-of-a-variable"} if kind == "variable" else {f"{name}_FILE": str(tmp_path / "key")}
    async with FaultServer(PAGES[provider]) as server, Fetch() as fetch:
        own = Search(provider=provider, perplexity_url=server.url, jina_search_url=server.url)
        await searcher(provider, own, environ, fetch).search("q")
    assert server.requests[0].headers["authorization"] == f"Bearer k-of-a-{kind}"


async def test_what_is_written_counts_more_than_the_environment() -> None:
    async with FaultServer(PAGES["searxng"]) as server, Fetch() as fetch:
        written = Search(provider="searxng", searxng_url=server.url)
        await searcher("searxng", written, {"SEARXNG_URL": "http://127.0.0.1:1"}, fetch).search("q")
    assert len(server.requests) == 1


@pytest.mark.parametrize(("name", "variable"), [("perplexity", "PERPLEXITY_API_KEY"), ("jina", "JINA_API_KEY")])
async def test_a_key_that_is_refused(name: SearchProvider, variable: str) -> None:
    with pytest.raises(SearchError, match=variable) as caught:
        await ask(name, [answer('{"error": "k-123456789"}', 401)])
    assert "k-123456789" not in str(caught.value)


async def test_results_of_other_shapes_are_passed_over() -> None:
    odd: list[object] = [
        7,
        None,
        {},
        {"url": 3},
        {"url": "ftp://a"},
        {"url": "https://a b"},
        {"url": "javascript:alert(1)"},
    ]
    odd += [{"url": "https://x.example/\n"}, {"url": "https://ok.example", "title": 3, "content": ["x"]}]
    found, _ = await ask("searxng", [answer(json.dumps({"results": odd}))])
    assert found == [Found("https://ok.example", "", "")]
