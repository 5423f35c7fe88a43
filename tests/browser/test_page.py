"""The page and its reader: search, keys, pause, range, colours, and names that mean harm."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from playwright.async_api import Browser, Page, expect

from asyncdsm.agent.http.server import RunningAgent, running_agent
from tests.agent.maps import HOSTILE, MapStore, now
from tests.browser.reading import DESKTOP, PHONE, heading, hop, node, reading


class Shop:
    """A map that grows as the test wants."""

    def __init__(self) -> None:
        self.maps: MapStore = MapStore(now=now)

    def begin(self) -> None:
        """Let an order pass."""
        self.maps.passed("shop", "out", "orders", parent=0, seconds=[0.0] * 9)
        self.maps.passed("billing", "in", "orders", group="billing", seconds=[0.004] * 9)
        self.maps.passed("billing", "out", "invoices", seconds=[0.4] * 9)
        self.maps.passed("shipping", "in", "invoices", group="shipping", seconds=[0.002] * 9)


@pytest.fixture
def shop() -> Shop:
    """Return a map with nothing on it."""
    return Shop()


@pytest.fixture
async def agent(shop: Shop) -> AsyncIterator[RunningAgent]:
    """Serve the map."""
    async with running_agent(store=shop.maps.store) as agent:
        yield agent


@contextmanager
def asked(page: Page, path: str) -> Iterator[list[str]]:
    """Yield the requests for a path, as they come."""
    found = list[str]()
    page.on("request", lambda request: found.append(request.url) if path in request.url else None)
    yield found


async def test_nothing_yet_and_then_something(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    async with reading(browser, agent.url) as page:
        await expect(page.get_by_role("heading", name="No messages yet")).to_be_visible()
        await expect(page.locator("#empty")).to_contain_text(f"DD_TRACE_AGENT_URL={agent.url} asyncdsm run")
        await expect(page.locator("#state")).to_have_text("Live")
        shop.begin()
        await expect(node(page, "service", "billing")).to_be_visible()
        await expect(page.locator("#empty")).to_be_hidden()


async def test_it_is_live(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    shop.begin()
    async with reading(browser, agent.url) as page:
        await expect(node(page, "service", "shipping")).to_be_visible()
        shop.maps.passed("mailing", "in", "mails", parent=0)
        await expect(node(page, "service", "mailing")).to_be_visible()


async def test_a_pause_holds_still(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    shop.begin()
    async with reading(browser, agent.url) as page:
        await expect(node(page, "service", "shipping")).to_be_visible()
        await page.get_by_role("button", name="Pause").click()
        await expect(page.locator("#state")).to_have_text(re.compile(r"^Paused at \d\d:\d\d:\d\d$"))
        shop.maps.passed("mailing", "in", "mails", parent=0)
        with asked(page, "/api/") as requests:
            await hop(page, "billing", "writes", "invoices").focus()
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("img", name=re.compile("^This hop"))).to_be_visible()
            assert all(re.search(r"[?&]from=.*&to=", request) for request in requests)
        await expect(node(page, "service", "mailing")).to_have_count(0)
        await page.get_by_role("button", name="Resume").click()
        await expect(node(page, "service", "mailing")).to_be_visible()
        await expect(page.locator("#state")).to_have_text("Live")


async def test_a_range_of_time(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    shop.begin()
    async with reading(browser, agent.url) as page:
        await expect(node(page, "service", "shop")).to_be_visible()
        async with page.expect_request(re.compile(r"/api/map\?minutes=60&")):
            await page.get_by_label("Time range").select_option("60")
        await node(page, "service", "shop").click()
        await expect(page).to_have_url(re.compile(r"#node=s\w+&minutes=60$"))
        async with page.expect_request(re.compile(r"/api/map\?minutes=60&")):
            await page.reload()
        await expect(page.get_by_label("Time range")).to_have_value("60")
        await expect(heading(page)).to_have_text("shop")


async def test_search(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    shop.begin()
    async with reading(browser, agent.url) as page:
        await expect(node(page, "service", "shop")).to_be_visible()
        await page.keyboard.press("/")
        await page.keyboard.type("IN")
        await expect(page.locator("#found").get_by_role("option")).to_have_text(
            ["invoicesqueue · kafka", "billingservice", "shippingservice"]
        )
        await page.keyboard.press("ArrowDown")
        await expect(page.locator("#found").get_by_role("option", selected=True)).to_have_text("billingservice")
        await page.keyboard.press("Enter")
        await expect(heading(page)).to_have_text("billing")
        await expect(page.locator("#found")).to_be_hidden()
        await page.keyboard.press("/")
        await page.keyboard.type("no such thing")
        await expect(page.locator("#found")).to_have_text("No service or queue with this name")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("combobox", name="Search")).to_have_value("")
        await expect(heading(page)).to_have_text("billing")


async def test_by_keyboard_alone(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    shop.begin()
    async with reading(browser, agent.url) as page:
        await expect(node(page, "service", "shop")).to_be_visible()
        focused = "document.activeElement.getAttribute('aria-label') ?? ''"
        for _ in range(40):
            await page.keyboard.press("Tab")
            if (await page.evaluate(focused)).startswith("billing writes invoices"):
                break
        await page.keyboard.press("Enter")
        await expect(heading(page)).to_have_text("billing → invoices")
        await page.keyboard.press("Escape")
        await expect(heading(page)).to_have_count(0)
        await expect(hop(page, "billing", "writes", "invoices")).to_be_focused()
        await node(page, "queue", "orders").focus()
        await page.keyboard.press("Space")
        await expect(heading(page)).to_have_text("orders")


async def test_the_way_back(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    shop.begin()
    async with reading(browser, agent.url) as page:
        await node(page, "service", "billing").click()
        await expect(heading(page)).to_have_text("billing")
        await page.locator(".pathways .largest").first.click()
        await expect(heading(page)).to_have_text("billing → invoices")
        await page.go_back()
        await expect(heading(page)).to_have_text("billing")
        await page.get_by_role("button", name="Close").click()
        await expect(page.get_by_role("heading", name="Where the time goes")).to_be_visible()


@pytest.mark.parametrize(("scheme", "other"), [("light", "dark"), ("dark", "light")])
async def test_light_and_dark(browser: Browser, agent: RunningAgent, shop: Shop, scheme: str, other: str) -> None:
    shop.begin()
    ground = {"light": "rgb(246, 247, 249)", "dark": "rgb(15, 19, 23)"}
    async with reading(browser, agent.url, color_scheme=scheme) as page:
        await expect(page.locator("body")).to_have_css("background-color", ground[scheme])
        await page.get_by_role("button", name="Switch between light and dark").click()
        await expect(page.locator("body")).to_have_css("background-color", ground[other])
        await page.reload()
        await expect(page.locator("body")).to_have_css("background-color", ground[other])


async def test_names_that_mean_harm_are_text(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    for name in HOSTILE:
        shop.maps.passed(name, "out", f"q {name}", kind=name, parent=0, env=name)
        shop.maps.passed(f"r {name}", "in", f"q {name}", kind=name, group=name)
    async with reading(browser, agent.url) as page:
        await expect(page.locator("#graph .node")).to_have_count(3 * len(HOSTILE))
        assert await page.locator("main :is(script, img, b > b, a, style, iframe)").count() == 0
        for name in ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>"):
            await page.locator(f'#graph .node[aria-label^="service r {name}"]').focus()
            await page.keyboard.press("Enter")
            await expect(heading(page)).to_have_text(f"r {name}")
            await page.locator(".pathways .hop").first.click()
            await expect(page.locator("figure").first).to_be_visible()
            await page.keyboard.press("/")
            await page.keyboard.type(name)
            await expect(page.locator("#found").get_by_role("option").first).to_contain_text(name)
            await page.keyboard.press("Escape")


async def test_what_is_worth_a_look(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    for parent in range(26):
        shop.maps.passed("busy", "in", "orders", parent=parent)
    shop.maps.passed("shop", "out", "late", parent=0)
    shop.maps.passed("clock", "in", "late", seconds=[0.0] * 50)
    async with reading(browser, agent.url) as page:
        worth = page.locator("section", has=page.get_by_role("heading", name="Needs attention"))
        await expect(worth).to_contain_text("26 distinct pathways")
        await expect(worth).to_contain_text("Clocks disagree")
        await worth.get_by_role("button", name="busy").click()
        await expect(heading(page)).to_have_text("busy")
        await expect(page.locator("#panel .warning")).to_contain_text("26 distinct pathways")


async def test_search_has_the_exact_name_first(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    for number in range(14):
        shop.maps.passed("writer", "out", f"orders-{number}", parent=0)
    shop.maps.passed("writer", "out", "re-orders", parent=0)
    shop.maps.passed("writer", "out", "Orders", parent=0)
    async with reading(browser, agent.url) as page:
        await expect(node(page, "queue", "Orders")).to_be_visible()
        await page.keyboard.press("/")
        await page.keyboard.type("orders")
        await expect(page.locator("#found").get_by_role("option").first).to_have_text("Ordersqueue · kafka")
        await page.keyboard.press("Enter")
        await expect(heading(page)).to_have_text("Orders")


@pytest.mark.parametrize(
    ("fragment", "value"),
    [
        ("minutes=7200", "7200"),
        ("minutes=90", "90"),
        ("minutes=999999", "10"),  # more than the agent keeps
        ("minutes=0", "10"),
        ("minutes=-5", "10"),
        ("minutes=1e3", "10"),
        ("minutes=abc", "10"),
        ("minutes=", "10"),
        ("minutes=5&minutes=60", "60"),
        ("%E0%A4%A&node=%00&edge=<b>", "10"),
        ("node=nowhere", "10"),
        ("__proto__=1&constructor=2", "10"),
    ],
)
async def test_whatever_the_address_says_the_page_is_live(
    browser: Browser, agent: RunningAgent, shop: Shop, fragment: str, value: str
) -> None:
    shop.begin()
    async with reading(browser, f"{agent.url}/#{fragment}", may_fail="status of 400") as page:
        await expect(node(page, "service", "shop")).to_be_visible()
        await expect(page.locator("#state")).to_have_text("Live")
        await expect(page.get_by_label("Time range")).to_have_value(value)
        await page.evaluate("location.hash = 'minutes=60'")
        await expect(page.get_by_label("Time range")).to_have_value("60")
        await expect(page.locator("#state")).to_have_text("Live")


async def test_names_from_right_to_left_do_not_change_what_is_beside_them(
    browser: Browser, agent: RunningAgent, shop: Shop
) -> None:
    service, queue = "שירות 1", "תור 2"
    shop.maps.passed(service, "out", queue, parent=0)
    shop.maps.passed("\u202eevil", "out", queue, parent=0)
    async with reading(browser, agent.url) as page:
        row = page.locator("#panel .hop .what", has_text="שירות").first
        names = row.locator("bdi")
        await expect(names).to_have_count(2)
        first, second = await names.first.bounding_box(), await names.nth(1).bounding_box()
        assert first
        assert second
        assert first["x"] < second["x"]  # the service stands first, though it is written from right to left
        await expect(page.locator("#graph .node .name", has_text="evil")).to_have_text("�evil")
        assert "\u202e" not in await page.locator("body").inner_html()


async def test_topics_of_one_name_in_two_clusters_are_two_nodes(
    browser: Browser, agent: RunningAgent, shop: Shop
) -> None:
    for number in (1, 2):
        cluster = f"kafka_cluster_id:cluster-{number}"
        shop.maps.passed("shop", "out", "events", tags=[cluster], parent=0, env=f"env-{number}")
    async with reading(browser, agent.url) as page:
        for number in (1, 2):
            await node(page, "queue", f"events (cluster-{number})").focus()
            await page.keyboard.press("Enter")
            await expect(heading(page)).to_have_text(f"events (cluster-{number})")
            await expect(page.locator("#panel .pathways .hop")).to_have_count(1)
            await expect(page.locator("#panel .pathways .hop")).to_contain_text(f"shop (env-{number})")


async def test_new_trouble_is_seen_and_told(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    for ago in range(20, -1, -1):
        seconds = [30.0 if ago < 6 else 0.005] * 50
        shop.maps.passed("billing", "in", "orders", group="g", parent=1, seconds=seconds, ago=10 * ago + 10)
    async with reading(browser, agent.url) as page:
        await expect(page.locator("#graph .link.warm-5.slower .label").first).to_have_text("29.8 s")
        await expect(page.locator("#graph .link .since")).to_have_text(re.compile(r"^▲ \d\d:\d\d$"))
        told = re.compile(r"^billing reads orders: 29\.8 s, 5/s, slower since \d\d:\d\d$")
        await expect(page.locator("#graph .link")).to_have_attribute("aria-label", told)
        changed = page.locator("section", has=page.get_by_role("heading", name="What changed"))
        await expect(changed).to_contain_text("slower since")
        await changed.locator(".hop").click()
        await expect(page.locator("#panel .now")).to_contain_text("4.98 ms before")


FITS = """() => [...document.querySelectorAll("#graph .node")].map((node) => {
  const [box, name] = ["rect", ".name"].map((each) => node.querySelector(each).getBoundingClientRect());
  return [box.left <= name.left && name.right <= box.right, name.height];
})"""


async def test_names_of_nodes_fit_into_their_boxes(browser: Browser, agent: RunningAgent, shop: Shop) -> None:
    for name in ("unnamed-python-service", "W" * 40, "宽" * 40, "i" * 40):
        shop.maps.passed(name, "out", name, parent=0)
    async with reading(browser, agent.url) as page:
        named = node(page, "service", "unnamed-python-service")
        await expect(named.locator(".name")).to_have_text(re.compile("^unnamed-.*…$"))
        await expect(named.locator("title")).to_have_text(re.compile("^unnamed-python-service"))
        assert [fits for fits, _ in await page.evaluate(FITS)] == [True] * 8


async def test_names_can_be_read_on_a_phone_where_the_map_has_many_parts(
    browser: Browser, agent: RunningAgent, shop: Shop
) -> None:
    for number in range(9):
        shop.maps.passed(f"s{number}", "out", f"q{number}", parent=0)
    async with reading(browser, agent.url, viewport=PHONE, color_scheme="dark") as page:
        await expect(node(page, "service", "s0").locator(".name")).to_be_in_viewport()
        assert min(height for _, height in await page.evaluate(FITS)) >= 8


LABELS = """() => {
  const lines = [...document.querySelectorAll("#graph .label")].filter((line) => line.textContent);
  const drawn = [...document.querySelectorAll("#graph .node rect"), ...lines];
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
    async with reading(browser, agent.url, viewport=viewport) as page:
        await expect(page.get_by_text("p99 2.01 min", exact=True)).to_be_visible()
        assert await page.evaluate(LABELS) == 0
