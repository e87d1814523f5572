"""The pages: there, whole, locked down, and inert whatever they show."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import AsyncIterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
import pytest_asyncio

from gateway.generation import Generation
from gateway.ledger import account
from gateway.server.services import Services
from gateway.server.settings import Settings
from gateway.server.ui.view import View
from gateway.store import FILE
from tests.faultserver import free_port
from tests.gatewayprocess import Gateway
from tests.ui.conftest import ASSESSED, FILES, HOSTILE, LONG, PLAIN, REQUESTS, STORED, TRACE, assess

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = [
    "/ui",
    "/ui/",
    "/ui/routers",
    "/ui/routers?range=30d",
    "/ui/routers/smart",
    "/ui/routers/smart?range=7d",
    "/ui/routers/assessed",
    "/ui/routers/stored",
    "/ui/decisions",
    "/ui/decisions?router=smart&candidate=sandbox/coder&decision=designated&status=answered&client=-",
    "/ui/decisions?router=%3Cimg%20src=x%20onerror=alert(1)%3E&status=nonsense&before=x",
    "/ui/decisions?request=%3Cscript%3E",
    "/ui/decisions?before=2",
    *(f"/ui/usage?by={by}&range=7d" for by in ("router", "candidate", "tag", "client", "day")),
    *(f"/ui/usage?show={show}" for show in ("requests", "cost", "tokens")),
    "/ui/usage?by=nonsense&range=%22%3E%3Cscript%3E&show=%22",
    "/ui/config",
]
ERRORS = [
    "/ui/nonsense",
    "/ui/routers/nobody",
    "/ui/decisions/999999999",
    "/ui/decisions/x",
    "/ui/usage/x",
    "/ui/static/nothing.css",
    "/ui/static/../site.py",
    "/ui/%3Cscript%3E",
]
#: What changes the direction of a text.
DIRECTIONS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
WATCH, TEAM = "key-of-the-watch-0123456789", "key-of-the-team-0123456789"


class Reader(HTMLParser):
    """What a browser would see of a page."""

    #: Elements and attributes that no page has.
    ACTIVE = frozenset({"iframe", "object", "embed", "style", "base", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def check(self) -> None:
        for tag, attributes in self.elements:
            assert tag not in self.ACTIVE, tag
            assert tag != "script" or (attributes.get("src") or "").startswith("/ui/static/refresh.js?")
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            if tag == "a" and "target" in attributes:
                # A source of an assessment: the only way out, and it takes nothing along.
                assert (attributes["href"] or "").startswith(("https://", "http://"))
                assert attributes["rel"] == "noopener noreferrer nofollow"
                continue
            for name in ("href", "src", "action"):
                value = attributes.get(name)
                assert value is None or value.startswith(("/ui", "#main")) or value == "data:,", value


def check_headers(answer: httpx.Response) -> None:
    directives = answer.headers["content-security-policy"].split("; ")
    policy = {name: sources for name, _, sources in (directive.partition(" ") for directive in directives)}
    assert policy == {
        **dict.fromkeys(("default-src", "base-uri", "frame-ancestors"), "'none'"),
        **dict.fromkeys(("script-src", "style-src", "connect-src", "form-action"), "'self'"),
        "img-src": "'self' data:",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    for name in ("cross-origin-opener-policy", "cross-origin-resource-policy"):
        assert answer.headers[name] == "same-origin"
    kept = answer.url.path in ("/ui/static/ui.css", "/ui/static/refresh.js") and answer.status_code == 200
    assert answer.headers["cache-control"] == ("private, max-age=31536000, immutable" if kept else "no-store")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stateless(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway that nobody has asked anything yet."""
    async with Gateway(tmp_path_factory.mktemp("new"), FILES) as it:
        yield it


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("used", [True, False], ids=["used", "new"])
async def test_every_page_is_there_and_inert(gateway: Gateway, stateless: Gateway, path: str, used: bool) -> None:
    answer = await (gateway if used else stateless).client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    check_headers(answer)
    Reader(answer.text).check()
    assert '<main id="main"' in answer.text
    assert answer.text.count(' aria-current="page"') == 1


