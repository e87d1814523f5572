"""Search providers behind one small interface: a query in, pages out, best first.

- SearXNG: ``GET /search?q=…&format=json`` (https://docs.searxng.org/dev/search_api.html). A format that is not listed
  in its settings is answered with 403. The answer is written in ``get_json_response`` of its ``searx/webutils.py``:
  dates are ISO 8601 or null; engines that failed stand in ``unresponsive_engines`` as pairs of name and reason, with
  status 200 even where all of them did.
- Perplexity: ``POST /search`` with a key (https://docs.perplexity.ai/api-reference/search-post): at most 20 results,
  ``date`` and ``last_updated`` optional.
- Jina: ``POST https://s.jina.ai/`` with a key and, for one page, ``POST https://r.jina.ai/`` where a key only raises
  the limits (https://docs.jina.ai, https://jina.ai/reader). Both answer JSON only when asked to by ``Accept``. A search
  that finds nothing is a 422 with the code 42206 in its ``status``, an empty account a 402.

What they answer is read tolerantly: a result without an address or of another shape is passed over, and so is a date,
title or text that is missing, null, or no text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from gateway.config import urls
from gateway.config.model import Search, SearchProvider, Secret
from gateway.config.problems import Marks, Place, Report
from gateway.config.secrets import Secrets
from gateway.config.settings import SEARXNG_URL
from gateway.intelligence.assessment import TITLE, clean
from gateway.intelligence.fetch import Fetch, SearchError

#: Results that are taken of one query, and characters of one page's text.
RESULTS, TEXT = 10, 6_000
_LONGEST_URL = 1_000

PERPLEXITY, JINA_SEARCH = "https://api.perplexity.ai", "https://s.jina.ai"
#: Jina's own code for a search without results, and what keeps pictures and their addresses out of its texts.
_JINA_NOTHING_FOUND = "42206"
_PLAIN_TEXT = {"x-retain-images": "none"}
#: Engines that are named where none of them answered.
_MOST_ENGINES = 5


class Found(msgspec.Struct, frozen=True):
    """A page as a search provider shows it: plain text, cleaned and capped."""

    url: str
    title: str
    text: str
    date: str = ""


class Searcher(Protocol):
    """One search provider."""

    name: str

    async def search(self, query: str) -> list[Found]:
        """Pages, best first; none is an answer too. Raises SearchError."""


class Searxng:
    """A SearXNG instance."""

    name = "searxng"

    def __init__(self, fetch: Fetch, url: str) -> None:
        self._fetch = fetch
        self._url = f"{url.rstrip('/')}/search"

    async def search(self, query: str) -> list[Found]:
        try:
            value = await self._fetch.get(self._url, {"q": query, "format": "json"})
        except SearchError as error:
            # Whoever forbids a format shows a page, with status 403; older versions with 200.
            if not error.json and error.status in (200, 403):
                words = "JSON format is disabled on this SearXNG: add `json` under `search.formats` in its settings"
                raise SearchError(words, status=error.status) from None
            raise
        pages = [
            found
            for result in _list(value, "results")
            if (found := _found(result, "content", date=("publishedDate", "pubdate")))
        ]
        if not pages and (silent := _unresponsive(value)):
            # An outage must not look like a web that knows nothing.
            raise SearchError(f"it has no results, and engines of it did not answer: {silent}")
        return pages[:RESULTS]


class Perplexity:
    """Perplexity's search API."""

    name = "perplexity"

    def __init__(self, fetch: Fetch, url: str, key: Secret) -> None:
        self._fetch = fetch
        self._url = f"{url.rstrip('/')}/search"
        self._headers = {"authorization": f"Bearer {key.reveal()}"}

    async def search(self, query: str) -> list[Found]:
        body = {"query": query, "max_results": RESULTS, "max_tokens_per_page": 1024}
        value = await _keyed(self._fetch.post(self._url, body, self._headers), "PERPLEXITY_API_KEY")
        return [
            found
            for result in _list(value, "results")
            if (found := _found(result, "snippet", date=("date", "last_updated")))
        ][:RESULTS]


class Jina:
    """Jina's search API, which brings the pages' text with it."""

    name = "jina"

    def __init__(self, fetch: Fetch, url: str, key: Secret | None) -> None:
        self._fetch = fetch
        self._url = f"{url.rstrip('/')}/"
        self._headers = {**_bearer(key), **_PLAIN_TEXT}

    async def search(self, query: str) -> list[Found]:
        try:
            value = await _keyed(self._fetch.post(self._url, {"q": query}, self._headers), "JINA_API_KEY")
        except SearchError as error:
            if isinstance(error.said, dict) and str(error.said.get("status")) == _JINA_NOTHING_FOUND:
                return []
            raise
        return [
            found
            for result in _list(value, "data")
            if (found := _found(result, "content", "description", date=("date", "publishedTime")))
        ][:RESULTS]


