"""Messages that nobody reads, or that come again, on the page: what needs attention, and rules about them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from time import time
from typing import NamedTuple

import anyio
import pytest
from anyio import to_thread
from playwright.async_api import Browser, Locator, Page, expect

from asyncdsm.agent.http.server import RunningAgent, running_agent
from asyncdsm.agent.intake.payload import read_report
from tests.agent.maps import MapStore
from tests.agent.payloads import SECOND_NS, bucket, payload, point
from tests.agent.test_forward import listening
from tests.browser.map_page import DESKTOP, PHONE, open_page
from tests.browser.test_history import section
from tests.browser.test_large_map import serious_violations
from tests.intake import Intake

CLOCK = r"\d\d:\d\d"
ORDERS = ["direction:in", "topic:orders", "type:rabbitmq"]
STOPPED = 180  # seconds ago


class Clock:
    """The clock of an agent: it is some seconds back while a service reports what happened then."""

    back: float = 0.0

    def now(self) -> float:
        return time() - self.back


class Troubled(NamedTuple):
    """A map, and the clock of its store."""

    maps: MapStore
    clock: Clock

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[RunningAgent]:
        """Run an agent that has been watching for two minutes."""
        self.clock.back = 120
        async with running_agent(store=self.maps.store) as agent:
            self.clock.back = 0
            yield agent


@pytest.fixture
def troubled() -> Troubled:
    """Return a map on which billing reads half of its orders again, and mailing has stopped reading mails."""
    clock = Clock()
    maps = MapStore(now=clock.now)
    for back in range(480, 0, -10):
        clock.back = back
        maps.passed("shop", "out", "mails", parent=0, ago=12)
        if back > STOPPED:
            read_mails(maps, 12)
        said = {"EdgeTags": ORDERS, "Redelivered": 2, "DeadLettered": 1}
        start = int(clock.now() - 12) * SECOND_NS
        body = payload(bucket(point(EdgeTags=ORDERS), Start=start, AsyncdsmFacts=[said]), Service="billing")
        maps.store.add(read_report(body, ""))
    return Troubled(maps, clock)


def read_mails(maps: MapStore, ago: float) -> None:
    """Let mailing read what was written last."""
    maps.passed("mailing", "in", "mails", group="mailing", ago=ago)


async def write_rule(page: Page, when: str, **fields: str) -> None:
    """Write a rule in the dialog, which shows the list of rules before and after that."""
    dialog = page.get_by_role("dialog", name="Rules of alerts")
    await dialog.get_by_role("button", name="Add a rule").click()
    await dialog.get_by_label("When").select_option(when)
    for name, value in fields.items():
        await page.locator(f"#rules [name={name}]").fill(value)
    assert await serious_violations(page) == []
    await dialog.get_by_role("button", name="Add", exact=True).click()
    await expect(dialog.locator("li").last).to_contain_text(fields["name"])


def alert(page: Page, name: str) -> Locator:
    """Return the row of an alert in the overview."""
    return section(page, "Alerts").get_by_role("button", name=re.compile(name))


async def told(intake: Intake, count: int) -> set[tuple[str, str]]:
    """Return event and rule of what the webhook was told, as soon as it was told so often."""
    with anyio.fail_after(40):
        while len(intake.accepted) < count:
            await anyio.sleep(0.05)
    messages: list[dict[str, str]] = [json.loads(body) for body in intake.accepted]
    return {(each["event"], each["rule"]) for each in messages}


async def change_rule(page: Page, name: str, above: str) -> None:
    """Change the limit of a rule."""
    dialog = page.get_by_role("dialog", name="Rules of alerts")
    await dialog.get_by_role("button", name=f"Change {name}").click()
    await page.locator("#rules [name=above]").fill(above)
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.locator("li", has_text=name)).to_contain_text(f"above {above}")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_queue_that_only_fills_and_messages_that_come_again_need_attention(
    browser: Browser, troubled: Troubled, size: dict[str, int]
) -> None:
    async with (
        troubled.serving() as agent,
        open_page(browser, agent.url, viewport=size) as page,
    ):
        wrong = section(page, "Needs attention")
        await expect(wrong).to_contain_text(re.compile(rf"mails.*no service was seen reading them since {CLOCK}\. A"))
        expected = (
            rf"messages \(25\s%\) that billing read in the last 5 minutes were dead-lettered before, since {CLOCK}"
        )
        await expect(wrong).to_contain_text(re.compile(expected))
        expected = rf"messages \(50\s%\) that billing read in the last 5 minutes were delivered again, since {CLOCK}"
        await expect(wrong).to_contain_text(re.compile(expected))
        boxes = [await warning.bounding_box() for warning in await wrong.locator(".warning").all()]
        assert all(one and other and one["y"] + one["height"] + 4 < other["y"] for one, other in pairwise(boxes))
        assert await serious_violations(page) == []


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
async def test_rules_about_delivery_are_written_broken_told_and_kept_again(
    browser: Browser, troubled: Troubled, size: dict[str, int], scheme: str
) -> None:
    async with (
        listening() as intake,
        troubled.serving() as agent,
        open_page(browser, agent.url, viewport=size, color_scheme=scheme) as page,
    ):
        await page.locator("#panel").get_by_role("button", name="Add a rule", exact=True).click()
        dialog = page.get_by_role("dialog", name="Rules of alerts")
        await dialog.get_by_role("button", name="Cancel").click()  # without rules, the form is open at once
        await write_rule(page, "dead letters", name="dead", above="0", queue="orders", webhook=intake.url)
        await write_rule(page, "redelivered", name="again", above="5 %", webhook=intake.url)
        await write_rule(page, "unread", **{"name": "mails fill", "for": "1 min", "webhook": intake.url})
        expected = {("begins", "dead"), ("begins", "again"), ("begins", "mails fill")}
        assert await told(intake, 3) == expected
        await page.keyboard.press("Escape")
        await expect(page.locator("#alerts").get_by_role("button", name="3 alerts")).to_be_visible()
        await expect(alert(page, "dead")).to_contain_text(
            re.compile(r"\d+ messages dead-lettered before, above 0 mess")
        )
        await expect(alert(page, "again")).to_contain_text("orders → billing: 50 % redelivered, above 5 %")
        await expect(alert(page, "mails fill")).to_contain_text(
            re.compile(rf"mails: messages come in, and no service was seen reading them for [\d.]+\smin.*since {CLOCK}")
        )
        assert await serious_violations(page) == []

        await to_thread.run_sync(read_mails, troubled.maps, 0)
        await page.locator("#panel").get_by_role("button", name="3 rules").click()
        await change_rule(page, "again", "60 %")
        await change_rule(page, "dead", "1000")
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
        await expect(page.locator("#alerts")).to_have_text("")
        expected = {("ends", name) for _, name in expected} | expected
        assert await told(intake, 6) == expected
