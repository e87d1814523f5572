"""A real browser: Debian's chromium, without a window."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, Playwright, ViewportSize

from tests.gatewayprocess import Gateway

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
#: Widths of a desk's screen and of a small phone's, in CSS pixels.
DESK, PHONE = 1280, 360

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


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


class Pages:
    """Opens tabs of one browser, each with a profile of its own."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    async def open(
        self,
        gateway: Gateway,
        *,
        scheme: Literal["light", "dark"] = "light",
        width: int = DESK,
        script: bool = True,
    ) -> Tab:
        context = await self._browser.new_context(
            base_url=gateway.url,
            color_scheme=scheme,
            viewport=ViewportSize(width=width, height=800),
            java_script_enabled=script,
        )
        return Tab(await context.new_page(), gateway.url)


@asynccontextmanager
async def browser(playwright: Playwright) -> AsyncIterator[Pages]:
    started = await playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
    try:
        yield Pages(started)
    finally:
        await started.close()