@pytest.mark.parametrize("path", ERRORS)
async def test_errors_are_pages_too(gateway: Gateway, path: str) -> None:
    answer = await gateway.client.get(path)
    assert answer.status_code == 404
    if path.startswith("/ui/") and ".." not in path:
        check_headers(answer)
        Reader(answer.text).check()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/ui", "/ui/routers/smart", "/ui/config", "/ui/static/ui.css", "/ui/nonsense"])
async def test_nothing_can_be_changed(gateway: Gateway, method: str, path: str) -> None:
    answer = await gateway.client.request(method, path, content=b"x=y")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    check_headers(answer)


async def test_hostile_text_is_shown_as_it_is(gateway: Gateway) -> None:
    page = (await gateway.client.get("/ui/routers/smart")).text
    assert "<img" not in page
    assert "&lt;img src=x onerror=" in page
    assert LONG in page


@pytest.mark.parametrize(
    "name",
    ['"><img src=x onerror=alert(1)>', "</title><script>alert(1)</script>", "'-alert(1)-'", "{{ 7 * 7 }}", "W" * 400],
    ids=["attribute", "title", "quote", "template", "long"],
)
async def test_a_clients_words_are_text_on_every_page(gateway: Gateway, name: str) -> None:
    body = {"model": f"sandbox/{name}", "messages": [{"role": "user", "content": "Hello"}]}
    told = await gateway.client.post("/v1/chat/completions", json=body)
    request_id = told.headers["x-request-id"]
    (row,) = await gateway.stored("ledger", f"request_id = '{request_id}'")
    shown = html.escape(row["candidate"])
    assert shown == html.escape(f"sandbox/{name}")
    for path in ("/ui/", "/ui/decisions", f"/ui/decisions/{row['id']}", "/ui/usage?by=candidate"):
        page = (await gateway.client.get(path)).text
        assert shown in html.escape(html.unescape(page))
        assert "49" not in shown
        Reader(page).check()
    for style in ("csv", "json"):
        answer = await gateway.client.get(f"/ui/usage.{style}?by=candidate")
        assert answer.headers["content-disposition"].startswith("attachment; ")
        check_headers(answer)


async def test_nothing_on_a_page_changes_the_direction_of_the_rest(gateway: Gateway) -> None:
    body = {"model": "sandbox/\u202etxt.exe\u2066", "messages": [{"role": "user", "content": "Hello"}]}
    told = await gateway.client.post("/v1/chat/completions", json=body)
    (row,) = await gateway.stored("ledger", f"request_id = '{told.headers['x-request-id']}'")
    for path in ("/ui/", "/ui/decisions", f"/ui/decisions/{row['id']}", "/ui/usage?by=candidate"):
        page = (await gateway.client.get(path)).text
        assert not DIRECTIONS.search(page)
        assert "sandbox/[U+202E]txt.exe[U+2066]" in page


@pytest.mark.parametrize("name", ["ui.css", "refresh.js"])
async def test_assets_are_the_gateways_own(gateway: Gateway, name: str) -> None:
    page = (await gateway.client.get("/ui")).text
    found = re.search(rf'"(/ui/static/{name}\?[0-9a-f]+)"', page)
    assert found is not None
    answer = await gateway.client.get(found[1])
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    check_headers(answer)
    assert "://" not in answer.text


