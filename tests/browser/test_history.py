"""What changed and since when, in a browser; and looking back: by a link, by the slider, and by two times."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from time import time

import pytest
from anyio import create_task_group, sleep, to_thread
from playwright.async_api import Browser, Locator, Page, expect

from asyncdsm.agent.http.server import RunningAgent, running_agent
from tests.agent.timeline import Hop, Timeline
from tests.browser.map_page import PHONE, node_button, open_page, panel_heading

MINUTE = 60
SHOP = Hop("shop", direction="out", latency=0.001)
BILLING = Hop("billing", version="1.0")
SHIPPING = Hop("shipping", version="7")
SLOW = BILLING._replace(version="2.0", latency=4.2)


@pytest.fixture(scope="module")
def begin() -> int:
    """Return when the shop began to report: 45 minutes ago, in seconds since the epoch."""
    return int(time()) // MINUTE * MINUTE - 45 * MINUTE


@pytest.fixture(scope="module")
async def changed(begin: int, anyio_backend: str) -> AsyncIterator[RunningAgent]:
    """Run an agent. For 40 minutes all was well; then shipping stopped, and billing has a version that is slower."""
    timeline = Timeline(begin, follow=time)

    def report() -> None:
        timeline.run(40 * MINUTE, SHOP, BILLING, SHIPPING)
        timeline.run(time() - timeline.start - 12, SHOP, SLOW)

    await to_thread.run_sync(report)
    timeline.catch_up()

    async def keep_reporting() -> None:
        while True:
            await sleep(1)
            if time() >= timeline.start + 12:
                await to_thread.run_sync(timeline.run, 10, SHOP, SLOW)

    async with running_agent(store=timeline.store) as agent, create_task_group() as tasks:
        tasks.start_soon(keep_reporting)
        yield agent
        tasks.cancel_scope.cancel()


def section(page: Page, title: str) -> Locator:
    """Return a section of the panel."""
    return page.locator("#panel section").filter(has=page.get_by_role("heading", name=title))


async def test_stopped_service_and_slower_version_are_listed_first(browser: Browser, changed: RunningAgent) -> None:
    async with open_page(browser, changed.url) as page:
        await expect(page.locator("#panel h3").first).to_have_text("What changed")
        rows = section(page, "What changed").get_by_role("button")
        await expect(rows).to_have_text(
            [
                re.compile(r"^shippingquietsince \d\d:\d\d$"),
                re.compile(r"^orders → billingslowerin queue 298\sms → 4\.2\d?\ss since \d\d:\d\d$"),
                re.compile(r"^billingversion 2\.01\.0 → 2\.0 since \d\d:\d\d$"),
            ]
        )
        slowest = section(page, "Where the time goes").get_by_role("button").first
        await expect(slowest).to_contain_text(re.compile(r"now 4\.2\d?\ss, usual 298\sms"))
        await rows.nth(1).click()
        await expect(panel_heading(page)).to_have_text("orders → billing")
        await page.get_by_label("Time range").select_option("60")
        chart = page.get_by_role("img", name=re.compile(r"^Time in queue:.*; version 2\.0 since \d\d:\d\d$"))
        await expect(chart.locator(".marker text")).to_have_text("version 2.0")


async def test_link_with_a_past_range_shows_the_past(browser: Browser, changed: RunningAgent, begin: int) -> None:
    past = f"from={begin + 20 * MINUTE}&to={begin + 30 * MINUTE}"
    async with open_page(browser, f"{changed.url}/#{past}") as page:
        await expect(page.locator("#state")).to_have_text("The past")
        await expect(page.locator("#past")).to_have_text(re.compile(r"^The past: .*\d\d:\d\d to \d\d:\d\d$"))
        await expect(node_button(page, "service", "shipping")).to_be_visible()
        await expect(section(page, "What changed")).to_contain_text("Nothing has changed since")
        await expect(page.get_by_role("button", name="Pause")).to_be_disabled()
        await node_button(page, "service", "billing").click()
        await expect(page).to_have_url(re.compile(rf"#node=s\w+&{past}$"))
        await page.get_by_role("button", name="Back to now").click()
        await expect(page).to_have_url(re.compile(r"#node=s\w+&minutes=10$"))
        await expect(page.locator("#state")).to_have_text("Live")
        await expect(page.locator("#history")).to_be_hidden()
        await expect(page.get_by_label("Time range")).to_be_focused()


async def test_legend_covers_no_node_of_the_past_on_a_phone(
    browser: Browser, changed: RunningAgent, begin: int
) -> None:
    past = f"view=map&from={begin + 20 * MINUTE}&to={begin + 30 * MINUTE}"
    async with open_page(browser, f"{changed.url}/#{past}", viewport=PHONE) as page:
        await expect(node_button(page, "service", "shipping")).to_be_visible()
        await expect(page.locator("#scale")).to_be_hidden()


async def test_slider_looks_back_and_returns_to_now(browser: Browser, changed: RunningAgent) -> None:
    async with open_page(browser, changed.url) as page:
        await expect(node_button(page, "service", "billing")).to_be_visible()
        await page.get_by_label("Time range").select_option("history")
        slider = page.get_by_role("slider", name="Until")
        await expect(slider).to_have_attribute("aria-valuetext", "now")
        await slider.press("ArrowLeft")
        await expect(page).to_have_url(re.compile(r"#from=(\d+)&to=\d+$"))
        await expect(page.locator("#state")).to_have_text("The past")
        await slider.press("End")
        await expect(page.locator("#state")).to_have_text("Live")
        await expect(page).to_have_url(re.compile(r"#minutes=10$"))


async def test_two_times_show_the_range_between_them(browser: Browser, changed: RunningAgent, begin: int) -> None:
    async with open_page(browser, changed.url, timezone_id="UTC") as page:
        await page.get_by_label("Time range").select_option("history")
        await page.get_by_text("Two times").click()
        first, last = (f"{datetime.fromtimestamp(begin + seconds, UTC):%Y-%m-%dT%H:%M}" for seconds in (600, 1200))
        await page.get_by_label("From", exact=True).fill(last)
        await page.get_by_label("to", exact=True).fill(first)
        await page.get_by_role("button", name="Show", exact=True).click()
        await expect(page.locator("#state")).to_have_text("Live")  # the browser says that they are not in order
        await page.get_by_label("From", exact=True).fill(first)
        await page.get_by_label("to", exact=True).fill(last)
        await page.get_by_role("button", name="Show", exact=True).click()
        await expect(page).to_have_url(re.compile(rf"#from={begin + 600}&to={begin + 1200}$"))
        await expect(page.locator("#state")).to_have_text("The past")


@pytest.fixture
def silent() -> Timeline:
    """Return an agent's store, whose only service stopped twenty minutes ago."""
    timeline = Timeline(int(time()) // MINUTE * MINUTE - 40 * MINUTE, follow=time)
    timeline.run(20 * MINUTE, SHOP)
    timeline.catch_up()
    return timeline


async def test_range_in_the_future_is_refused_or_an_empty_map_that_says_so(
    browser: Browser, changed: RunningAgent, begin: int
) -> None:
    tomorrow = int(time()) + 86_400
    async with open_page(browser, f"{changed.url}/#from={tomorrow}&to={tomorrow + 3600}") as page:
        await expect(page.locator("#past")).to_contain_text("The future: ")
        await expect(page.locator("#empty")).to_contain_text("This range is in the future")
        await expect(page.locator("#panel")).not_to_contain_text("rejected")
        await page.get_by_text("Two times").click()
        await page.get_by_role("button", name="Show", exact=True).click()
        message = await page.locator("#history-end").evaluate("field => field.validationMessage")
        assert message == "The end must not be in the future."
        await page.evaluate(f"location.hash = 'from={begin - 7200}&to={begin - 3600}'")
        await expect(page.locator("#empty")).to_contain_text("There were no messages in this range")
        await page.get_by_role("button", name="Back to now").click()
        await expect(page.locator("#empty")).to_be_hidden()
        await expect(node_button(page, "service", "billing")).to_be_visible()


async def test_page_of_an_agent_whose_services_are_all_quiet_says_so(browser: Browser, silent: Timeline) -> None:
    async with running_agent(store=silent.store) as agent, open_page(browser, agent.url) as page:
        await expect(section(page, "What changed").get_by_role("button")).to_have_text(
            [re.compile(r"^shopquietsince \d\d:\d\d$")]
        )
        await expect(page.locator("#empty")).to_be_hidden()


async def test_change_from_before_the_range_is_shown_in_a_longer_one(browser: Browser, changed: RunningAgent) -> None:
    async with open_page(browser, f"{changed.url}/#minutes=1", viewport=PHONE) as page:
        row = section(page, "What changed").get_by_role("button", name=re.compile("^shipping"))
        await row.click()
        await expect(panel_heading(page)).to_have_text("shipping")
        await expect(page).to_have_url(re.compile(r"#node=s\w+&minutes=10$"))
        await expect(page.locator("#state")).to_have_text("Live")


@pytest.fixture
def long_version(begin: int) -> Timeline:
    """Return an agent's store, whose only service now reports a version of a hundred characters."""
    timeline = Timeline(begin, follow=time)
    timeline.run(40 * MINUTE, BILLING)
    timeline.run(time() - timeline.start - 12, BILLING._replace(version="2" * 100))
    timeline.catch_up()
    return timeline


async def test_long_version_leaves_room_for_the_name_of_its_service(browser: Browser, long_version: Timeline) -> None:
    async with running_agent(store=long_version.store) as agent, open_page(browser, agent.url) as page:
        row = section(page, "What changed").get_by_role("button").filter(has_text="version")
        await expect(row).to_have_count(1)
        name, whole = await row.locator(".what").bounding_box(), await row.bounding_box()
        assert name is not None
        assert whole is not None
        assert name["width"] >= whole["width"] / 3
