"""From the gateway document to clients, operators, limits and search."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import UNSET

from gateway.config import documents, urls
from gateway.config.model import Client, Limits, Operator, Search, SearchProvider, Secret
from gateway.config.problems import Place, Report, did_you_mean, show
from gateway.config.providers import bounded, checked_url, timers
from gateway.config.secrets import Secrets
from gateway.config.units import size

#: Ten years.
MAX_LEDGER = 3650 * 86400.0

#: The variable that says where SearXNG is, unless the gateway document does.
SEARXNG_URL = "SEARXNG_URL"


class Keys:
    """The keys of clients and operators: each belongs to one of them."""

    def __init__(self, secrets: Secrets, report: Report) -> None:
        self._secrets = secrets
        self._report = report
        self._owners: dict[Secret, str] = {}

    def take(self, reference: str, owner: str, place: Place) -> Secret | None:
        """The key of ``owner``; None, with a problem, where there is none or it is somebody else's."""
        key = self._secrets.resolve(reference, place)
        if key is None:
            return None
        other = self._owners.setdefault(key, owner)
        if other != owner:
            self._report.add(place, "E315", f"{show(other)} has the same key", "give each a key of its own")
            return None
        return key


def clients(
    entries: Sequence[documents.Client], place: Place, routers: Iterable[str], keys: Keys, report: Report
) -> tuple[Client, ...]:
    """The clients; ``routers`` are the names that there are."""
    names = {name.lower(): name for name in routers}
    _unique([entry.name for entry in entries], place, report)
    found = []
    for index, entry in enumerate(entries):
        here = place / index
        key = keys.take(entry.key, f"client {entry.name}", here / "key")
        allowed = None if entry.routers is UNSET else _allowed(entry.routers, here / "routers", names, report)
        if key is not None:
            tags = tuple(dict.fromkeys(entry.tags))
            found.append(Client(name=entry.name, key=key, routers=allowed, tags=tags))
    return tuple(found)


def _allowed(written: list[str], place: Place, names: dict[str, str], report: Report) -> frozenset[str]:
    for index, name in enumerate(written):
        if name.lower() not in names:
            remedy = did_you_mean(name, names.values(), "remove it, or add the router")
            report.add(place / index, "E314", f"there is no router {show(name)}", remedy)
    return frozenset(names.get(name.lower(), name) for name in written)


def operators(entries: Sequence[documents.Operator], place: Place, keys: Keys, report: Report) -> tuple[Operator, ...]:
    """The operators."""
    _unique([entry.name for entry in entries], place, report)
    found = []
    for index, entry in enumerate(entries):
        key = keys.take(entry.key, f"operator {entry.name}", place / index / "key")
        if key is not None:
            found.append(Operator(name=entry.name, key=key))
    return tuple(found)


def _unique(names: list[str], place: Place, report: Report) -> None:
    first: dict[str, int] = {}
    for index, name in enumerate(names):
        if first.setdefault(name, index) != index:
            line = (place / first[name]).line
            report.add(place / index / "name", "E302", f"{show(name)} is taken", f"line {line} has it already")


def limits(entry: documents.Limits, place: Place, report: Report) -> Limits:
    """Bounds, with the defaults where nothing is set."""
    default = Limits()
    return Limits(
        timers=timers(entry, default.timers, place, report),
        body=default.body if entry.body is UNSET else size(entry.body),
        concurrency=default.concurrency if entry.concurrency is UNSET else entry.concurrency,
        sessions=default.sessions if entry.sessions is UNSET else entry.sessions,
        ledger=default.ledger if entry.ledger is UNSET else bounded(entry.ledger, MAX_LEDGER, place / "ledger", report),
    )


def search(entry: documents.Search, place: Place, secrets: Secrets, report: Report) -> Search:
    """Where assessments are searched for. What is not written is in its usual variable, if that is set."""

    def url(written: str | object, here: Place, *, plain: bool = False) -> str | None:
        found = checked_url(written, here, report, plain=plain) if isinstance(written, str) else None
        return None if found is None else found.text

    def key(written: str | object, provider: SearchProvider) -> Secret | None:
        if isinstance(written, str):
            return secrets.resolve(written, place / provider / "api_key")
        # The variables of the others may be wrong without anybody minding.
        return secrets.usual(f"{provider.upper()}_API_KEY", place) if provider == entry.provider else None

    if entry.searxng is not UNSET:
        # It is sent no key, only the names of models.
        searxng = url(entry.searxng.url, place / "searxng" / "url", plain=True)
    else:
        searxng = _searxng_url(place, secrets, report) if entry.provider == "searxng" else None
    perplexity = entry.perplexity or documents.PerplexitySearch()
    jina = entry.jina or documents.JinaSearch()
    return Search(
        provider=entry.provider,
        searxng_url=searxng,
        perplexity_url=url(perplexity.base_url, place / "perplexity" / "base_url"),
        perplexity_key=key(perplexity.api_key, "perplexity"),
        jina_search_url=url(jina.search_url, place / "jina" / "search_url"),
        jina_reader_url=url(jina.reader_url, place / "jina" / "reader_url"),
        jina_key=key(jina.api_key, "jina"),
    )


def _searxng_url(place: Place, secrets: Secrets, report: Report) -> str | None:
    """The address that the environment names; None, with a problem, where there is none that can be used."""
    text = secrets.environ.get(SEARXNG_URL)
    if not text:
        message, remedy = "SearXNG has no address of its own", f"add 'searxng: {{url: …}}', or set {SEARXNG_URL}"
        # Where a check does without keys, it does without the variables of the gateway's machine.
        report.add(place, "E205" if secrets.required else "W406", message, remedy)
        return None
    try:
        return urls.check(text, plain=True).text
    except urls.BadUrl as error:
        report.add(place, error.code, f"{SEARXNG_URL}: {error.message}", error.remedy)
        return None
