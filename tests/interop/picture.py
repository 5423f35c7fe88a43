"""`python -m tests.interop.picture` takes the picture of `docs/interop.md`: all tracers and brokers on one map."""

from __future__ import annotations

import anyio
from playwright.async_api import async_playwright

from asyncdsm.agent.http.server import running_agent
from tests.brokers.apache_kafka import apache_kafka
from tests.brokers.ministack import ministack
from tests.brokers.rabbitmq import rabbitmq
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.browser.map_page import open_page
from tests.browser.screenshots import DOCS
from tests.interop.brokers import Brokers
from tests.interop.one_map import create_long_way
from tests.interop.pipelines import COUNT
from tests.interop.running import run_steps

SIZE = {"width": 390, "height": 1640}
"""A narrow page draws the map from top to bottom, where the address asks for it: with room for all above the panel."""


async def take_picture(brokers: Brokers) -> None:
    """Run the pipeline, then take the picture of its map."""
    async with running_agent() as agent, async_playwright() as playwright:
        await run_steps(brokers, await create_long_way(brokers), COUNT, {"DD_TRACE_AGENT_URL": agent.url})
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        async with open_page(browser, f"{agent.url}/#view=map", viewport=SIZE) as page:
            await page.mouse.move(0, 0)
            await page.get_by_text("Live", exact=True).wait_for()
            await page.locator("#graph").screenshot(path=DOCS / "interop.png")
        await browser.close()


if __name__ == "__main__":
    with apache_kafka() as kafka, rabbitmq() as rabbit, ministack() as aws:
        anyio.run(take_picture, Brokers(kafka, rabbit, aws))
