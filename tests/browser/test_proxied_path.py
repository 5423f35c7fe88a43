"""The page under a path of another server, as a proxy serves it: `https://tools.example/dsm/`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from playwright.async_api import Browser, expect
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from asyncdsm.agent.http.app import Agent
from asyncdsm.agent.http.authentication import Authentication
from asyncdsm.agent.http.page_routes import FILES, PageFiles
from tests.agent.maps import MapStore, now
from tests.browser.map_page import node_button, open_page

TOKEN = "0123456789abcdef"  # noqa: S105
PATH = "/dsm"


@pytest.fixture
def maps() -> MapStore:
    """Return a map of one service."""
    maps = MapStore(now=now)
    maps.passed("shop", "out", "orders", parent=0)
    return maps


def under_path(app: ASGIApp) -> ASGIApp:
    """Serve an app under PATH, as a proxy does that removes it from each request."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["path"].startswith(f"{PATH}/"), f"the page requests {scope['path']}"
        await app({**scope, "path": scope["path"].removeprefix(PATH)}, receive, send)

    return call


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an app inside the block; yield its URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


async def test_page_under_a_path_logs_in_and_draws_the_map(browser: Browser, maps: MapStore) -> None:
    agent = Agent(maps.store)
    async with (
        serving(under_path(agent.app(TOKEN))) as url,
        open_page(browser, f"{url}{PATH}/#minutes=60", may_fail="status of 401") as page,
    ):
        await page.get_by_label("Agent token").fill(TOKEN)
        await page.get_by_role("button", name="Log in").click()
        await expect(node_button(page, "service", "shop")).to_be_visible()
        await expect(page.locator("#state")).to_have_text("Live")
        assert page.url.startswith(f"{url}{PATH}/")
        (cookie,) = await page.context.cookies()
        assert cookie.get("path") == PATH
        maps.passed("billing", "in", "orders", group="billing")
        await expect(node_button(page, "service", "billing")).to_be_visible()  # the events reach the page
        agent.live.close()


async def test_second_visit_asks_for_the_page_alone_and_an_upgrade_for_all_files(
    browser: Browser, maps: MapStore
) -> None:
    agent = Agent(maps.store)
    changed = PageFiles({**FILES, "main.js": FILES["main.js"] + b'\ndocument.body.dataset.upgraded = "";\n'})
    upgraded = Authentication(Starlette(routes=changed.routes()), None, "localhost", lambda _path, _status: None)
    apps = {"page": agent.app(), "api": agent.app()}
    asked: list[str] = []

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        is_api = scope["path"].startswith("/api/")
        if not is_api:
            asked.append(scope["path"])
        await apps["api" if is_api else "page"](scope, receive, send)

    async with serving(under_path(call)) as url, open_page(browser, f"{url}{PATH}/") as page:
        await expect(node_button(page, "service", "shop")).to_be_visible()
        assert len(set(asked)) == len(asked) > 50
        asked.clear()
        await page.goto("about:blank")
        await page.goto(f"{url}{PATH}/")
        await expect(node_button(page, "service", "shop")).to_be_visible()
        assert asked == ["/"]
        apps["page"] = upgraded
        await page.goto("about:blank")
        await page.goto(f"{url}{PATH}/")
        await expect(node_button(page, "service", "shop")).to_be_visible()
        await expect(page.locator("body[data-upgraded]")).to_be_attached()
        agent.live.close()
