"""The page and its connection to the agent: an agent that does not answer, events, tokens, and logins."""

from __future__ import annotations

import re
import signal
import sys
from urllib.parse import urlsplit

import anyio
import pytest
from playwright.async_api import Browser, Page, Route, expect

from asyncdsm.agent.http.server import running_agent
from tests.agent.maps import MapStore, now
from tests.browser.map_page import node_button, open_page

NO_AGENT = r"net::ERR_|status of 401"


@pytest.fixture
def maps() -> MapStore:
    """Return a map of two services."""
    maps = MapStore(now=now)
    maps.passed("shop", "out", "orders", parent=0)
    maps.passed("billing", "in", "orders", group="billing", seconds=[0.4])
    return maps


async def expect_unreachable(page: Page) -> None:
    await expect(page.locator("#state")).to_have_text("Agent unreachable")
    await expect(page.get_by_role("alert")).to_contain_text("The agent does not answer. The map is from ")
    await expect(page.locator("main")).to_have_css("filter", re.compile("grayscale"))


async def test_page_recovers_when_an_agent_that_went_away_is_back(browser: Browser, maps: MapStore) -> None:
    async with running_agent(store=maps.store) as agent:
        url, port = agent.url, urlsplit(agent.url).port or 0
        page_of = open_page(browser, url, may_fail=NO_AGENT)
        page = await page_of.__aenter__()
        await expect(page.locator("#state")).to_have_text("Live")
    try:
        await expect_unreachable(page)
        maps.passed("shipping", "out", "parcels")
        async with running_agent(port=port, store=maps.store):
            await expect(page.locator("#state")).to_have_text("Live")
            await expect(page.get_by_role("alert")).to_be_hidden()
            await expect(page.locator("main")).to_have_css("filter", "none")
            await expect(node_button(page, "service", "shipping")).to_be_visible()
    finally:
        await page_of.__aexit__(None, None, None)


async def test_page_is_not_live_while_the_agent_hangs(browser: Browser) -> None:
    command = [sys.executable, "-m", "asyncdsm", "agent", "--port", "0"]
    async with await anyio.open_process(command) as process:
        try:
            assert process.stdout is not None
            url = (await process.stdout.receive()).decode().split()[-1]
            async with open_page(browser, url) as page:
                await expect(page.locator("#state")).to_have_text("Live")
                process.send_signal(signal.SIGSTOP)
                await expect(page.locator("#state")).to_have_text("Waiting for the agent …")
                process.send_signal(signal.SIGCONT)
                await expect(page.locator("#state")).to_have_text("Live")
        finally:
            process.kill()


@pytest.mark.parametrize("is_away", [False, True], ids=["agent answers", "agent is away"])
async def test_page_that_was_frozen_comes_back_by_itself(browser: Browser, maps: MapStore, *, is_away: bool) -> None:
    async with running_agent(store=maps.store) as agent:
        url, port = agent.url, urlsplit(agent.url).port or 0
        page_of = open_page(browser, url, may_fail=NO_AGENT)
        page = await page_of.__aenter__()
        await expect(page.locator("#state")).to_have_text("Live")
        lifecycle = await page.context.new_cdp_session(page)
        await lifecycle.send("Page.setWebLifecycleState", {"state": "frozen"})
        maps.passed("shipping", "out", "parcels")
        if not is_away:
            await lifecycle.send("Page.setWebLifecycleState", {"state": "active"})
            await expect(node_button(page, "service", "shipping")).to_be_visible()
    try:
        await lifecycle.send("Page.setWebLifecycleState", {"state": "active"})
        await expect_unreachable(page)
        async with running_agent(port=port, store=maps.store):
            await expect(page.locator("#state")).to_have_text("Live")
            await expect(node_button(page, "service", "shipping")).to_be_visible()
    finally:
        await page_of.__aexit__(None, None, None)


async def test_page_that_was_hidden_says_that_it_is_old_until_there_is_an_answer(
    browser: Browser, maps: MapStore
) -> None:
    async with running_agent(store=maps.store) as agent, open_page(browser, agent.url) as page:
        await page.clock.install()
        await page.reload()
        await expect(page.locator("#state")).to_have_text("Live")
        await page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true, configurable: true })")
        answer = anyio.Event()

        async def hold(route: Route) -> None:
            await answer.wait()
            await route.continue_()

        await page.route("**/api/map*", hold)
        await page.clock.fast_forward(600_000)
        maps.passed("shipping", "out", "parcels")
        await page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
        await expect(page.locator("#state")).to_have_text(re.compile(r"Waiting, map of .*\d\d:\d\d:\d\d …"))
        answer.set()
        await expect(page.locator("#state")).to_have_text("Live")
        await expect(node_button(page, "service", "shipping")).to_be_visible()


