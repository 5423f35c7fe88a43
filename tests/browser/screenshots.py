"""`python -m tests.browser.screenshots` takes the pictures of `docs/`: the demo's map, wide and narrow, both themes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page, async_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM, running_demo
from tests.browser.map_page import PHONE, node_button, open_page

DOCS = Path(__file__).parents[2] / "docs"
DESKTOP = {"width": 1280, "height": 620}
SECONDS = 100  # until the charts have something to show


async def select_service(page: Page) -> None:
    """Select the last service, which shows complete pathways."""
    await node_button(page, "service", "shipping").click()
    await page.locator(".pathways .largest").first.wait_for()


async def select_slowest_hop(page: Page) -> None:
    """Select the hop that takes most of the time."""
    await select_service(page)
    await page.locator(".pathways .largest").first.click()
    await page.locator("figure").first.wait_for()


async def look_at_list(page: Page) -> None:
    """Wait for the list, which is what a narrow screen shows first."""
    await page.locator("#list tbody tr").first.wait_for()


SHOTS = {
    "map": (DESKTOP, "light", "", select_service),
    "map-dark": (DESKTOP, "dark", "", select_slowest_hop),
    "map-phone": (PHONE, "light", "", look_at_list),
    "map-phone-dark": (PHONE, "dark", "#view=map", select_slowest_hop),
}


async def main() -> None:
    """Run the demo for a while, then take the pictures."""
    async with asynccontextmanager(running_demo)() as url, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        await asyncio.sleep(SECONDS)
        for name, (viewport, scheme, fragment, look) in SHOTS.items():
            async with open_page(browser, f"{url}{fragment}", viewport=viewport, color_scheme=scheme) as page:
                await look(page)
                await page.mouse.move(0, 0)
                await page.get_by_text("Live", exact=True).wait_for()
                await page.screenshot(path=DOCS / f"{name}.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