class Reader:
    """Jina's reader: one page as text."""

    def __init__(self, fetch: Fetch, url: str, key: Secret | None) -> None:
        self._fetch = fetch
        self._url = f"{url.rstrip('/')}/"
        self._headers = {**_bearer(key), **_PLAIN_TEXT}

    async def read(self, found: Found) -> Found:
        """``found`` with the page's own text, where it can be had; never fails."""
        try:
            value = await self._fetch.post(self._url, {"url": found.url}, self._headers)
        except SearchError:
            return found
        data = value.get("data") if isinstance(value, dict) else None
        content = data.get("content") if isinstance(data, dict) else None
        text = clean(content, TEXT) if isinstance(content, str) else ""
        return msgspec.structs.replace(found, text=text) if text else found


def searcher(name: SearchProvider, settings: Search | None, environ: Mapping[str, str], fetch: Fetch) -> Searcher:
    """The provider that a router names. Raises SearchError where its address or key is missing."""
    return _SEARCHERS[name](settings or Search(provider=name), environ, fetch)


def reader(settings: Search | None, environ: Mapping[str, str], fetch: Fetch) -> Reader | None:
    """The reader of pages: where the configuration gives its address."""
    if settings is None or settings.jina_reader_url is None:
        return None
    return Reader(fetch, settings.jina_reader_url, _key(settings.jina_key, environ, "JINA_API_KEY"))


def _searxng(settings: Search, environ: Mapping[str, str], fetch: Fetch) -> Searcher:
    if settings.searxng_url is not None:
        return Searxng(fetch, settings.searxng_url)
    text = environ.get(SEARXNG_URL)
    if not text:
        raise SearchError(f"it has no address: set search.searxng.url in the gateway document, or {SEARXNG_URL}")
    try:
        return Searxng(fetch, urls.check(text, plain=True).text)
    except urls.BadUrl as error:
        raise SearchError(f"{SEARXNG_URL}: {error.message}; {error.remedy}") from None


def _perplexity(settings: Search, environ: Mapping[str, str], fetch: Fetch) -> Searcher:
    key = _key(settings.perplexity_key, environ, "PERPLEXITY_API_KEY")
    if key is None:
        raise SearchError("it needs a key: set PERPLEXITY_API_KEY, or PERPLEXITY_API_KEY_FILE")
    return Perplexity(fetch, settings.perplexity_url or PERPLEXITY, key)


def _jina(settings: Search, environ: Mapping[str, str], fetch: Fetch) -> Searcher:
    key = _key(settings.jina_key, environ, "JINA_API_KEY")
    if key is None and settings.jina_search_url is None:
        raise SearchError("it needs a key: set JINA_API_KEY, or JINA_API_KEY_FILE")
    return Jina(fetch, settings.jina_search_url or JINA_SEARCH, key)


_SEARCHERS: dict[SearchProvider, Callable[[Search, Mapping[str, str], Fetch], Searcher]] = {
    "searxng": _searxng,
    "perplexity": _perplexity,
    "jina": _jina,
}


def _key(known: Secret | None, environ: Mapping[str, str], variable: str) -> Secret | None:
    if known is not None:
        return known
    report = Report()
    key = Secrets(environ, report).usual(variable, Place("", Marks()))
    if report.failed:
        raise SearchError(f"its key cannot be used: {report.problems[0].message}")
    return key


def _bearer(key: Secret | None) -> dict[str, str]:
    return {} if key is None else {"authorization": f"Bearer {key.reveal()}"}


async def _keyed(answer: Any, variable: str) -> object:
    """``answer``, which an unknown key is refused for."""
    try:
        value: object = await answer
    except SearchError as error:
        if error.status in (401, 403):
            raise SearchError(f"it refuses the key ({error.status}): check {variable}", status=error.status) from None
        if error.status == 402:
            raise SearchError(f"the account of {variable} has no balance left (402)", status=402) from None
        raise
    return value


def _list(value: object, name: str) -> list[Any]:
    """The results in an answer; null is none. Raises SearchError where there is no list of them."""
    found = value.get(name, "") if isinstance(value, dict) else ""
    if found is None:
        return []
    if not isinstance(found, list):
        raise SearchError(f"its answer has no list of {name}")
    return found


def _unresponsive(value: object) -> str:
    """SearXNG's engines that did not answer, each with its reason."""
    pairs = value.get("unresponsive_engines") if isinstance(value, dict) else None
    words = [
        clean(" ".join(f"({part})" if index else part for index, part in enumerate(pair[:2])), 80)
        for pair in (pairs if isinstance(pairs, list) else ())
        if isinstance(pair, list) and pair and all(isinstance(part, str) for part in pair[:2])
    ]
    more = len(words) - _MOST_ENGINES
    return ", ".join(words[:_MOST_ENGINES]) + (f" and {more} more" if more > 0 else "")


def _found(result: object, *texts: str, date: tuple[str, ...]) -> Found | None:
    if not isinstance(result, dict):
        return None
    url = result.get("url")
    if not isinstance(url, str) or len(url) > _LONGEST_URL or clean(url, _LONGEST_URL) != url or " " in url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    text = next((clean(value, TEXT) for name in texts if isinstance(value := result.get(name), str) and value), "")
    title = result.get("title")
    dated = next((value for name in date if isinstance(value := result.get(name), str) and value), "")
    return Found(url, clean(title, TITLE) if isinstance(title, str) else "", text, clean(dated, 32))
