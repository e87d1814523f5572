"""The pages in a real browser: where links lead, what renews itself, what works without a script."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright, expect

from tests.gatewayprocess import Gateway
from tests.ui.browser import DESK, PHONE, Pages, browser, needs_chromium
from tests.ui.conftest import HOSTILE, PLAIN, SMART, fill

pytestmark = [pytest.mark.asyncio(loop_scope="module"), needs_chromium]

SECTIONS = {"Routers": "/ui/routers", "Decisions": "/ui/decisions", "Usage": "/ui/usage", "Config": "/ui/config"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pages() -> AsyncIterator[Pages]:
    async with async_playwright() as playwright, browser(playwright) as pages:
        yield pages


@pytest.mark.parametrize("width", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_by_its_links(
    gateway: Gateway, pages: Pages, scheme: Literal["light", "dark"], width: int
) -> None:
    tab = await pages.open(gateway, scheme=scheme, width=width)
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


@pytest.mark.parametrize("width", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_assessments_are_shown_and_inert(
    gateway: Gateway, pages: Pages, scheme: Literal["light", "dark"], width: int
) -> None:
    tab = await pages.open(gateway, scheme=scheme, width=width)
    await tab.page.goto("/ui/routers/assessed")
    used = tab.page.get_by_role("article", name="sandbox/coder")
    await expect(used.get_by_text("in use")).to_be_visible()
    # As text, to the last character: what looks like markup is what somebody wrote.
    await expect(used.locator("blockquote")).to_contain_text(f"Strong at sandbox/coder. {HOSTILE}")
    await used.get_by_text("Statements and sources").click()
    await expect(used.get_by_text(f"Quick {HOSTILE}")).to_be_visible()
    (link,) = await used.get_by_role("link").all()
    await expect(link).to_have_text(f"A review {HOSTILE}")
    await expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    assert await link.get_attribute("href") == "https://a.example/?a=1&b=<script>"
    await tab.check()
    expired = tab.page.get_by_role("article", name="sandbox/generalist")
    await expect(expired.get_by_text("It has expired and is not used any more.")).to_be_visible()
    await expect(expired.locator("blockquote")).to_have_count(0)
    await expect(tab.page.get_by_role("article", name="sandbox/quick").get_by_text("none yet")).to_have_count(2)
    for verb in ("refresh", "export"):
        command = f"llm-relay intelligence {verb} {gateway.config} --router assessed"
        await expect(tab.page.get_by_text(command, exact=True)).to_be_visible()
    await tab.page.goto("/ui/")
    await expect(tab.page.get_by_text("One assessment is expired, and not used any more: assessed")).to_be_visible()
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
