"""The page's controls: updates, pause, time range, search, keys, theme, and the address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.async_api import Browser, Page, expect

from asyncdsm.agent.http.server import RunningAgent
from tests.browser.map_page import hop_button, node_button, open_page, panel_heading
from tests.browser.shop import Shop


@contextmanager
def record_requests(page: Page, path: str) -> Iterator[list[str]]:
    """Yield the requests for a path, as they come."""
    found = list[str]()
    page.on("request", lambda request: found.append(request.url) if path in request.url else None)
    yield found


async def test_first_steps_give_way_to_the_map_with_the_first_report(
    browser: Browser, agent: RunningAgent, shop: Shop
) -> None:
    async with open_page(browser, agent.url) as page:
        await expect(page.get_by_role("heading", name="No messages yet")).to_be_visible()
        await expect(page.locator("#empty")).to_contain_text(f"DD_TRACE_AGENT_URL={agent.url} asyncdsm run")
        await expect(page.locator("#state")).to_have_text("Live")
        shop.begin()
        await expect(node_button(page, "service", "billing")).to_be_visible()
        await expect(page.locator("#empty")).to_be_hidden()


async def test_new_service_appears_without_a_reload(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    shop.begin()
    async with open_page(browser, agent.url) as page:
        await expect(node_button(page, "service", "shipping")).to_be_visible()
        shop.maps.passed("mailing", "in", "mails", parent=0)
        await expect(node_button(page, "service", "mailing")).to_be_visible()


async def test_paused_page_shows_nothing_new_until_it_is_resumed(
    browser: Browser, agent: RunningAgent, shop: Shop
) -> None:
    shop.begin()
    async with open_page(browser, agent.url) as page:
        await expect(node_button(page, "service", "shipping")).to_be_visible()
        await page.get_by_role("button", name="Pause").click()
        await expect(page.locator("#state")).to_have_text(re.compile(r"^Paused at \d\d:\d\d:\d\d$"))
        shop.maps.passed("mailing", "in", "mails", parent=0)
        with record_requests(page, "/api/") as requests:
            await hop_button(page, "billing", "invoices").focus()
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("img", name=re.compile("^Time in service"))).to_be_visible()
            assert all(re.search(r"[?&]from=.*&to=", request) for request in requests)
        await expect(node_button(page, "service", "mailing")).to_have_count(0)
        await page.get_by_role("button", name="Resume").click()
        await expect(node_button(page, "service", "mailing")).to_be_visible()
        await expect(page.locator("#state")).to_have_text("Live")


async def test_selected_time_range_is_kept_in_the_address(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    shop.begin()
    async with open_page(browser, agent.url) as page:
        await expect(node_button(page, "service", "shop")).to_be_visible()
        async with page.expect_request(re.compile(r"/api/map\?minutes=60&")):
            await page.get_by_label("Time range").select_option("60")
        await node_button(page, "service", "shop").click()
        await expect(page).to_have_url(re.compile(r"#node=s\w+&minutes=60$"))
        async with page.expect_request(re.compile(r"/api/map\?minutes=60&")):
            await page.reload()
        await expect(page.get_by_label("Time range")).to_have_value("60")
        await expect(panel_heading(page)).to_have_text("shop")


async def test_search_selects_what_was_found_by_keyboard(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    shop.begin()
    async with open_page(browser, agent.url) as page:
        await expect(node_button(page, "service", "shop")).to_be_visible()
        await page.keyboard.press("/")
        await page.keyboard.type("IN")
        await expect(page.locator("#found").get_by_role("option")).to_have_text(
            ["invoicesqueue · kafka", "billingservice", "shippingservice"]
        )
        await page.keyboard.press("ArrowDown")
        await expect(page.locator("#found").get_by_role("option", selected=True)).to_have_text("billingservice")
        await page.keyboard.press("Enter")
        await expect(panel_heading(page)).to_have_text("billing")
        await expect(page.locator("#found")).to_be_hidden()
        await page.keyboard.press("/")
        await page.keyboard.type("no such thing")
        await expect(page.locator("#found")).to_have_text("No service, queue or transaction with this name")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("combobox", name="Search")).to_have_value("")
        await expect(panel_heading(page)).to_have_text("billing")


async def test_search_lists_the_exact_name_first(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    for number in range(14):
        shop.maps.passed("writer", "out", f"orders-{number}", parent=0)
    shop.maps.passed("writer", "out", "re-orders", parent=0)
    shop.maps.passed("writer", "out", "Orders", parent=0)
    async with open_page(browser, agent.url) as page:
        await expect(node_button(page, "queue", "Orders")).to_be_visible()
        await page.keyboard.press("/")
        await page.keyboard.type("orders")
        await expect(page.locator("#found").get_by_role("option").first).to_have_text("Ordersqueue · kafka")
        await page.keyboard.press("Enter")
        await expect(panel_heading(page)).to_have_text("Orders")


async def test_hop_and_queue_are_selected_by_keyboard(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    shop.begin()
    async with open_page(browser, agent.url) as page:
        await expect(node_button(page, "service", "shop")).to_be_visible()
        await page.locator("#graph [tabindex='0']").focus()
        for _ in range(5):  # orders is written and read, and then invoices is written
            await page.keyboard.press("ArrowRight")
        await expect(hop_button(page, "billing", "invoices")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(panel_heading(page)).to_have_text("billing → invoices")
        await page.keyboard.press("Escape")
        await expect(panel_heading(page)).to_have_count(0)
        await expect(hop_button(page, "billing", "invoices")).to_be_focused()
        await node_button(page, "queue", "orders").focus()
        await page.keyboard.press("Space")
        await expect(panel_heading(page)).to_have_text("orders")


async def test_back_button_selects_what_was_selected_before(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    shop.begin()
    async with open_page(browser, agent.url) as page:
        await node_button(page, "service", "billing").click()
        await expect(panel_heading(page)).to_have_text("billing")
        await page.locator(".pathways .largest").first.click()
        await expect(panel_heading(page)).to_have_text("billing → invoices")
        await page.go_back()
        await expect(panel_heading(page)).to_have_text("billing")
        await page.get_by_role("button", name="Close").click()
        await expect(page.get_by_role("heading", name="Where the time goes")).to_be_visible()


@pytest.mark.parametrize(("scheme", "other"), [("light", "dark"), ("dark", "light")])
async def test_theme_follows_the_system_until_the_user_switches_it(
    browser: Browser, agent: RunningAgent, shop: Shop, scheme: str, other: str
) -> None:
    shop.begin()
    ground = {"light": "rgb(246, 247, 249)", "dark": "rgb(15, 19, 23)"}
    async with open_page(browser, agent.url, color_scheme=scheme) as page:
        await expect(page.locator("body")).to_have_css("background-color", ground[scheme])
        await page.get_by_role("button", name="Switch between light and dark").click()
        await expect(page.locator("body")).to_have_css("background-color", ground[other])
        await page.reload()
        await expect(page.locator("body")).to_have_css("background-color", ground[other])


@pytest.mark.parametrize(
    ("fragment", "value"),
    [
        ("minutes=7200", "7200"),
        ("minutes=90", "90"),
        ("minutes=999999", "10"),  # more than the agent keeps
        ("minutes=0", "10"),
        ("minutes=-5", "10"),
        ("minutes=1e3", "10"),
        ("minutes=abc", "10"),
        ("minutes=", "10"),
        ("minutes=5&minutes=60", "60"),
        ("%E0%A4%A&node=%00&edge=<b>", "10"),
        ("node=nowhere", "10"),
        ("__proto__=1&constructor=2", "10"),
    ],
)
async def test_page_is_live_whatever_the_address_says(
    browser: Browser, agent: RunningAgent, shop: Shop, fragment: str, value: str
) -> None:
    shop.begin()
    async with open_page(browser, f"{agent.url}/#{fragment}", may_fail="status of 400") as page:
        await expect(node_button(page, "service", "shop")).to_be_visible()
        await expect(page.locator("#state")).to_have_text("Live")
        await expect(page.get_by_label("Time range")).to_have_value(value)
        await page.evaluate("location.hash = 'minutes=60'")
        await expect(page.get_by_label("Time range")).to_have_value("60")
        await expect(page.locator("#state")).to_have_text("Live")
