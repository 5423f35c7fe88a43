"""Rules of alerts on the page: an operator adds one, is told what is wrong with it, changes it, and removes it."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import pytest
from playwright.async_api import Browser, Page, expect

from asyncdsm.agent.http.server import running_agent
from tests.agent.payloads import Client
from tests.browser.map_page import DESKTOP, PHONE, open_page
from tests.browser.shop import Shop
from tests.browser.test_large_map import serious_violations

FILE = '[[rule]]\nname = "of the file"\nwhen = "lag"\nabove = 10\n'


async def fill(page: Page, **fields: str) -> None:
    for name, value in fields.items():
        await page.locator(f"#rules [name={name}]").fill(value)


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
async def test_rule_is_added_changed_and_removed(
    browser: Browser, shop: Shop, tmp_path: Path, size: dict[str, int], scheme: str
) -> None:
    shop.begin()
    rules, kept = tmp_path / "rules.toml", tmp_path / "page.toml"
    await anyio.Path(rules).write_text(FILE)
    async with (
        running_agent(store=shop.maps.store, rules=rules, page_rules=kept) as agent,
        open_page(browser, agent.url, may_fail="status of 400", viewport=size, color_scheme=scheme) as page,
    ):
        await page.locator("#panel").get_by_role("button", name="1 rule", exact=True).click()
        dialog = page.get_by_role("dialog", name="Rules of alerts")
        rows = dialog.locator("li")
        await expect(rows).to_have_text([re.compile("^of the filelag above 10, warning · in the file of --rules$")])
        await expect(rows.get_by_role("button")).to_have_count(0)

        await dialog.get_by_role("button", name="Add a rule").click()
        await expect(dialog.get_by_label("Name", exact=True)).to_be_focused()
        await dialog.get_by_label("When").select_option("time in service")
        await expect(dialog.get_by_label("Only group")).to_be_hidden()
        await fill(page, name="slow", above="soon", service="billing")
        await dialog.get_by_label("Severity").select_option("critical")
        assert await serious_violations(page) == []
        await page.keyboard.press("Enter")
        await dialog.get_by_role("button", name="Add", exact=True).click()
        above = dialog.get_by_label("Is above")
        await expect(above).to_be_focused()
        await expect(above).to_have_attribute("aria-invalid", "true")
        await expect(above).to_have_accessible_description(re.compile('“Is above” must be a duration such as "500 ms"'))
        assert await serious_violations(page) == []
        await expect(dialog.get_by_label("Name", exact=True)).to_have_value("slow")
        await fill(page, above="100 ms")
        await dialog.get_by_role("button", name="Add", exact=True).click()
        await expect(rows.nth(1)).to_contain_text("p99 of time in service above 100 ms, service billing, critical")
        await expect(dialog.get_by_role("alert")).to_have_text("")
        assert await serious_violations(page) == []
        # Meanwhile the panel has got new buttons: the focus returns to the one of the same key.
        await expect(page.locator("#panel").get_by_role("button", name="2 rules")).to_be_attached()
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        await expect(page.locator("#panel").get_by_role("button", name="2 rules")).to_be_focused()
        await expect(page.locator("#alerts").get_by_role("button", name="1 alert")).to_be_visible()

        await page.locator("#panel").get_by_role("button", name="2 rules").click()
        await dialog.get_by_role("button", name="Change slow").click()
        await fill(page, above="1 h", name="very slow")
        await dialog.get_by_role("button", name="Save").click()
        await expect(rows.nth(1)).to_contain_text("very slow")
        await expect(page.locator("#alerts")).to_have_text("")  # at the next evaluation, which is at once

        change = dialog.get_by_role("button", name="Change very slow")
        await change.click()
        await expect(dialog.get_by_label("Without its webhook")).to_have_count(0)
        await fill(page, webhook="http://hooks.invalid/SECRET")
        await dialog.get_by_role("button", name="Save").click()
        await expect(rows.nth(1)).to_contain_text("tells hooks.invalid")
        await change.click()
        await dialog.get_by_label("Without its webhook").check()
        assert await serious_violations(page) == []
        await dialog.get_by_role("button", name="Save").click()
        await expect(rows.nth(1)).not_to_contain_text("tells")

        await change.click()
        await dialog.get_by_role("button", name="Delete").click()
        await dialog.get_by_role("button", name="Really delete?").click()
        await expect(rows).to_have_count(1)
        assert "slow" not in await anyio.Path(kept).read_text()


async def test_second_of_two_people_who_change_one_rule_is_told(browser: Browser, shop: Shop) -> None:
    shop.begin()
    rule = {"name": "slow", "when": "time in service", "above": "1 h"}
    async with running_agent(store=shop.maps.store) as agent, Client(base_url=agent.url) as other:
        await other.post("/api/rules", json=rule)
        async with open_page(browser, agent.url, may_fail="status of 409") as page:
            await page.locator("#panel").get_by_role("button", name="1 rule", exact=True).click()
            dialog = page.get_by_role("dialog", name="Rules of alerts")
            await dialog.get_by_role("button", name="Change slow").click()
            await other.put("/api/rules", params={"name": "slow"}, json={**rule, "above": "2 h"})
            await fill(page, above="3 h")
            await dialog.get_by_role("button", name="Save").click()
            await expect(dialog.get_by_role("alert")).to_contain_text("somebody else has changed this rule meanwhile")
            await expect(dialog.get_by_label("Is above")).to_have_value("3 h")  # what was written is not lost
            await dialog.get_by_role("button", name="Cancel").click()
            await expect(dialog.locator("li")).to_contain_text("above 2 h")
            await other.put("/api/rules", params={"name": "slow"}, json={**rule, "above": "4 h"})
            await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # the window is shown again
            await expect(dialog.locator("li")).to_contain_text("above 4 h")


async def test_page_says_that_rules_end_with_an_agent_in_memory(browser: Browser, shop: Shop) -> None:
    shop.begin()
    async with running_agent(store=shop.maps.store) as agent, open_page(browser, agent.url) as page:
        await page.locator("#panel").get_by_role("button", name="Add a rule").click()
        await expect(page.locator("#rules").get_by_label("Name", exact=True)).to_be_focused()  # one click is enough
        await expect(page.locator("#rules")).to_contain_text("Rules that are added here end with the agent")
        await page.get_by_role("button", name="Close").last.click()
        await expect(page.locator("#rules")).to_be_hidden()
