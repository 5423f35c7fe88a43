"""What an operator asks, answered on the page in at most two clicks: what is wrong, since when, where, and how long."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from anyio import create_task_group, sleep, to_thread
from playwright.async_api import Browser, Locator, Page, expect

from asyncdsm.agent.http.server import RunningAgent, running_agent
from tests.browser.map_page import (
    DESKTOP,
    PHONE,
    crossed_labels,
    hop_button,
    node_button,
    open_page,
    overlapping_labels,
    panel_heading,
)
from tests.browser.test_history import section
from tests.browser.test_large_map import serious_violations
from tests.browser.troubled_shop import TroubledShop

CLOCK = r"\d\d:\d\d"


@pytest.fixture(scope="module")
async def agent(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningAgent]:
    """Run an agent to which the troubled shop reports, with a rule that is broken."""
    shop, rules = TroubledShop(), tmp_path_factory.mktemp("rules") / "rules.toml"
    rules.write_text('[[rule]]\nname = "mails wait"\nwhen = "lag"\ngroup = "mailing"\nabove = 10\n')
    await to_thread.run_sync(shop.report_all)

    async def keep_reporting() -> None:
        while True:
            await sleep(1)
            await to_thread.run_sync(shop.report_more)

    async with running_agent(store=shop.store, rules=rules) as agent, create_task_group() as tasks:
        tasks.start_soon(keep_reporting)
        yield agent
        tasks.cancel_scope.cancel()


def change(page: Page, name: str) -> Locator:
    """Return a row of what changed."""
    return section(page, "What changed").get_by_role("button", name=re.compile(name))


async def test_overview_says_what_is_wrong_and_since_when_without_a_click(
    browser: Browser, agent: RunningAgent
) -> None:
    async with open_page(browser, agent.url) as page:
        rows = section(page, "What changed").get_by_role("button")
        await expect(rows.nth(0)).to_have_text(re.compile(rf"^billing → invoicesslower.*→ 4\.\d+\ss since {CLOCK}"))
        await expect(change(page, "^shipping")).to_have_text(re.compile(rf"^shippingquietsince {CLOCK}$"))
        await expect(change(page, "version 2.0")).to_have_text(re.compile(rf"1\.0 → 2\.0 since {CLOCK}$"))
        await expect(section(page, "Needs attention").locator("button.name")).to_contain_text(["dead-letters"])
        slowest = section(page, "Where the time goes").get_by_role("button").first
        await expect(slowest).to_have_text(re.compile(r"^mails → mailing.*lag [\d.k\s]+, \d+\smin, catching up$"))
        mails = node_button(page, "queue", "mails")
        await expect(mails).to_have_accessible_name(re.compile(r"lag [\d.k\s]+, \d+\smin"))


@pytest.mark.parametrize(("size", "fragment"), [(DESKTOP, ""), (PHONE, "#view=map")], ids=["desktop", "phone"])
async def test_labels_never_overlap_and_no_line_crosses_them(
    browser: Browser, agent: RunningAgent, size: dict[str, int], fragment: str
) -> None:
    async with open_page(browser, f"{agent.url}/{fragment}", viewport=size) as page:
        await expect(page.locator("#graph .label:not(:empty)").first).to_be_attached()
        assert await overlapping_labels(page) == []
        assert await crossed_labels(page) == []
        billing = node_button(page, "service", "billing")  # five hops begin or end here
        await billing.focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#graph .lit .label:not(:empty)").first).to_be_attached()
        assert await overlapping_labels(page) == []
        assert await crossed_labels(page) == []


async def test_slower_hop_is_shown_with_its_step_and_the_version_that_made_it_slower(
    browser: Browser, agent: RunningAgent
) -> None:
    async with open_page(browser, f"{agent.url}/#minutes=5") as page:
        await change(page, "invoices.*slower").click()
        await expect(panel_heading(page)).to_have_text("billing → invoices")
        await expect(page).to_have_url(re.compile(r"minutes=60"))
        chart = page.get_by_role("img", name=re.compile(rf"^Time in service:.*; version 2\.0 since {CLOCK}$"))
        await expect(chart.locator(".marker text")).to_have_text("version 2.0")


async def test_stopped_service_is_still_where_it_was(browser: Browser, agent: RunningAgent) -> None:
    async with open_page(browser, agent.url) as page:
        shipping = node_button(page, "service", "shipping")
        await expect(shipping).to_have_accessible_name(re.compile(rf"quiet since {CLOCK}"))
        await expect(hop_button(page, "invoices", "shipping")).to_be_attached()
        await shipping.click()
        await expect(page.locator("#panel")).to_contain_text(
            re.compile(rf"Has not reported for [\d.]+\smin, since {CLOCK}\.")
        )


async def test_queue_that_a_stopped_service_read_needs_attention_in_any_range(
    browser: Browser, agent: RunningAgent
) -> None:
    async with open_page(browser, f"{agent.url}/#minutes=60") as page:
        wrong = section(page, "Needs attention")
        await expect(wrong).to_contain_text(
            re.compile(rf"invoices.*no service was seen reading them since {CLOCK}\. A")
        )
        await expect(node_button(page, "queue", "invoices")).to_have_accessible_name(re.compile("not read"))


async def test_group_that_was_behind_catches_up_and_is_done_in_some_time(browser: Browser, agent: RunningAgent) -> None:
    async with open_page(browser, agent.url) as page:
        await hop_button(page, "mails", "mailing").click()
        lag = page.locator("#panel p", has_text="Lag:")
        told = re.compile(r"[\d,]+ messages, \d+\smin old, catching up, done in about \d+\smin$")
        await expect(lag).to_have_text(told)
        for title in ("Unread messages", "Age of the oldest"):
            chart = page.get_by_role("img", name=re.compile(f"^{title}: mailing 0 "))
            await expect(chart.locator(".curve")).to_have_attribute("d", re.compile(r"^M[\d.]+ [\d.]+"))


async def test_service_shows_its_pathways_with_the_retry_loop_and_who_is_downstream(
    browser: Browser, agent: RunningAgent
) -> None:
    async with open_page(browser, agent.url) as page:
        await node_button(page, "service", "shop").click()
        panel = page.locator("#panel")
        await expect(panel.locator(".pathways > li")).to_have_count(4)
        loop = panel.locator(".pathways > li", has_text="dead-letters")
        await expect(loop.locator(".hop", has_text="orders-retry")).to_have_count(2)
        downstream = section(page, "Downstream").get_by_role("button")
        await expect(downstream.filter(has_text="dead-letters")).to_contain_text("5 links away")
        await page.get_by_label("Measure the time to").select_option(label="invoices")
        await expect(panel.locator(".measured")).to_contain_text(re.compile(r"4\.\d+\ss"))


async def test_past_has_its_own_words_and_no_alerts_of_the_present(browser: Browser, agent: RunningAgent) -> None:
    async with open_page(browser, agent.url) as page:
        await expect(page.locator("#alerts")).to_have_text("1 alert")
        await page.get_by_label("Time range").select_option("history")
        await page.get_by_role("slider", name="Until").press("PageDown")
        await expect(page.locator("#state")).to_have_text("The past")
        slowest = section(page, "Where the time goes")
        await expect(slowest).to_contain_text(re.compile(rf"slowest hops of the minute before .*{CLOCK}"))
        await expect(page.locator("#alerts")).to_have_text("")
        await expect(page.locator(".legend")).to_contain_text("minute before")
        await expect(page.locator("#panel")).not_to_contain_text("last minute")


IS_SEEN = """() => {
  const { left, right, top, bottom } = document.activeElement.getBoundingClientRect();
  const at = document.elementFromPoint((left + right) / 2, (top + Math.min(bottom, innerHeight)) / 2);
  return at !== null && (document.activeElement.contains(at) || at.closest("#graph") !== null);
}"""
FITS_WIDTH = "document.documentElement.scrollWidth <= innerWidth"


async def press_until(page: Page, key: str, wanted: Locator) -> None:
    """Press a key until an element has the focus, at most forty times."""
    for _ in range(40):
        if await wanted.evaluate("element => element === document.activeElement"):
            return
        await page.keyboard.press(key)
    raise AssertionError(f"{key} does not reach {wanted}")


@pytest.mark.parametrize("size", [(640, 380), (320, 640), (320, 256)], ids=["200 %", "narrow", "400 %"])
async def test_keyboard_answers_the_questions_on_a_small_screen(
    browser: Browser, agent: RunningAgent, size: tuple[int, int]
) -> None:
    width, height = size
    async with open_page(browser, agent.url, viewport={"width": width, "height": height}) as page:
        await expect(change(page, "invoices.*slower")).to_be_attached()
        assert await page.evaluate(FITS_WIDTH)
        await press_until(page, "Tab", page.get_by_role("button", name="Skip to the details"))
        await page.keyboard.press("Enter")
        await press_until(page, "Tab", change(page, "invoices.*slower"))
        assert await page.evaluate(IS_SEEN)
        await page.keyboard.press("Enter")
        await expect(panel_heading(page)).to_be_in_viewport()
        await expect(page.get_by_role("img", name=re.compile("^Time in service:"))).to_be_visible()
        assert await page.evaluate(FITS_WIDTH)
        await press_until(page, "Shift+Tab", page.get_by_role("button", name="Map", exact=True))
        assert await page.evaluate(IS_SEEN)
        await page.keyboard.press("Enter")
        await press_until(page, "Tab", page.locator("#graph [tabindex='0']"))
        for key in ("ArrowDown", "ArrowUp", "ArrowDown"):
            await page.keyboard.press(key)
            await page.wait_for_timeout(100)
        await expect(page.locator("#graph :focus")).to_be_attached()
        assert await page.evaluate(IS_SEEN)
        assert await page.evaluate(FITS_WIDTH)
        await page.keyboard.press("/")
        await page.keyboard.type("mailing")
        await page.keyboard.press("Enter")
        await expect(panel_heading(page)).to_have_text("mailing")
        await expect(panel_heading(page)).to_be_in_viewport()
        await page.keyboard.press("Escape")
        await expect(node_button(page, "service", "mailing")).to_be_focused()
        await expect(node_button(page, "service", "mailing")).to_be_in_viewport()
        await press_until(page, "Shift+Tab", page.locator("#alerts button"))
        await page.keyboard.press("Enter")
        await expect(page.locator("#panel")).to_contain_text("mails wait")
        await page.get_by_label("Time range").select_option("history")
        await page.get_by_role("slider", name="Until").focus()
        assert await page.evaluate(FITS_WIDTH)
        assert await page.evaluate(IS_SEEN)


@pytest.mark.parametrize(
    ("size", "scheme", "fragment"),
    [(DESKTOP, "light", ""), (PHONE, "dark", "#view=map")],
    ids=["desktop, light", "phone, dark"],
)
async def test_axe_finds_nothing_serious(
    browser: Browser, agent: RunningAgent, size: dict[str, int], scheme: str, fragment: str
) -> None:
    async with open_page(browser, f"{agent.url}/{fragment}", viewport=size, color_scheme=scheme) as page:
        await expect(change(page, "invoices.*slower")).to_be_visible()
        assert await serious_violations(page) == []
        await change(page, "invoices.*slower").click()
        await expect(page.get_by_role("img", name=re.compile("^Time in service:"))).to_be_visible()
        assert await serious_violations(page) == []
