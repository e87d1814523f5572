"""Every page for people who see badly, use no mouse, or have a small screen."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Page, ViewportSize, async_playwright

from tests.gatewayprocess import Gateway
from tests.ui.browser import DESK, PHONE, Pages, browser, needs_chromium
from tests.ui.conftest import FILES, PLAIN, REQUESTS, SMART, assess, fill

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_chromium]

AUDIT = Path(__file__).with_name("audit.js").read_text()
#: Everything that a key can reach.
REACHABLE = "a[href], button, input, select, summary, [tabindex='0']"
#: The element that has the focus: its number among those, and how its ring is seen.
FOCUSED = """([selector]) => {
  const element = document.activeElement;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return [[...document.querySelectorAll(selector)].indexOf(element), seen, inside, element.outerHTML.slice(0, 120)];
}"""
#: A provider where nobody answers, as a designator and as a candidate.
NOWHERE = {
    "gateway.yaml": "kind: gateway\nproviders: {nowhere: {wire: openai, base_url: 'http://127.0.0.1:9/v1'}}\n",
    "blind.yaml": "name: blind\ndesignator: {model: nowhere/d}\ncandidates:\n"
    "  - {model: sandbox/coder, purpose: Code}\n  - {model: sandbox/quick, purpose: All}\n",
}
PATHS = (
    "/ui/",
    "/ui/routers",
    "/ui/routers/smart",
    "/ui/routers/blind?range=30d",
    "/ui/routers/assessed",
    "/ui/decisions",
    "/ui/decisions?router=smart&request=0123",
    *(f"/ui/decisions/{number}" for number in (1, REQUESTS, REQUESTS + 1, REQUESTS + 2)),
    "/ui/decisions?router=nobody",
    "/ui/usage",
    "/ui/usage?by=tag&range=7d&show=cost",
    "/ui/usage?by=day&range=30d",
    "/ui/config",
    "/ui/nonsense",
)
#: CSS pixels of a window of 1280 at 400 % (WCAG 2.2, 1.4.10).
ZOOMED = 320
Scheme = Literal["light", "dark"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pages() -> AsyncIterator[Pages]:
    async with async_playwright() as playwright, browser(playwright) as pages:
        yield pages


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def troubled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway that has everything to show: good and bad ends of requests, and a change that it refuses."""
    async with Gateway(tmp_path_factory.mktemp("troubled"), {**FILES, **NOWHERE}) as gateway:
        assess(gateway)
        await gateway.until(lambda status: "assessment" in str(status["routers"]))
        await fill(gateway)
        for model, status in (("blind", 200), ("nowhere/m", 502)):
            body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
            assert (await gateway.client.post("/v1/chat/completions", json=body)).status_code == status
        await gateway.stored("ledger", count=REQUESTS + 2)
        first = (await gateway.status())["revision"]
        gateway.write("plain.yaml", PLAIN.replace("Everything", "Anything"))
        await gateway.until(lambda status: status["revision"] != first)
        gateway.write("smart.yaml", SMART.replace("sandbox/coder", json.dumps("sandbx/coder")))
        await gateway.until(lambda status: not status["desired"]["ok"])
        yield gateway


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def new(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway that nobody has asked anything yet."""
    async with Gateway(tmp_path_factory.mktemp("new"), {"smart.yaml": SMART}) as gateway:
        yield gateway


async def audit(page: Page) -> list[Any]:
    await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    found: list[Any] = await page.evaluate(AUDIT)
    return found


async def look(page: Page) -> dict[str, list[Any]]:
    """What is wrong with the page in light and in dark, on a desk, on a phone, and at 400 % of zoom."""
    wrong: dict[str, list[Any]] = {}
    looks: tuple[tuple[Scheme, int], ...] = (("light", DESK), ("dark", DESK), ("dark", PHONE), ("light", ZOOMED))
    for scheme, width in looks:
        # Without motion a colour is there at once.
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.set_viewport_size(ViewportSize(width=width, height=800))
        if found := await audit(page):
            wrong[f"{page.url} {scheme} {width}"] = found
    return wrong


async def test_everybody_can_read_every_page(troubled: Gateway, new: Gateway, pages: Pages) -> None:
    wrong: dict[str, list[Any]] = {}
    for gateway, paths in ((troubled, PATHS), (new, ("/ui/", "/ui/routers/smart", "/ui/decisions", "/ui/usage"))):
        tab = await pages.open(gateway)
        for path in paths:
            answer = await tab.page.goto(path)
            assert answer is not None
            wrong |= await look(tab.page)
            if answer.status == 200:
                await tab.check()
            else:
                # The browser complains that there is no such page, which is true.
                tab.complaints.clear()
    assert not wrong, json.dumps(wrong, indent=1, ensure_ascii=False)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_what_is_pointed_at_can_be_read_too(troubled: Gateway, pages: Pages, scheme: Scheme) -> None:
    tab = await pages.open(troubled, scheme=scheme)
    await tab.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for path, selector in (
        ("/ui/", "tbody tr .badge.good"),
        ("/ui/decisions", "tbody tr .badge.bad"),
        ("/ui/decisions", "tbody tr .badge.warn"),
        ("/ui/usage", ".choose a:not([aria-current])"),
        ("/ui/usage", ".top nav a:not([aria-current])"),
        ("/ui/usage", "#refresh button"),
    ):
        await tab.page.goto(path)
        await tab.page.locator(selector).first.hover()
        assert await audit(tab.page) == []


async def test_keys_reach_everything_and_show_where_they_are(troubled: Gateway, pages: Pages) -> None:
    tab = await pages.open(troubled, width=PHONE)
    for path in PATHS:
        await tab.page.goto(path)
        await tab.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        count = await tab.page.locator(REACHABLE).count()
        for number in range(count):
            await tab.page.keyboard.press("Tab")
            at, seen, inside, element = await tab.page.evaluate(FOCUSED, [REACHABLE])
            assert (at, seen, inside) == (number, True, True), (path, element)
