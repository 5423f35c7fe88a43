"""The map and its panel: names from outside, warnings, changes, and labels that can be read."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import pytest
from playwright.async_api import Browser, expect

from asyncdsm.agent.http.server import RunningAgent, running_agent
from tests.agent.maps import HOSTILE
from tests.browser.map_page import DESKTOP, PHONE, hop_button, node_button, open_page, panel_heading
from tests.browser.shop import Shop


async def test_hostile_names_are_shown_as_text(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    for name in HOSTILE:
        shop.maps.passed(name, "out", f"q {name}", kind=name, parent=0, env=name)
        shop.maps.passed(f"r {name}", "in", f"q {name}", kind=name, group=name)
    async with open_page(browser, f"{agent.url}/#whole=1") as page:
        await expect(page.locator("#graph .node")).to_have_count(3 * len(HOSTILE))
        assert await page.locator("main :is(script, img, b > b, a, style, iframe)").count() == 0
        for name in ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>"):
            await page.locator(f'#graph .node[aria-label^="service r {name}"]').focus()
            await page.keyboard.press("Enter")
            await expect(panel_heading(page)).to_have_text(f"r {name}")
            await page.locator(".pathways .hop").first.click()
            await expect(page.locator("figure").first).to_be_visible()
            await page.keyboard.press("/")
            await page.keyboard.type(name)
            await expect(page.locator("#found").get_by_role("option").first).to_contain_text(name)
            await page.keyboard.press("Escape")


async def test_services_that_need_attention_are_listed_with_their_warnings(
    browser: Browser, agent: RunningAgent, shop: Shop
) -> None:
    for parent in range(26):
        shop.maps.passed("busy", "in", "orders", parent=parent)
    shop.maps.passed("shop", "out", "late", parent=0)
    shop.maps.passed("clock", "in", "late", seconds=[0.0] * 50)
    async with open_page(browser, agent.url) as page:
        worth = page.locator("section", has=page.get_by_role("heading", name="Needs attention"))
        await expect(worth).to_contain_text("26 distinct pathways")
        await expect(worth).to_contain_text("Clocks disagree")
        await worth.get_by_role("button", name="busy").click()
        await expect(panel_heading(page)).to_have_text("busy")
        await expect(page.locator("#panel .warning")).to_contain_text("26 distinct pathways")


async def test_names_from_right_to_left_do_not_change_the_text_beside_them(
    browser: Browser, agent: RunningAgent, shop: Shop
) -> None:
    service, queue = "שירות 1", "תור 2"
    shop.maps.passed(service, "out", queue, parent=0)
    shop.maps.passed("\u202eevil", "out", queue, parent=0)
    async with open_page(browser, agent.url) as page:
        row = page.locator("#panel .hop .what", has_text="שירות").first
        names = row.locator("bdi")
        await expect(names).to_have_count(2)
        first, second = await names.first.bounding_box(), await names.nth(1).bounding_box()
        assert first
        assert second
        assert first["x"] < second["x"]  # the service comes first, although it is written from right to left
        await expect(page.locator("#graph .node .name", has_text="evil")).to_have_text("�evil")
        assert "\u202e" not in await page.locator("body").inner_html()


async def test_topics_of_one_name_in_two_clusters_are_two_nodes(
    browser: Browser, agent: RunningAgent, shop: Shop
) -> None:
    for number in (1, 2):
        cluster = f"kafka_cluster_id:cluster-{number}"
        shop.maps.passed("shop", "out", "events", tags=[cluster], parent=0, env=f"env-{number}")
    async with open_page(browser, agent.url) as page:
        for number in (1, 2):
            await node_button(page, "queue", f"events (env-{number})").focus()
            await page.keyboard.press("Enter")
            await expect(panel_heading(page)).to_have_text(f"events (env-{number})")
            await expect(page.locator("#panel .pathways .hop")).to_have_count(1)
            await expect(page.locator("#panel .pathways .hop")).to_contain_text(f"shop (env-{number})")


async def test_hop_that_became_slower_is_marked_on_the_map_and_listed_in_the_panel(
    browser: Browser, agent: RunningAgent, shop: Shop
) -> None:
    for ago in range(20, -1, -1):
        seconds = [30.0 if ago < 6 else 0.005] * 50
        shop.maps.passed("billing", "in", "orders", group="g", parent=1, seconds=seconds, ago=10 * ago + 10)
    async with open_page(browser, agent.url) as page:
        await expect(page.locator("#graph .texts.warm-5.slower .label").first).to_have_text("29.8 s")
        await expect(page.locator("#graph .texts .since")).to_have_text(re.compile(r"^▲ \d\d:\d\d$"))
        described = re.compile(r"^orders → billing: 29\.8\ss, [\d.]+/s, slower since \d\d:\d\d$")
        await expect(page.locator("#graph .link")).to_have_attribute("aria-label", described)
        changed = page.locator("section", has=page.get_by_role("heading", name="What changed"))
        await expect(changed).to_contain_text(re.compile(r"slowerin queue 4\.98\sms → 29\.8\ss since \d\d:\d\d"))
        await changed.locator(".hop").click()
        await expect(page.locator("#panel .now")).to_contain_text("4.98 ms before")


FITS = """() => [...document.querySelectorAll("#graph .node")].map((node) => {
  const [box, name] = ["rect", ".name"].map((each) => node.querySelector(each).getBoundingClientRect());
  return [box.left <= name.left && name.right <= box.right, name.height];
})"""


async def test_long_names_are_cut_to_fit_into_their_boxes(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    for name in ("unnamed-python-service", "W" * 40, "宽" * 40, "i" * 40):
        shop.maps.passed(name, "out", name, parent=0)
    async with open_page(browser, agent.url) as page:
        named = node_button(page, "service", "unnamed-python-service")
        await expect(named.locator(".name")).to_have_text(re.compile("^unnam.*….*vice$"))
        await expect(named.locator("title")).to_have_text(re.compile("^unnamed-python-service"))
        assert [fits for fits, _ in await page.evaluate(FITS)] == [True] * 8


async def test_names_of_a_large_map_can_be_read_on_a_phone(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    for number in range(9):
        shop.maps.passed(f"s{number}", "out", f"q{number}", parent=0)
    async with open_page(browser, f"{agent.url}/#view=map", viewport=PHONE, color_scheme="dark") as page:
        await expect(node_button(page, "service", "s4").locator(".name")).to_be_in_viewport()
        assert min(height for _, height in await page.evaluate(FITS)) >= 10
        await expect(page.locator(".canvas")).to_have_attribute("data-beyond", re.compile("left|right"))


LABELS = """() => {
  const lines = [...document.querySelectorAll("#graph .label")].filter((line) => line.textContent);
  const drawn = [...document.querySelectorAll("#graph .node .box"), ...lines];
  const boxes = drawn.map((each) => each.getBoundingClientRect());
  const within = (one, other) =>
    Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1 &&
    Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 4;
  return boxes.flatMap((one, at) => boxes.slice(at + 1).filter((other) => within(one, other))).length;
}"""


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_labels_of_a_queue_that_its_writer_reads_cover_nothing(
    browser: Browser, agent: RunningAgent, shop: Shop, viewport: dict[str, int]
) -> None:
    shop.maps.passed("worker", "out", "celery", parent=0, seconds=[0.0] * 99)
    shop.maps.passed("worker", "in", "celery", group="celery", seconds=[0.4] * 95 + [120.6] * 5)
    shop.maps.passed("old", "out", "celery", parent=0, ago=200)
    shop.maps.passed("old", "in", "celery", group="old", ago=200)
    async with open_page(browser, f"{agent.url}/#view=map", viewport=viewport) as page:
        await expect(page.get_by_text("p99 2.01 min", exact=True)).to_be_visible()
        assert await page.evaluate(LABELS) == 0


RULES = """
[[rule]]
name = "invoices are slow"
when = "time in service"
service = "billing"
above = "100 ms"
severity = "critical"
[[rule]]
name = "mailing reports"
when = "lag"
group = "mailing"
above = 1
"""


async def test_firing_alert_is_counted_in_the_header_listed_in_the_overview_and_marked_on_the_map(
    browser: Browser, shop: Shop, tmp_path: Path
) -> None:
    shop.begin()
    await anyio.Path(tmp_path, "rules.toml").write_text(RULES)
    async with (
        running_agent(store=shop.maps.store, rules=tmp_path / "rules.toml") as agent,
        open_page(browser, agent.url) as page,
    ):
        badge = page.locator("header").get_by_role("button", name="1 alert", exact=True)
        await expect(badge).to_be_visible()
        row = page.locator("#panel").get_by_role(
            "button", name=re.compile("^billing → invoices: p99 of the time in service")
        )
        await expect(row).to_contain_text("critical · invoices are slow · since ")
        await expect(page.locator("#panel")).to_contain_text("Rule “mailing reports” is unknown: nothing on the map")
        hop = hop_button(page, "billing", "invoices")
        await expect(hop).to_have_attribute("data-alert", "critical")
        await expect(hop).to_have_accessible_name(re.compile("alert: invoices are slow$"))
        await row.click()
        await expect(page).to_have_url(re.compile("#edge="))
        await badge.click()
        await expect(row).to_be_visible()
