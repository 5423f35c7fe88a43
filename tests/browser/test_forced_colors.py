"""The page with colors of the user's own, as for high contrast, and with little room for what lies over the map."""

from __future__ import annotations

from playwright.async_api import Browser, Locator, expect

from asyncdsm.agent.http.server import RunningAgent
from tests.browser.map_page import PHONE, node_button, open_page
from tests.browser.shop import Shop

GROUND = "element => getComputedStyle(element).backgroundColor"


async def ground_of(button: Locator) -> str:
    """Return the color behind the text of a button."""
    color: str = await button.evaluate(GROUND)
    return color


async def test_forced_colors_keep_what_only_a_color_tells(browser: Browser, shop: Shop, agent: RunningAgent) -> None:
    shop.begin()
    async with open_page(browser, agent.url, forced_colors="active") as page:
        await expect(node_button(page, "service", "shop")).to_be_visible()
        view = page.get_by_role("group", name="View")
        shown, other = view.get_by_role("button", name="Map"), view.get_by_role("button", name="List")
        assert await ground_of(shown) != await ground_of(other)
        pause = page.get_by_role("button", name="Pause")
        before = await ground_of(pause)
        await page.locator("#pause").click()
        assert await ground_of(page.locator("#pause")) != before
        levels = page.locator("#scale li")
        colors = {
            await level.evaluate("level => getComputedStyle(level).borderTopColor") for level in await levels.all()
        }
        assert len(colors) == await levels.count() > 1


async def test_open_filter_takes_the_place_of_the_legend_on_a_phone(
    browser: Browser, shop: Shop, agent: RunningAgent
) -> None:
    shop.begin()
    async with open_page(browser, f"{agent.url}/#view=map", viewport=PHONE) as page:
        await expect(page.locator("#scale")).to_be_visible()
        await page.keyboard.press("f")
        await expect(page.locator("#filters")).to_be_visible()
        await expect(page.locator("#scale")).to_be_hidden()
