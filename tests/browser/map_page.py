"""The page in a browser: how a test opens it, and how it finds what it looks for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Locator, Page, expect

PATIENCE_MS = 60_000
SETTLED_MS = 400
"""After a zoom, texts have their sizes and places by then."""
DESKTOP = {"width": 1280, "height": 760}
PHONE = {"width": 390, "height": 800}

expect.set_options(timeout=PATIENCE_MS)


OVERLAPPING = """() => {
  const isSeen = (text) => text.textContent && text.getClientRects().length;
  const around = (texts) => {
    const boxes = texts.filter(isSeen).map((text) => text.getBoundingClientRect());
    return boxes.length && {
      text: texts.map((text) => text.textContent).join(" "),
      left: Math.min(...boxes.map((box) => box.left)), right: Math.max(...boxes.map((box) => box.right)),
      top: Math.min(...boxes.map((box) => box.top)), bottom: Math.max(...boxes.map((box) => box.bottom)),
    };
  };
  const all = (selector, of = document) => [...of.querySelectorAll(selector)];
  const labels = all("#graph .texts").map((label) => around(all(".label", label))).filter(Boolean);
  const names = all("#graph .name").map((name) => around([name])).filter(Boolean);
  const over = (one, other) =>
    Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1 &&
    Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 1;
  return labels.flatMap((one, at) =>
    [...labels.slice(at + 1), ...names].filter((other) => over(one, other)).map((other) => [one.text, other.text]));
}"""


CROSSED = """() => {
  const all = (selector, of = document) => [...of.querySelectorAll(selector)];
  const isBefore = (line, label) => line.compareDocumentPosition(label) & Node.DOCUMENT_POSITION_FOLLOWING;
  const isCovered = (ground, text) =>
    ground.left < text.left + 3 && ground.right > text.right - 3 &&
    ground.top < text.top + 4 && ground.bottom > text.bottom - 4;
  const isClear = (label) => {
    const ground = label.querySelector(".ground").getBoundingClientRect();
    const texts = all(".label", label).filter((text) => text.textContent && text.getClientRects().length);
    return all("#graph .line").every((line) => isBefore(line, label)) &&
      texts.every((text) => isCovered(ground, text.getBoundingClientRect()));
  };
  return all("#graph .texts").filter((label) => !isClear(label)).map((label) => label.textContent);
}"""


async def crossed_labels(page: Page) -> list[str]:
    """Return the labels of links that a line crosses: that are not above all lines, or do not cover what is below."""
    await page.wait_for_timeout(SETTLED_MS)
    crossed: list[str] = await page.evaluate(CROSSED)
    return crossed


async def overlapping_labels(page: Page) -> list[list[str]]:
    """Return the labels of links that are over others or over names, in pairs; the page must show where they are."""
    await page.wait_for_timeout(SETTLED_MS)
    overlapping: list[list[str]] = await page.evaluate(OVERLAPPING)
    return overlapping


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


def hop_button(page: Page, source: str, target: str) -> Locator:
    """Return the element of a hop on the map, from a service to a queue or the other way round."""
    return page.locator("#graph").get_by_role("button", name=re.compile(rf"^{source} → {target}:"))


def panel_heading(page: Page) -> Locator:
    """Return the heading of the panel, which names what is selected."""
    return page.locator("#panel .head h2")
