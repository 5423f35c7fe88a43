"""Which version is slower, on the page: one click from the map, for a service and for each of its hops."""

from __future__ import annotations

import re
from functools import partial
from time import time
from typing import Any

import anyio
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
from asyncdsm.delivery.payload import pack
from asyncdsm.settings import Settings
from tests.agent.payloads import SECOND_NS, passed
from tests.browser.map_page import hop_button, node_button, open_page
from tests.browser.test_large_map import serious_violations

READS = Edge("direction:in", "group:billing", "topic:orders", "type:kafka")
WRITES = Edge("direction:out", "topic:invoices", "type:kafka")
BEGAN, DEPLOYED, REPLACED, ENDED = 400, 200, 150, 30
"""Seconds ago: when 2.0 began, when 2.1 did, when 2.0 ended, and when 2.1 reported last."""
NARROW = {"width": 320, "height": 900}
FITS_WIDTH = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


def report(store: SQLiteStore, version: str, first: int, last: int, latency: float) -> None:
    """Let an instance of billing report from `first` to `last` seconds ago."""
    now = int(time()) // 10 * 10
    for seconds_ago in range(first, last, -10):
        aggregator = Aggregator("billing", None, now=partial(int, (now - seconds_ago) * SECOND_NS))
        parent = passed(aggregator, READS, [latency] * 20, parent=7)
        passed(aggregator, WRITES, [latency / 10] * 20, parent=parent)
        (bucket,) = aggregator.take()
        settings = Settings(service="billing", hostname="host", version=version)
        store.add(read_report(pack(bucket, aggregator.bucket_ns, settings).body, "gzip"))


@pytest.fixture
def store() -> SQLiteStore:
    """Return a store in which 2.1 replaced 2.0, and both reported for a while."""
    store = SQLiteStore()
    report(store, "2.0", BEGAN, REPLACED, 0.1)
    report(store, "2.1", DEPLOYED, ENDED, 0.24)
    return store


def section(page: Page) -> Locator:
    return page.locator("#panel section", has=page.get_by_role("heading", name="Versions", exact=True))


async def test_versions_of_a_service_and_of_a_hop_are_one_click_away(browser: Browser, store: SQLiteStore) -> None:
    async with running_agent(store=store) as agent, open_page(browser, agent.url) as page:
        await node_button(page, "service", "billing").click()
        heads = section(page).get_by_role("columnheader")
        await expect(heads).to_have_text(["2.0", "2.0 and 2.1 together", "2.1"])
        await expect(section(page).get_by_role("row", name=re.compile("^in queue p99"))).to_have_text(
            re.compile(r"^in queue p99(100|99\.\d|101)\sms(2[34]\d\sms)(2[34]\d\sms)$")
        )
        await expect(section(page)).to_contain_text("Time in queue, p99 2.4 times as long since 2.1.")
        await expect(section(page)).to_contain_text("cannot be told apart")
        assert await serious_violations(page) == []
        await hop_button(page, "billing", "invoices").click()
        await expect(section(page).get_by_role("row", name=re.compile("^in service p99"))).to_have_count(1)
        await expect(section(page).get_by_role("row", name=re.compile("^in queue"))).to_have_count(0)


async def test_versions_fit_a_narrow_screen_and_scroll_by_keyboard(browser: Browser, store: SQLiteStore) -> None:
    options: dict[str, Any] = {"viewport": NARROW, "forced_colors": "active", "reduced_motion": "reduce"}
    async with running_agent(store=store) as agent, open_page(browser, f"{agent.url}/#view=map", **options) as page:
        await node_button(page, "service", "billing").focus()
        await page.keyboard.press("Enter")
        table = section(page).get_by_role("group", name="Versions")
        await table.focus()
        await expect(table).to_be_focused()
        assert await page.evaluate(FITS_WIDTH)
        for _ in range(3):
            await page.keyboard.press("ArrowRight")
        with anyio.fail_after(10):  # `wait_for_function` evaluates strings, which the page forbids
            while not await page.evaluate("document.querySelector('#panel .wide').scrollLeft > 0"):
                await anyio.sleep(0.05)
        assert await serious_violations(page) == []