async def test_page_updates_every_two_seconds_without_events(browser: Browser, maps: MapStore) -> None:
    async def refuse(route: Route) -> None:
        await route.fulfill(status=503)

    async with running_agent(store=maps.store) as agent, open_page(browser, agent.url, may_fail="503|MIME") as page:
        await page.route("**/api/live", refuse)
        await page.reload()
        await expect(page.locator("#state")).to_have_text("Live, every 2 seconds")
        maps.passed("shipping", "out", "parcels")
        await expect(node_button(page, "service", "shipping")).to_be_visible()


async def test_token_in_the_address_logs_the_browser_in(browser: Browser, maps: MapStore) -> None:
    token = "a-token-of-the-test"  # noqa: S105
    async with (
        running_agent(store=maps.store, token=token) as agent,
        open_page(browser, f"{agent.url}/?token={token}", may_fail=NO_AGENT) as page,
    ):
        await expect(node_button(page, "service", "billing")).to_be_visible()
        await expect(page.locator("#state")).to_have_text("Live")
        assert token not in page.url
        await page.context.clear_cookies()
        await expect(page.get_by_role("alert")).to_contain_text("The agent requires its token")
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_label("Agent token").fill(token)
        await page.keyboard.press("Enter")
        await expect(page.locator("#state")).to_have_text("Live")


async def test_login_rejects_a_wrong_token_and_accepts_the_right_one(browser: Browser, maps: MapStore) -> None:
    token = "a-token-of-the-test"  # noqa: S105
    async with (
        running_agent(store=maps.store, token=token) as agent,
        open_page(browser, f"{agent.url}/#minutes=60", may_fail=NO_AGENT) as page,
    ):
        await page.get_by_label("Agent token").fill("not-the-token")
        await page.get_by_role("button", name="Log in").click()
        await expect(page.get_by_role("alert")).to_have_text("This is not the token of this agent.")
        await page.get_by_label("Agent token").fill(token)
        await page.get_by_role("button", name="Log in").click()
        await expect(node_button(page, "service", "billing")).to_be_visible()
        await expect(page).to_have_url(f"{agent.url}/#minutes=60")
        await expect(page.get_by_label("Time range")).to_have_value("60")
        assert await page.evaluate("document.cookie") == ""


async def test_link_from_another_site_opens_the_map_if_the_browser_is_logged_in(
    browser: Browser, maps: MapStore
) -> None:
    token = "a-token-of-the-test"  # noqa: S105
    async with running_agent(store=maps.store, token=token) as agent, running_agent() as other:
        context = await browser.new_context()
        page = await context.new_page()
        await page.goto(f"{agent.url}/?token={token}")
        await expect(node_button(page, "service", "billing")).to_be_visible()
        await page.goto(other.url.replace("127.0.0.1", "localhost"))
        await page.evaluate("url => { location.href = url }", f"{agent.url}/#minutes=60")
        await expect(node_button(page, "service", "billing")).to_be_visible()
        await expect(page).to_have_url(f"{agent.url}/#minutes=60")
        await context.close()


@pytest.mark.parametrize(
    ("fragment", "early"), [("", ["alerts", "map"]), ("#from=1000&to=2000", ["map"])], ids=["present", "past"]
)
async def test_map_and_alerts_are_requested_before_the_page_begins(
    browser: Browser, maps: MapStore, fragment: str, early: list[str]
) -> None:
    held, requested = list[Route](), list[str]()

    def hold(route: Route) -> None:
        held.append(route)

    async with running_agent(store=maps.store) as agent, open_page(browser, f"{agent.url}/{fragment}") as page:
        await expect(page.locator("#state")).not_to_have_attribute("data-state", "waking")
        await page.route("**/page/*/main.js", hold)
        page.on("request", lambda request: requested.append(urlsplit(request.url).path))
        await page.reload(wait_until="commit")
        with anyio.fail_after(30):
            while not held or len(asked := [path[5:] for path in requested if path.startswith("/api/")]) < len(early):
                await anyio.sleep(0.02)
        assert sorted(asked) == early
        for route in held:
            await route.continue_()
        await expect(page.locator("#state")).not_to_have_attribute("data-state", "waking")
