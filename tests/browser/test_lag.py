"""Lag on the page: how many messages, how old, whether the group catches up, and a queue that only fills."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import time

import pytest
from playwright.async_api import Browser, expect

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.payload import read_report
from tests.agent.payloads import payload, point
from tests.agent.stores import KINDS, AnyStore, Opener
from tests.agent.test_lag import COMMITTED, PRODUCED
from tests.browser.map_page import PHONE, node_button, open_page

HOPS = [
    point(EdgeTags=["type:kafka", "topic:orders", "direction:out"], Hash=1),
    point(EdgeTags=["type:kafka", "topic:orders", "direction:in", "group:g"], Hash=2, ParentHash=1),
    point(EdgeTags=["type:kafka", "topic:dead-letters", "direction:out"], Hash=3, ParentHash=2),
]
UNREAD = 24 * 40


def fill_store(store: AnyStore) -> None:
    """Add five minutes in which 40 messages came every ten seconds. A group read the first 80, and then died."""
    first, buckets = int(time()) // 10 * 10 - 300, list[dict[str, object]]()
    for number in range(26):
        offsets = [{"Tags": PRODUCED, "Value": 40 * number + 39}]
        offsets += [{"Tags": COMMITTED, "Value": 40 * number + 40}] if number < 2 else []
        start = (first + 10 * number) * 10**9
        buckets.append({"Start": start, "Duration": 10**10, "Stats": HOPS, "Backlogs": offsets})
    store.add(read_report(payload(*buckets), ""))


@pytest.fixture(params=KINDS)
def filled_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnyStore]:
    """Have these five minutes, in a store of each kind: the page cannot tell them apart."""
    opener = Opener(request.param, tmp_path, lambda: request.getfixturevalue("clickhouse").address())
    store = opener()
    fill_store(store)
    store.flush()
    yield store
    opener.close()


@pytest.fixture
async def agent(filled_store: AnyStore) -> AsyncIterator[str]:
    """Run an agent with these five minutes, and yield the address of its page."""
    async with running_agent(store=filled_store) as running:
        yield running.url


async def test_selected_queue_says_how_old_its_messages_are_and_whether_the_group_catches_up(
    browser: Browser, agent: str
) -> None:
    async with open_page(browser, agent) as page:
        orders = node_button(page, "queue", "orders")
        await expect(orders).to_have_accessible_name(re.compile(r"^queue orders, lag 960, [45]\smin$"))
        await orders.click()
        panel = page.locator("#panel")
        summary = re.compile(r"^orders → group g: 960 messages, [45]\smin old, falling behind$")
        await expect(panel.locator("section p", has_text="orders → group g")).to_have_text(summary)
        for title in ("Unread messages", "Age of the oldest"):
            chart = page.get_by_role("img", name=re.compile(f"^{title}: g 0 "))
            await expect(chart.locator(".curve")).to_have_attribute("d", re.compile(r"^M[\d.]+ [\d.]+"))
        await expect(panel.locator("tbody tr")).to_have_text(re.compile(r"^0960[45]\sminfalling behind$"))


async def test_queue_that_only_fills_needs_attention(browser: Browser, agent: str) -> None:
    async with open_page(browser, agent, viewport=PHONE) as page:
        needs = page.locator("section", has=page.get_by_role("heading", name="Needs attention"))
        await expect(needs.locator("button.name")).to_have_text(["dead-letters"])
        await expect(needs.locator(".warning")).to_contain_text("no service was seen reading them")
        await page.get_by_role("button", name="Map", exact=True).click()
        await expect(node_button(page, "queue", "dead-letters")).to_have_class(re.compile("warned"))
