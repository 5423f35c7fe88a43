"""What messages say, on the page: redeliveries, the wait in a batch, and a schema that changes."""

from __future__ import annotations

import re
from time import time

import httpx2
import pytest
from playwright.async_api import Browser, expect

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
from asyncdsm.delivery.payload import pack
from asyncdsm.settings import Settings
from tests.agent.payloads import GZIP, INTAKE, SECOND_NS, passed
from tests.browser.map_page import hop_button, open_page, panel_heading

EDGE = Edge("direction:in", "group:billing", "topic:orders", "type:kafka")


def report(seconds_ago: float, schema_id: int) -> bytes:
    """Return the payload of a service that read four orders, one of them for the second time, in one batch."""
    now = int((time() - seconds_ago) * SECOND_NS)
    aggregator = Aggregator("billing", None, now=lambda: now)
    passed(aggregator, EDGE, [0.2] * 4)
    aggregator.facts.count_deliveries(EDGE, redelivered=True, dead_lettered=False)
    for number in range(4):
        aggregator.facts.count_wait(EDGE, now - number * SECOND_NS)
    aggregator.facts.note_schema(EDGE, schema_id, "orders-value")
    (bucket,), (facts,) = aggregator.take(), aggregator.take_facts()
    return pack(bucket, aggregator.bucket_ns, Settings(service="billing", hostname="host"), facts=facts).body


@pytest.fixture
def store() -> SQLiteStore:
    """Keep what the agent takes, in memory."""
    return SQLiteStore()


async def test_hop_shows_redeliveries_waits_and_a_schema_that_changed(browser: Browser, store: SQLiteStore) -> None:
    async with running_agent(store=store) as agent, open_page(browser, agent.url) as page:
        async with httpx2.AsyncClient(base_url=agent.url) as client:
            for seconds_ago, schema_id in ((240, 17), (120, 17), (20, 18)):
                answer = await client.post(INTAKE, content=report(seconds_ago, schema_id), headers=GZIP)
                assert answer.status_code == 202
        change = page.locator("#panel button.change", has_text="schema")
        await expect(change).to_contain_text(re.compile(r"17 \(orders-value\) → 18 \(orders-value\) since .*\d\d:\d\d"))
        await hop_button(page, "orders", "billing").click()
        await expect(panel_heading(page)).to_contain_text("billing")
        section = page.locator("#panel section", has=page.get_by_role("heading", name="What messages say"))
        await expect(section.locator("p")).to_have_text(
            [
                "Redelivered: 3, 25 % of all",
                "Waited in its own batch: mean 1.5 s, longest 3 s",
                re.compile(r"^Schema: 18 \(orders-value\) since .*\d\d:\d\d$"),
                re.compile(r"^Schema: 17 \(orders-value\) since .*\d\d:\d\d$"),
            ]
        )
        chart = page.get_by_role("img", name=re.compile("^Messages per second"))
        await expect(chart).to_contain_text("schema 18")
