"""`python -m tests.browser.screenshots`: the demo's map as `docs/` shows it, at two widths, light and dark."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, async_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM, running_demo
from tests.browser.reading import PHONE, node, reading

DOCS = Path(__file__).parents[2] / "docs"
DESKTOP = {"width": 1280, "height": 620}
SECONDS = 100
"""After so long, there is something to see over time."""


async def service(page: Page) -> None:
    """Choose the last service: whole pathways, slowest first."""
    await node(page, "service", "shipping").click()
    await page.locator(".pathways .largest").first.wait_for()


async def slow_hop(page: Page) -> None:
    """Choose the hop that takes most of the time."""
    await service(page)
    await page.locator(".pathways .largest").first.click()
    await page.locator("figure").first.wait_for()


SHOTS = {
    "map": (DESKTOP, "light", service),
    "map-dark": (DESKTOP, "dark", slow_hop),
    "map-phone": (PHONE, "light", service),
    "map-phone-dark": (PHONE, "dark", slow_hop),
}


async def main() -> None:
    """Run the demo for a while and take the pictures."""
    async with asynccontextmanager(running_demo)() as url, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        await asyncio.sleep(SECONDS)
        for name, (viewport, scheme, look) in SHOTS.items():
            async with reading(browser, url, viewport=viewport, color_scheme=scheme) as page:
                await look(page)
                await page.mouse.move(0, 0)
                await page.get_by_text("Live", exact=True).wait_for()
                await page.screenshot(path=DOCS / f"{name}.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