async def test_a_head_has_no_body(gateway: Gateway) -> None:
    answer = await gateway.client.head("/ui/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


async def test_every_decision_opens_to_its_steps(gateway: Gateway) -> None:
    rows = await gateway.stored("ledger", count=REQUESTS)
    for row in rows:
        page = (await gateway.client.get(f"/ui/decisions/{row['id']}")).text
        Reader(page).check()
        assert row["request_id"] in page
        assert (TRACE in page) is (row["trace_id"] == TRACE)
        if row["decision"] == "designated":
            assert "sandbox/designator was to choose" in page
            assert "The designator named this candidate." in page
        if row["decision"] == "only_candidate":
            assert "nobody had to choose" in page


async def test_a_request_is_found_by_its_id(gateway: Gateway) -> None:
    row = (await gateway.stored("ledger", "router = 'smart'"))[0]
    answer = await gateway.client.get("/ui/decisions", params={"request": row["request_id"].upper()})
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/ui/decisions/{row['id']}"


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ("router=smart", "router = 'smart'"),
        ("router=-", "router IS NULL"),
        ("decision=only_candidate", "decision = 'only_candidate'"),
        ("candidate=sandbox/quick", "candidate = 'sandbox/quick'"),
        ("status=answered", "ended = 'complete'"),
        ("status=failed", "ended = 'error'"),
        ("client=nobody", "FALSE"),
    ],
)
async def test_filters_choose_rows(gateway: Gateway, query: str, condition: str) -> None:
    page = (await gateway.client.get(f"/ui/decisions?{query}")).text
    wanted = await gateway.stored("ledger", condition, count=0)
    shown = {int(number) for number in re.findall(r'href="/ui/decisions/(\d+)"', page)}
    assert shown == {row["id"] for row in wanted}


@pytest.mark.parametrize("by", ["router", "candidate", "tag", "client", "day"])
async def test_exports_can_be_read(gateway: Gateway, by: str) -> None:
    answer = await gateway.client.get(f"/ui/usage.csv?by={by}")
    assert answer.headers["content-disposition"] == f'attachment; filename="usage-{by}-24h.csv"'
    check_headers(answer)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    groups = json.loads((await gateway.client.get(f"/ui/usage.json?by={by}")).text)
    assert [row[by] for row in rows] == [group["key"] or "" for group in groups["groups"]]
    assert [int(row["requests"]) for row in rows] == [group["requests"] for group in groups["groups"]]
    assert all(row[by][:1] not in tuple("=+@\t") for row in rows)
    whole = total_of(gateway)
    for name, value in groups["total"].items():
        # Everything is exact but the means: their sums depend on the order.
        assert value == (pytest.approx(whole[name]) if name in ("ttft_ms", "total_ms") else whole[name])
    if by != "tag":
        assert sum(int(row["requests"]) for row in rows) == whole["requests"]


def total_of(gateway: Gateway) -> dict[str, object]:
    """What ``llm-relay usage`` says of all requests."""
    _, whole = account(gateway.data / FILE, by="router")
    return {name: getattr(whole, name) for name in whole.__struct_fields__}


async def test_a_refused_change_is_seen_with_its_line(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"plain.yaml": PLAIN}) as gateway:
        gateway.write("plain.yaml", PLAIN.replace("sandbox/quick", f"'{HOSTILE.replace(chr(39), '')}/quick'"))
        await gateway.until(lambda status: not status["desired"]["ok"])
        for path in ("/ui/", "/ui/config"):
            page = (await gateway.client.get(path)).text
            assert "plain.yaml:4:" in page
            assert "refused" in page
            Reader(page).check()
        gateway.write("plain.yaml", PLAIN.replace("Everything", "Anything"))
        await gateway.until(lambda status: status["desired"]["ok"])
        page = (await gateway.client.get("/ui/config")).text
        assert "<del>Everything</del>" in page
        assert "<ins>Anything</ins>" in page
        assert "at start" in page
        assert "refused" in page
        Reader(page).check()


