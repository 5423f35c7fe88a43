"""The panel of a service or a queue: what is downstream and upstream, and the time to another point."""

from __future__ import annotations

import re

from playwright.async_api import Browser, Locator, Page, expect

from asyncdsm.agent.http.server import RunningAgent
from tests.agent.journeys import SHOP, travel
from tests.browser.map_page import PHONE, node_button, open_page, panel_heading
from tests.browser.shop import Shop

SECONDS = [[0.0, 0.006, 0.4, 0.014, 0.2, 0.05]] * 20


def section(page: Page, title: str) -> Locator:
    return page.locator("#panel section").filter(has=page.get_by_role("heading", name=title, exact=True))


def begin(shop: Shop) -> None:
    travel(shop.maps.store, SHOP, SECONDS, at_ns=int(shop.maps.now() - 5) * 10**9)


async def test_time_to_another_point_is_two_clicks_away(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    begin(shop)
    async with open_page(browser, agent.url) as page:
        await node_button(page, "service", "billing").click()
        measure = page.get_by_role("combobox", name="Measure the time to")
        await measure.select_option(label="mailing")
        result = section(page, "Time to another point")
        await expect(result.locator("h4")).to_have_text("billing → mailing")
        await expect(result).to_contain_text(re.compile(r"p5066\d\sms"))
        await expect(result).to_contain_text("Estimated, from 20 messages")
        await measure.select_option(label="shop")
        await expect(result.locator("h4")).to_have_text("shop → billing")
        await expect(result).to_contain_text("Measured, from 20 messages.")
        shop.maps.passed("other", "out", "things", parent=0)  # the panel is drawn again, and keeps the choice
        await expect(node_button(page, "service", "other")).to_be_visible()
        await expect(result.locator("h4")).to_have_text("shop → billing")
        await expect(measure.locator("option:checked")).to_have_text("shop")


async def test_nodes_downstream_and_upstream_are_listed_and_lead_to_their_details(
    browser: Browser, agent: RunningAgent, shop: Shop
) -> None:
    begin(shop)
    async with open_page(browser, agent.url, viewport=PHONE) as page:
        await page.get_by_role("button", name="Map", exact=True).click()
        await node_button(page, "queue", "invoices").click()
        downstream, upstream = (section(page, title).get_by_role("button") for title in ("Downstream", "Upstream"))
        await expect(downstream).to_have_text(
            [
                re.compile(r"^shippingservice · 1 link away · 20 messages$"),
                re.compile(r"^parcelsqueue · 2 links away"),
                re.compile(r"^mailingservice · 3 links away"),
            ]
        )
        await expect(upstream).to_have_text([re.compile("^billing"), re.compile("^orders"), re.compile("^shop")])
        await downstream.nth(2).click()
        await expect(panel_heading(page)).to_have_text("mailing")
        await expect(section(page, "Downstream")).to_have_count(0)


async def test_hop_with_which_pathways_begin_has_no_time(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    begin(shop)
    async with open_page(browser, agent.url) as page:
        await node_button(page, "service", "shop").click()
        hop = section(page, "Writes").get_by_role("button")
        await expect(hop.locator(".long")).to_have_text("–")
        await hop.click()
        await expect(page.locator("#panel")).to_contain_text("Pathways begin here")
        await expect(page.locator("#panel .kind")).to_contain_text("Time in service · kafka")
