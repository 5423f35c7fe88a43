"""A business transaction on the page: it is found by its id, shown with its checkpoints, and linked."""

from __future__ import annotations

import re
from time import time_ns

from playwright.async_api import Browser, expect

from asyncdsm.agent.http.server import RunningAgent
from asyncdsm.agent.intake.payload import read_report
from tests.agent.payloads import SECOND_NS, bucket, payload
from tests.browser.map_page import node_button, open_page, panel_heading
from tests.browser.shop import Shop
from tests.transactions import Passed, write_transactions

BROKEN_WORDS = """() => [...document.querySelectorAll("#panel :is(th, td, dt, dd)")].flatMap((cell) => {
  const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  const broken = [];
  while (walker.nextNode()) {
    const text = walker.currentNode;
    for (const { 0: word, index } of text.data.matchAll(/[^ ]+/g)) {
      const range = document.createRange();
      range.setStart(text, index);
      range.setEnd(text, index + word.length);
      if (range.getClientRects().length > 1) broken.push(word);
    }
  }
  return broken;
})"""


def add(shop: Shop, service: str, *passed: tuple[str, str, float]) -> None:
    """Report that transactions (id, checkpoint) have passed some seconds ago."""
    now = time_ns()
    made = [Passed(checkpoint, now - round(ago * SECOND_NS), id_) for id_, checkpoint, ago in passed]
    body = payload(bucket(Start=now - 20 * SECOND_NS, **write_transactions(made)), Service=service)
    shop.maps.store.add(read_report(body, ""))


def begin(shop: Shop) -> None:
    """Add 20 orders that were paid after two seconds, and one that has been waiting for five minutes."""
    shop.begin()
    add(
        shop, "shop", *((f"usual {number}", "ordered", 60.0 + number) for number in range(20)), ("4711", "ordered", 300)
    )
    add(shop, "billing", *((f"usual {number}", "paid", 58.0 + number) for number in range(20)))


async def test_order_is_found_and_shown_with_its_checkpoints(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    begin(shop)
    async with open_page(browser, agent.url) as page:
        await expect(node_button(page, "service", "billing")).to_be_visible()
        await page.keyboard.press("/")
        await page.keyboard.type("usual 7")
        found = page.locator("#found").get_by_role("option")
        await expect(found).to_have_text(["Transaction usual 7done · paid in billing"])
        await page.keyboard.press("Enter")
        await expect(panel_heading(page)).to_have_text("usual 7")
        cells = page.locator("#panel tbody tr")
        await expect(cells).to_have_text(
            [re.compile("^orderedshop.*:\\d\\d.$"), re.compile(r"^paidbilling.*2(\.\d+)?\ss$")]
        )
        assert "transaction=usual+7" in page.url
        for width in (1280, 390):
            await page.set_viewport_size({"width": width, "height": 760})
            assert await page.evaluate(BROKEN_WORDS) == []
        lit = page.locator("#graph .nodes .lit")
        await expect(lit).to_have_count(3)  # shop, orders, billing
        await page.locator("#panel").get_by_role("button", name="billing", exact=True).click()
        await expect(panel_heading(page)).to_have_text("billing")
        await page.go_back()
        await expect(panel_heading(page)).to_have_text("usual 7")


async def test_linked_order_says_that_it_is_late(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    begin(shop)
    async with open_page(browser, f"{agent.url}/#transaction=4711") as page:
        await expect(panel_heading(page)).to_have_text("4711")
        await expect(page.locator("#panel .warning")).to_contain_text("Late: last seen at ordered in shop, 5")
        await expect(page.locator("#panel .warning")).to_contain_text("95 % took at most 2 s; one is late after 60 s.")
        await expect(page.locator("#panel .warning")).to_contain_text("It lacks paid in billing.")
        await expect(page.locator("#panel .figures")).to_contain_text("so far")


async def test_overview_lists_late_orders(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    begin(shop)
    async with open_page(browser, agent.url) as page:
        await page.locator("#panel").get_by_role("button", name="4711 late ordered in shop").click()
        await expect(panel_heading(page)).to_have_text("4711")


async def test_late_orders_are_counted_and_named_after_what_is_shown(
    browser: Browser, agent: RunningAgent, shop: Shop
) -> None:
    begin(shop)
    for service, checkpoint, ago in (("shop", "ordered", 600.0), ("billing", "paid", 598.0)):
        add(shop, service, *((f"before {number}", checkpoint, ago + number) for number in range(20)))
    add(shop, "shop", *((f"lost {number}", "ordered", 301.0 + number) for number in range(110)))
    async with open_page(browser, agent.url) as page:
        await expect(page.locator("#panel")).to_contain_text("Late transactions: the latest 8 of 111")
        listed = page.locator("#panel section", has_text="Late transactions").locator("button .what")
        late = ["4711", *(f"lost {number}" for number in range(7))]
        await expect(listed).to_have_text([*late, *(f"lost {number}" for number in range(109, 101, -1))])
        await page.goto(f"{agent.url}/#transaction=4711")
        await expect(page.locator("#panel")).to_contain_text("Also late: the latest 8 of 110")
        await page.goto(f"{agent.url}/#transaction=usual+7")
        await expect(page.locator("#panel")).to_contain_text("Late transactions: the latest 8 of 111")


async def test_unknown_order_shows_the_late_ones(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    begin(shop)
    async with open_page(browser, f"{agent.url}/#transaction=4712") as page:
        await expect(page.locator("#panel")).to_contain_text("The agent knows no transaction with this id.")
        await page.locator("#panel").get_by_role("button", name="4711").first.click()
        await expect(panel_heading(page)).to_have_text("4711")