async def test_assessments_that_cannot_be_used_are_seen_with_their_line(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, {"assessed.yaml": ASSESSED})
    assess(gateway)
    async with gateway:
        await gateway.until(lambda status: "assessment" in status["routers"][0]["candidates"][0])
        file = gateway.config / "intelligence" / "assessed.yaml"
        file.write_text(file.read_text().replace("confidence: medium", f"confidence: {json.dumps(HOSTILE)}"))
        await gateway.until(lambda status: not status["desired"]["ok"])
        for path in ("/ui/", "/ui/config"):
            page = (await gateway.client.get(path)).text
            assert f"{file}:14:17" in page
            assert "Invalid enum value" in page
            Reader(page).check()
        page = (await gateway.client.get("/ui/routers/assessed")).text
        assert "Strong at sandbox/coder." in page, "what was good goes on being used"


async def test_a_store_that_cannot_be_read_is_noticed(tmp_path: Path) -> None:
    """Where ChromaDB is not installed, that is the reason."""
    environ = {"CHROMA_URL": f"http://me:secret@127.0.0.1:{free_port()}"}
    async with Gateway(tmp_path, {"stored.yaml": STORED}, environ=environ) as gateway:
        status = await gateway.until(lambda status: status["routers"][0]["intelligence"]["trouble"])
        for path in ("/ui/", "/ui/routers/stored"):
            page = (await gateway.client.get(path)).text
            assert "cannot be read now" in page
            assert status["routers"][0]["intelligence"]["trouble"] in unescape(page)
            assert "secret" not in page
            Reader(page).check()
        assert page.count("Nothing is known of it, and ChromaDB cannot be read now.") == 3


async def test_operators_come_in_with_basic(tmp_path: Path) -> None:
    files = {
        "plain.yaml": PLAIN,
        "gateway.yaml": "kind: gateway\n"
        "clients: [{name: team, key: env:TEAM}]\n"
        "operators: [{name: watch, key: env:WATCH}]\n",
    }
    async with Gateway(tmp_path, files, environ={"TEAM": TEAM, "WATCH": WATCH}) as gateway:
        for path in ("/ui", "/ui/config", "/ui/usage.csv", "/ui/static/ui.css", "/ui/nonsense"):
            refused = await gateway.client.get(path)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"].startswith("Basic realm=")
            check_headers(refused)
            assert "smart" not in refused.text
        for auth, status in (
            (("watch", WATCH), 200),
            (("", WATCH), 200),
            (("watch", TEAM), 401),
            (("watch", ""), 401),
            ((WATCH, "x"), 401),
        ):
            assert (await gateway.client.get("/ui/", auth=auth)).status_code == status
        for header, status in ((f"Bearer {WATCH}", 200), ("Basic !!!", 401), ("Basic", 401), ("Basic /w==", 401)):
            answer = await gateway.client.get("/ui/", headers={"Authorization": header})
            assert answer.status_code == status
        # A key in a browser opens no client's door.
        body = {"model": "plain", "messages": [{"role": "user", "content": "Hello"}]}
        answer = await gateway.client.post("/v1/chat/completions", json=body, auth=("team", TEAM))
        assert answer.status_code == 401
        page = (await gateway.client.get("/ui/config", auth=("", WATCH))).text
        assert WATCH not in page
        assert TEAM not in page


async def test_a_ledger_that_cannot_be_read_is_no_failure(tmp_path: Path) -> None:
    # A folder in its place: the gateway serves on, and can never make the file.
    (tmp_path / "data" / FILE).mkdir(parents=True)
    async with Gateway(tmp_path, {"plain.yaml": PLAIN}) as gateway:
        for path in ("/ui/", "/ui/routers", "/ui/routers/plain", "/ui/decisions", "/ui/decisions/1", "/ui/usage"):
            answer = await gateway.client.get(path)
            assert answer.status_code == 200
            assert "The ledger cannot be read now" in answer.text
        assert (await gateway.client.get("/ui/usage.csv")).status_code == 404


async def test_without_a_data_folder_pages_say_so(tmp_path: Path) -> None:
    services = cast(Services, SimpleNamespace(settings=Settings(config=tmp_path)))
    view = View(services, cast(Generation, None), {}, "")
    assert view.look(lambda activity: activity.number("")) is None
    assert "keeps no ledger" in view.notice
