"""The pages in a real browser: Debian's chromium, without a window."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

from tests.gatewayprocess import Gateway
from tests.ui.conftest import PLAIN, SMART, fill

CHROMIUM = shutil.which("chromium")
OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

SECTIONS = {"Routers": "/ui/routers", "Decisions": "/ui/decisions", "Usage": "/ui/usage", "Config": "/ui/config"}


class Tab:
    """A page in a browser, and what it did that it should not."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self._origin = origin
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._requested(request.url))

    def _requested(self, url: str) -> None:
        if not url.startswith((f"{self._origin}/ui", "data:")):
            self.complaints.append(f"asked for {url}")

    async def check(self) -> None:
        """Nothing was complained of, nothing ran that is not ours, nothing sticks out."""
        assert not self.complaints
        assert "owned" not in await self.page.title()
        assert await self.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pages() -> AsyncIterator[Pages]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield Pages(browser)
        await browser.close()


class Pages:
    """Opens tabs of one browser, each with a profile of its own."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    async def open(
        self,
        gateway: Gateway,
        *,
        scheme: Literal["light", "dark"] = "light",
        phone: bool = False,
        script: bool = True,
    ) -> Tab:
        context = await self._browser.new_context(
            base_url=gateway.url,
            color_scheme=scheme,
            viewport=ViewportSize(width=360, height=740) if phone else ViewportSize(width=1280, height=800),
            java_script_enabled=script,
        )
        return Tab(await context.new_page(), gateway.url)


@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_by_its_links(
    gateway: Gateway, pages: Pages, scheme: Literal["light", "dark"], phone: bool
) -> None:
    tab = await pages.open(gateway, scheme=scheme, phone=phone)
    await tab.page.goto("/ui/")
    await tab.check()
    for name, path in SECTIONS.items():
        await tab.page.get_by_role("navigation", name="Sections").get_by_role("link", name=name).click()
        await expect(tab.page).to_have_url(f"{gateway.url}{path}")
        await expect(tab.page.get_by_role("heading", level=1)).to_have_text(name)
        await tab.check()
    await tab.page.goto("/ui/routers")
    await tab.page.get_by_role("link", name="smart").click()
    await expect(tab.page.get_by_role("heading", level=1)).to_have_text("smart")
    await tab.page.get_by_text("Read it").click()
    await tab.check()
    for choice in ("Candidate", "30 days", "Cost"):
        await tab.page.goto("/ui/usage")
        await tab.page.get_by_role("link", name=choice, exact=True).click()
        await tab.check()


async def test_a_decision_is_followed_to_its_steps(gateway: Gateway, pages: Pages) -> None:
    tab = await pages.open(gateway)
    await tab.page.goto("/ui/decisions")
    await tab.page.get_by_label("Decision").select_option("designated")
    await tab.page.get_by_role("button", name="Show").click()
    await tab.page.get_by_role("link", name="Steps of request").first.click()
    steps = tab.page.locator(".steps h2")
    await expect(steps).to_have_text(["Received", "Router", "Designator", "Decision", "Candidate", "Answer", "Account"])
    await tab.check()


async def test_the_keyboard_is_enough(gateway: Gateway, pages: Pages) -> None:
    tab = await pages.open(gateway)
    await tab.page.goto("/ui/")
    await tab.page.keyboard.press("Tab")
    await expect(tab.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.get_by_role("main")).to_be_focused()
    for _ in range(3):
        await tab.page.keyboard.press("Shift+Tab")
    await tab.page.keyboard.press("Enter")
    await expect(tab.page).to_have_url(f"{gateway.url}/ui/usage")
    await tab.check()


async def test_it_works_without_a_script(gateway: Gateway, pages: Pages) -> None:
    tab = await pages.open(gateway, script=False)
    await tab.page.goto("/ui/decisions")
    await tab.page.get_by_label("Router").select_option("plain")
    await tab.page.get_by_role("button", name="Show").click()
    await tab.page.get_by_role("link", name="Steps of request").first.click()
    await expect(tab.page.get_by_role("heading", name="Account")).to_be_visible()


async def test_a_page_renews_itself(tmp_path: Path, pages: Pages) -> None:
    """A request and a refused change appear while somebody looks, and the pause holds."""
    async with Gateway(tmp_path, {"smart.yaml": SMART, "plain.yaml": PLAIN}) as gateway:
        tab = await pages.open(gateway)
        await tab.page.clock.install()
        await tab.page.goto("/ui/")
        await fill(gateway)
        gateway.write("plain.yaml", PLAIN.replace("sandbox/quick", "sandbx/quick"))
        await gateway.until(lambda status: not status["desired"]["ok"])
        await tab.page.clock.fast_forward(6000)
        await expect(tab.page.get_by_role("heading", name="The configuration on disk is refused")).to_be_visible()
        await expect(tab.page.get_by_text(re.compile(r"plain\.yaml:4:\d+")).first).to_be_visible()
        await expect(tab.page.get_by_role("heading", name="Latest decisions")).to_be_visible()
        await tab.page.get_by_role("button", name="Live").click()
        await expect(tab.page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "false")
        await tab.page.get_by_role("link", name="See what is wrong").click()
        await expect(tab.page.get_by_role("heading", name="Problems")).to_be_visible()
        await tab.check()
