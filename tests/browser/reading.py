"""The page as a reader has it: in a context of their own, and with nothing wrong behind it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, expect

PATIENCE_MS = 60_000
DESKTOP = {"width": 1280, "height": 760}
PHONE = {"width": 390, "height": 800}

expect.set_options(timeout=PATIENCE_MS)


@asynccontextmanager
async def reading(browser: Browser, url: str, *, may_fail: str = "", **options: Any) -> AsyncIterator[Page]:
    """Open the page; at the end, nothing stood in its console, and nobody but the agent was asked for anything.

    `may_fail` is a pattern of what the browser says where the test takes the agent away.
    """
    problems, asked = list[str](), list[str]()

    def hear(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not (may_fail and re.search(may_fail, message.text)):
            problems.append(f"{message.type}: {message.text}")

    context = await browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce", **options})
    try:
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: problems.append(f"page: {error}"))
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(url)
        yield page
        assert problems == []
        origin = re.match(r"https?://[^/]+", url)
        assert origin
        assert [other for other in asked if not other.startswith((f"{origin[0]}/", "data:"))] == []
    finally:
        await context.close()


def node(page: Page, kind: str, name: str) -> Locator:
    """Return a service or a queue of the drawing."""
    return page.get_by_role("button", name=re.compile(rf"^{kind} {re.escape(name)}(,|$)"))


def hop(page: Page, service: str, verb: str, queue: str) -> Locator:
    """Return an edge of the drawing; `verb` is reads or writes."""
    return page.locator("#graph").get_by_role("button", name=re.compile(rf"^{service} {verb} {queue}:"))


def heading(page: Page) -> Locator:
    """Return what the panel is about."""
    return page.locator("#panel h2")
