"""The page in a browser: how a test opens it, and how it finds what it looks for."""

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
async def open_page(browser: Browser, url: str, *, may_fail: str = "", **options: Any) -> AsyncIterator[Page]:
    """Open the page with cookies and storage of its own, and close it at the end.

    Fails if the console has an error or a warning by then, or if the page has requested anything from elsewhere than
    its agent. Messages that match the pattern `may_fail` are allowed, for a test that stops the agent.
    """
    problems, requests = list[str](), list[str]()

    def record_problem(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not (may_fail and re.search(may_fail, message.text)):
            problems.append(f"{message.type}: {message.text}")

    context = await browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce", **options})
    try:
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        page.on("console", record_problem)
        page.on("pageerror", lambda error: problems.append(f"page: {error}"))
        page.on("request", lambda request: requests.append(request.url))
        await page.goto(url)
        yield page
        assert problems == []
        origin = re.match(r"https?://[^/]+", url)
        assert origin
        assert [other for other in requests if not other.startswith((f"{origin[0]}/", "data:"))] == []
    finally:
        await context.close()


def node_button(page: Page, kind: str, name: str) -> Locator:
    """Return the element of a service or a queue on the map."""
    return page.get_by_role("button", name=re.compile(rf"^{kind} {re.escape(name)}(,|$)"))


def hop_button(page: Page, service: str, verb: str, queue: str) -> Locator:
    """Return the element of a hop on the map; `verb` is `reads` or `writes`."""
    return page.locator("#graph").get_by_role("button", name=re.compile(rf"^{service} {verb} {queue}:"))


def panel_heading(page: Page) -> Locator:
    """Return the heading of the panel, which names what is selected."""
    return page.locator("#panel h2")
