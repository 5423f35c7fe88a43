"""A map of many services: neighbors, filters, the list, and the keyboard."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from asyncdsm.agent.http.server import RunningAgent
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.core.histogram import bin_index
from asyncdsm.delivery.sketch import encode
from benchmarks.map import service_edges
from tests.agent.payloads import SECOND_NS, bucket, payload, point
from tests.browser.map_page import (
    PHONE,
    crossed_labels,
    hop_button,
    node_button,
    open_page,
    overlapping_labels,
    panel_heading,
)
from tests.browser.shop import Shop

LAYERS, WIDTH = 4, 8
ENVS = "prod", "staging"


@pytest.fixture
def many(shop: Shop) -> None:
    """Add services in layers, each of which reads one queue and writes two; every other one is staging."""
    for layer in range(LAYERS):
        for place in range(WIDTH):
            name, env = f"service-{layer}-{place}", ENVS[place % 2]
            if layer:
                shop.maps.passed(name, "in", f"queue-{layer}-{place}", env=env, parent=0, seconds=[0.01 * place])
            for turn in (0, 3):
                queue = f"queue-{layer + 1}-{(place + turn) % WIDTH}"
                shop.maps.passed(name, "out", queue, env=env, parent=0, seconds=[0.001])


@pytest.mark.usefixtures("many")
async def test_neighbors_of_a_node_are_shown_alone_and_by_a_link(browser: Browser, agent: RunningAgent) -> None:
    nodes = LAYERS * WIDTH * 2
    async with open_page(browser, agent.url) as page:
        await expect(page.locator("#graph .node")).to_have_count(nodes)
        await node_button(page, "queue", "queue-2-4").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Show only neighbors").click()
        await expect(page.locator("#graph .node")).to_have_count(4)  # two write to it, one reads it
        await expect(page.locator("#shown")).to_have_text(f"4 of {nodes} shown")
        await page.get_by_role("button", name="Neighbors up to 2 steps away").click()
        await expect(page.locator("#graph .node")).to_have_count(10)
        await expect(panel_heading(page)).to_have_text("queue-2-4")
        await page.reload()
        await expect(page.locator("#graph .node")).to_have_count(10)
        await page.keyboard.press("n")
        await expect(page.locator("#graph .node")).to_have_count(nodes)
        assert "focus" not in page.url


@pytest.mark.usefixtures("many")
async def test_map_of_many_nodes_begins_with_the_most_important_ones(
    browser: Browser, agent: RunningAgent, shop: Shop
) -> None:
    for number in range(10):
        shop.maps.passed("busy", "out", f"busy-{number}", parent=0, seconds=[0.001] * 9)
    nodes, shown = LAYERS * WIDTH * 2 + 11, 70
    async with open_page(browser, agent.url) as page:
        await expect(page.locator("#graph .node")).to_have_count(shown)
        await expect(page.locator("#shown")).to_have_text("70 of 75 shown: what is wrong, and the busiest")
        await expect(node_button(page, "queue", "busy-9")).to_be_attached()
        await page.get_by_role("button", name="Show all").click()
        await expect(page.locator("#graph .node")).to_have_count(nodes)
        await expect(page).to_have_url(re.compile("whole=1"))
        await page.reload()
        await expect(page.locator("#graph .node")).to_have_count(nodes)
        await page.get_by_role("button", name="Show 70").click()
        await expect(page.locator("#graph .node")).to_have_count(shown)
        await page.get_by_role("button", name="List").click()
        await expect(page.locator("#list tbody tr")).to_have_count((3 * LAYERS - 1) * WIDTH + 10)


@pytest.mark.usefixtures("many")
async def test_filter_finds_names_and_hides_an_environment(browser: Browser, agent: RunningAgent) -> None:
    async with open_page(browser, agent.url) as page:
        await expect(page.locator("#groups")).to_have_text("env prodenv staging")
        await page.keyboard.press("f")
        await page.keyboard.type("queue-2-4")
        await expect(page.locator("#graph .node")).to_have_count(4)
        await page.get_by_role("checkbox", name="staging").uncheck()
        await expect(page.locator("#graph .node")).to_have_count(3)
        await expect(page).to_have_url(re.compile(r"find=queue-2-4&hide=env%3Astaging$"))
        await page.reload()
        await expect(page.get_by_role("button", name="Filter (2)")).to_be_visible()
        await expect(page.locator("#graph .node")).to_have_count(3)
        await page.get_by_role("button", name="Show all").click()
        await expect(page.locator("#graph .node")).to_have_count(LAYERS * WIDTH * 2)


@pytest.mark.usefixtures("many")
async def test_filter_waits_until_nobody_types(browser: Browser, agent: RunningAgent) -> None:
    asked = list[str]()
    async with open_page(browser, agent.url) as page:
        await expect(page.locator("#graph .node")).to_have_count(LAYERS * WIDTH * 2)
        page.on("request", lambda request: asked.extend(re.findall("find=([^&]*)", request.url)))
        await page.keyboard.press("f")
        await page.clock.install()
        await page.clock.pause_at(await page.evaluate("Date.now()") + 1_000)
        await page.keyboard.type("queue-2-4")
        assert "find" not in page.url
        await page.clock.run_for(1_000)
        await expect(page).to_have_url(re.compile("find=queue-2-4$"))
        await page.keyboard.type(" -staging")
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(re.compile(r"find=queue-2-4\+-staging$"))
        await page.clock.resume()
        await expect(page.locator("#graph .node")).to_have_count(4)
        assert set(asked) == {"queue-2-4", "queue-2-4+-staging"}


@pytest.mark.usefixtures("many")
async def test_list_is_sorted_by_a_click_and_shares_the_selection(browser: Browser, agent: RunningAgent) -> None:
    async with open_page(browser, agent.url) as page:
        await page.get_by_role("button", name="List").click()
        rows = page.locator("#list tbody tr")
        await expect(rows).to_have_count((3 * LAYERS - 1) * WIDTH)
        await expect(rows.first).to_contain_text(re.compile("^queue-[1-3]-7 → service-[1-3]-7"))
        await page.get_by_role("columnheader", name="Hop", exact=True).get_by_role("button").click()
        await expect(rows.first).to_contain_text("queue-1-0 → service-1-0")
        await expect(page.get_by_role("columnheader", name="Hop", exact=True)).to_have_attribute(
            "aria-sort", "ascending"
        )
        await rows.first.locator(".name").focus()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(panel_heading(page)).to_have_text("queue-1-1 → service-1-1")
        await page.keyboard.press("Escape")
        await expect(rows.nth(1).locator(".name")).to_be_focused()
        await rows.first.click()
        await page.get_by_role("button", name="Map").click()
        await expect(hop_button(page, "queue-1-0", "service-1-0")).to_have_attribute("aria-current", "true")


@pytest.mark.usefixtures("many")
async def test_panel_is_a_few_tab_stops_away(browser: Browser, agent: RunningAgent) -> None:
    async with open_page(browser, agent.url) as page:
        await expect(page.locator("#graph .node")).to_have_count(LAYERS * WIDTH * 2)
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("button", name="Skip to the details")).to_be_focused()
        stops = 0
        for _ in range(16):
            await page.keyboard.press("Tab")
            stops += await page.evaluate("Number(document.activeElement.closest('#graph') !== null)")
        assert stops == 1  # the map, whatever the browser thinks of its drawing
        assert await page.evaluate("document.activeElement.closest('#panel') !== null")
        await page.locator("#skip").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#panel")).to_be_focused()


READABLE = """names => {
  const shown = [...document.querySelectorAll("#graph .name, #graph .label")].filter((text) =>
    text.textContent && text.getClientRects().length);
  const boxes = shown.map((text) => text.getBoundingClientRect());
  const over = (one, other) =>
    Math.min(one.right, other.right) - Math.max(one.left, other.left) > 2 &&
    Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 4;
  return shown.filter((text) => text.matches(".name")).length >= names &&
    boxes.every((box) => box.height >= 10) &&
    !boxes.some((one, at) => boxes.slice(at + 1).some((other) => over(one, other)));
}"""


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("screen", [(1280, 760), (800, 380)], ids=["usual", "zoomed to 200 %"])
async def test_names_can_be_read_and_never_overlap(
    browser: Browser, agent: RunningAgent, screen: tuple[int, int]
) -> None:
    width, height = screen
    async with open_page(browser, agent.url, viewport={"width": width, "height": height}) as page:
        await page.wait_for_function(READABLE, arg=LAYERS * WIDTH * 2)
        before = await page.locator("#graph > g").get_attribute("transform")
        await page.get_by_role("button", name="Show everything").click()
        await expect(page.locator("#graph > g")).not_to_have_attribute("transform", before or "")
        await page.wait_for_function(READABLE, arg=20)  # some have no room, but all can be searched and focused


@pytest.mark.usefixtures("many")
async def test_map_is_requested_before_the_page_is_loaded_and_only_once(browser: Browser, agent: RunningAgent) -> None:
    async with open_page(browser, f"{agent.url}/#whole=1") as page:
        await expect(page.locator("#graph .node")).to_have_count(LAYERS * WIDTH * 2)
        loaded = await page.evaluate(
            "performance.getEntriesByType('resource').map(({ name, startTime }) => [startTime, name])"
        )
        maps = [began for began, name in loaded if "/api/map?" in name]
        (alerts, *_) = [began for began, name in loaded if "/api/alerts" in name]  # with the page's first refresh
        assert maps[0] < alerts
        assert all(began > alerts for began in maps[1:])


@pytest.mark.usefixtures("many")
async def test_groups_have_boxes_that_can_be_folded_and_a_link_has_them(browser: Browser, agent: RunningAgent) -> None:
    nodes = LAYERS * WIDTH * 2
    async with open_page(browser, f"{agent.url}/#whole=1") as page:
        await page.get_by_label("Groups").select_option(label="By environment")
        titles = page.locator("#graph .group .title")
        await expect(titles).to_have_text(["▾ Environment prod", "▾ Environment staging", "▾ Shared"])
        await expect(page.locator("#graph .node")).to_have_count(nodes)
        assert await overlapping_labels(page) == []
        assert await serious_violations(page) == []
        frames = [await frame.bounding_box() for frame in await page.locator("#graph .frame").all()]
        tops = [(frame["y"], frame["y"] + frame["height"]) for frame in frames if frame]
        assert all(above[1] < below[0] for above, below in pairwise(tops))
        await page.get_by_role("button", name=re.compile("^Environment staging, ")).focus()
        await page.keyboard.press("Enter")
        await expect(titles.nth(1)).to_have_text(re.compile(r"^▸ Environment staging · \d+ services"))
        await expect(node_button(page, "service", "service-0-1")).to_have_count(0)
        await expect(page).to_have_url(re.compile(r"group=env&fold=env%3Astaging$"))
        await page.reload()
        await expect(titles.nth(1)).to_have_attribute("aria-expanded", "false")
        await page.get_by_role("button", name="List").click()
        headings = page.locator("#list .group-name")
        await expect(headings).to_have_text([re.compile("^▾ Environment prod"), re.compile("^▸ Environment staging")])
        await expect(page.locator("#list tbody").nth(1).locator("tr")).to_have_count(1)
        assert await serious_violations(page) == []
        await headings.nth(1).click()
        await expect(headings.nth(1)).to_have_attribute("aria-expanded", "true")
        assert "fold" not in page.url


def add_services(shop: Shop, count: int) -> None:
    """Add the services of the benchmark, and their hops."""
    for number, points in enumerate(service_edges()[:count]):
        hops = [
            point(
                **{"EdgeLatency": encode({bin_index(0.02): 10}), "PathwayLatency": encode({bin_index(0.5): 10}), **each}
            )
            for each in points
        ]
        stats = bucket(*hops, Start=int(shop.maps.now() - 10) * SECOND_NS)
        shop.maps.store.add(read_report(payload(stats, Service=f"service-{number}"), ""))


@pytest.mark.parametrize("fragment", ["", "whole=1"], ids=["70 nodes", "200 services and 200 queues"])
async def test_labels_of_a_large_map_never_overlap(
    browser: Browser, agent: RunningAgent, shop: Shop, fragment: str
) -> None:
    add_services(shop, 200)
    async with open_page(browser, f"{agent.url}/#{fragment}") as page:
        await expect(page.locator("#graph .node")).to_have_count(400 if fragment else 70)
        assert await overlapping_labels(page) == []
        for _ in range(4):
            await page.get_by_role("button", name="Zoom in").click()
        await expect(page.locator("#graph .label:not(:empty)").first).to_be_attached()
        assert await overlapping_labels(page) == []
        await page.get_by_role("button", name="Show everything").click()
        await page.keyboard.press("/")
        await page.keyboard.type("service-130")
        await page.keyboard.press("Enter")  # what is selected has labels, at any scale
        await expect(page.locator("#graph .lit .label:not(:empty)").first).to_be_attached()
        assert await overlapping_labels(page) == []
        assert await crossed_labels(page) == []


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious(browser: Browser, agent: RunningAgent, scheme: str) -> None:
    async with open_page(browser, agent.url, color_scheme=scheme) as page:
        await expect(page.locator("#graph .node")).to_have_count(LAYERS * WIDTH * 2)
        assert await serious_violations(page) == []
        await page.keyboard.press("f")
        await hop_button(page, "service-0-0", "queue-1-0").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("figure").first).to_be_visible()
        assert await serious_violations(page) == []
        await page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
        await expect(page.locator("#list tbody tr").first).to_be_visible()
        assert await serious_violations(page) == []


async def serious_violations(page: Page) -> list[tuple[str, str]]:
    """Return the id of each serious or critical violation that axe finds, and an element that it is about."""
    found = (await Axe().run(page)).response["violations"]
    return [
        (violation["id"], violation["nodes"][0]["html"][:200])
        for violation in found
        if violation["impact"] in {"serious", "critical"}
    ]
