"""The map of `asyncdsm demo`, from real payloads: a user finds where the time goes by clicking."""

from __future__ import annotations

import re

from playwright.async_api import Browser, expect

from tests.browser.map_page import PHONE, hop_button, node_button, open_page, panel_heading


async def test_slowest_hop_of_a_pathway_is_found_in_two_clicks(browser: Browser, demo: str) -> None:
    async with open_page(browser, demo) as page:
        await node_button(page, "service", "shipping").click()
        slowest = page.locator(".pathways > li").first
        await expect(slowest.locator(".whole")).to_contain_text(re.compile(r"^4\d\d\sms end to end"))
        largest = slowest.locator(".largest")
        await expect(largest).to_contain_text("billing → invoices")
        await expect(largest).to_contain_text(re.compile(r"[89]\d\s%"))
        await largest.click()
        await expect(panel_heading(page)).to_have_text("billing → invoices")
        await expect(page.locator(".figures").first).to_contain_text(re.compile(r"p50\s*[34]\d\d\sms"))
        chart = page.get_by_role("img", name=re.compile("^Time in service: p50 [34]"))
        await expect(chart.locator(".curve")).to_have_count(3)
        await expect(chart.locator(".curve.shade-0")).to_have_attribute("d", re.compile(r"^M[\d.]+ [\d.]+"))


async def test_slowest_hop_stands_out_before_any_click(browser: Browser, demo: str) -> None:
    async with open_page(browser, demo) as page:
        await expect(page.locator("#panel .hop").first).to_contain_text("billing → invoices")
        await expect(hop_button(page, "billing", "invoices")).to_have_class(re.compile("warm-3"))
        await expect(hop_button(page, "shop", "orders")).to_have_class(re.compile("warm-0"))
        await expect(page.locator("#state")).to_have_text("Live")


async def test_selected_queue_shows_its_readers_and_their_lag(browser: Browser, demo: str) -> None:
    async with open_page(browser, demo) as page:
        await node_button(page, "queue", "orders").click()
        await expect(panel_heading(page)).to_have_text("orders")
        panel = page.locator("#panel")
        for title, row in (("Written by", "shop → orders"), ("Read by", "orders → billing")):
            await expect(panel.locator("section", has=page.get_by_role("heading", name=title))).to_contain_text(row)
        await expect(page.get_by_role("img", name=re.compile("^Unread messages: billing"))).to_be_visible()
        await expect(panel.locator("section p", has_text="orders → group billing")).to_be_visible()
        await expect(panel.locator("tbody tr").first).to_contain_text(re.compile(r"^0\d"))


async def test_chart_under_the_pointer_shows_the_time_of_its_values(browser: Browser, demo: str) -> None:
    async with open_page(browser, demo) as page:
        await hop_button(page, "billing", "invoices").focus()
        await page.keyboard.press("Enter")
        figure = page.locator("figure").first
        await figure.locator("svg").hover()
        await expect(figure.locator("figcaption")).to_have_attribute("data-at", re.compile(r"^\d\d:\d\d:\d\d$"))


async def test_slowest_hop_is_the_first_of_the_list_on_a_phone(browser: Browser, demo: str) -> None:
    async with open_page(browser, demo, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        first = page.locator("#list tbody tr").first
        await expect(first).to_contain_text("billing → invoices")
        await first.tap()
        await expect(panel_heading(page)).to_have_text("billing → invoices")
        assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


async def test_slowest_hop_is_found_in_two_taps_on_the_map_of_a_phone(browser: Browser, demo: str) -> None:
    async with open_page(browser, f"{demo}#view=map", viewport=PHONE, has_touch=True, is_mobile=True) as page:
        await node_button(page, "service", "shipping").tap()
        await page.locator(".pathways .largest").first.tap()
        await expect(panel_heading(page)).to_have_text("billing → invoices")
        assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        boxes = [await node_button(page, "service", name).bounding_box() for name in ("shop", "billing", "shipping")]
        assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"] for box in boxes)
        assert [box["y"] for box in boxes if box] == sorted(box["y"] for box in boxes if box)
