"""200 services, 1,000 edges: what the agent answers and what a browser draws, by the clock.

What a day of them takes to be answered for: `day`.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from time import perf_counter, time
from typing import Any

import httpx2
from msgspec.msgpack import encode as to_msgpack

from benchmarks.contest import Benchmark, Claim, Contestant

URL = "BENCHMARK_MAP_URL"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
SERVICES, QUEUES, EDGES, TIERS, MINUTES = 200, 200, 1_000, 8, 60
IN_A_TIER = QUEUES // TIERS
WHOLE, DRAWN = "#whole=1", f"#graph .links > :nth-child({EDGES})"
FIRST_NODES = "#graph .nodes > :nth-child(70)"
STEPS = 120
FRAMES = """async () => {
  const graph = document.getElementById("graph"), frames = [];
  const at = (type, x) =>
    graph.dispatchEvent(new PointerEvent(type, {pointerId: 1, clientX: x, clientY: 300, buttons: 1, bubbles: true}));
  at("pointerdown", 100);
  let last = await new Promise(requestAnimationFrame);
  for (let step = 0; step < STEPS; step += 1) {
    at("pointermove", 100 + 3 * step);
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
  }
  at("pointerup", 460);
  return frames;
}""".replace("STEPS", str(STEPS))


def topology(count: int) -> float:
    """Ask for the topology of ten minutes."""
    return _answer("/api/topology?minutes=10", count)


def laid_out(count: int) -> float:
    """Ask for the map of ten minutes, which has a layout."""
    return _answer("/api/map?minutes=10", count)


def first_view(count: int) -> float:
    """Open the page in a browser, until the part that it begins with is there."""
    return _open_page(count, "", FIRST_NODES)[0]


def drawn(count: int) -> float:
    """Open the whole map in a browser, until every service and queue is there."""
    return _open_page(count, WHOLE, DRAWN)[0]


def first_work(count: int) -> float:
    """Open the page: for how long its main thread works until the part that it begins with is there."""
    return _open_page(count, "", FIRST_NODES)[1]


def drawn_work(count: int) -> float:
    """Open the whole map: for how long its main thread works."""
    return _open_page(count, WHOLE, DRAWN)[1]


def _open_page(count: int, fragment: str, wanted: str) -> tuple[float, float]:
    """Return how long it takes until an element is there, and for how long the main thread works; milliseconds."""
    times, works = list[float](), list[float]()
    with _browser() as browser:
        for _ in range(count):
            page = browser.new_page(viewport={"width": 1280, "height": 760})
            measure = _measure_main_thread(page)
            began = perf_counter()
            page.goto(os.environ[URL] + fragment)
            page.locator(wanted).wait_for(state="attached")
            times.append(perf_counter() - began)
            works.append(measure())
            page.close()
    return median(times) * 1e3, median(works) * 1e3


def pan(count: int) -> float:
    """Drag the whole map: for how long the main thread works for each step."""
    with _browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 760})
        measure = _measure_main_thread(page)
        page.goto(os.environ[URL] + WHOLE)
        page.locator(DRAWN).wait_for(state="attached")
        page.get_by_role("button", name="Pause").click()
        before = measure()
        for _ in range(count):
            page.evaluate(FRAMES)
        return (measure() - before) / (count * STEPS) * 1e3


def _measure_main_thread(page: Any) -> Callable[[], float]:
    """Return a function that returns for how many seconds the page's main thread has worked, by its own clock."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def measure() -> float:
        metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"])

    return measure


def frame(count: int) -> float:
    """Drag the drawing: what nineteen in twenty frames stay below."""
    with _browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 760})
        page.goto(os.environ[URL] + WHOLE)
        page.locator(DRAWN).wait_for(state="attached")
        frames = sorted(time for _ in range(count) for time in page.evaluate(FRAMES))
    return float(frames[len(frames) * 19 // 20])


@contextmanager
def _browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def _answer(path: str, count: int) -> float:
    times = []
    with httpx2.Client(base_url=os.environ[URL], timeout=120) as client:
        for _ in range(count):
            began = perf_counter()
            client.get(path).raise_for_status()
            times.append(perf_counter() - began)
    return median(times) * 1e3


@contextmanager
def _agent() -> Iterator[Mapping[str, str]]:
    command = [sys.executable, "-m", "asyncdsm", "agent", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            with httpx2.Client(base_url=url, timeout=120) as client:
                for body in payloads(time()):
                    headers = {"Content-Type": "application/msgpack"}
                    client.post("/v0.1/pipeline_stats", content=body, headers=headers).raise_for_status()
            yield {URL: url}
        finally:
            process.terminate()


def payloads(now: float) -> Iterator[bytes]:
    """Yield an hour of every service: a minute a bucket, in each a point for every edge of it."""
    chance, edges = random.Random(5), service_edges()
    for service, points in enumerate(edges):
        latencies = [_latencies(chance) for _ in range(10)]
        buckets = [
            {
                "Start": int(now - 60 * minute) * 10**9,
                "Duration": 10 * 10**9,
                "Stats": [{**point, **chance.choice(latencies)} for point in points],
            }
            for minute in range(MINUTES)
        ]
        yield to_msgpack({"Service": f"service-{service}", "Env": "prod", "Lang": "python", "Stats": buckets})


def service_edges() -> list[list[dict[str, Any]]]:
    """Return the points of each service: it reads two queues of the tier before, and writes to three of its own.

    In the first tier one in five reads what the last one writes; the others only write.
    """
    edges: list[list[dict[str, Any]]] = [[] for _ in range(SERVICES)]
    written = dict[int, int]()
    for number in range(EDGES):
        turn, service = divmod(number, SERVICES)
        tier, place = divmod(service, IN_A_TIER)
        reads = turn >= 3 and (tier > 0 or place % 5 == 0)
        queue = (tier - reads) % TIERS * IN_A_TIER + (7 * place + 11 * turn) % IN_A_TIER
        tags = [f"direction:{'in' if reads else 'out'}", f"topic:queue-{queue}", "type:kafka"]
        parent = written.get(queue, 0) if tier and reads else (3 * SERVICES + service + 1) * (not reads)
        if reads:
            tags.append(f"group:service-{service}")
        else:
            written[queue] = number + 1
        edges[service].append({"EdgeTags": tags, "Hash": number + 1, "ParentHash": parent})
    return edges


def _latencies(chance: random.Random) -> dict[str, bytes]:
    from asyncdsm.delivery.sketch import Sketch

    sketches = [Sketch() for _ in range(3)]
    for sketch in sketches:
        for _ in range(10):
            sketch.add_value(chance.lognormvariate(-4, 0.2))
    edge, pathway, size = (sketch.encode() for sketch in sketches)
    return {"EdgeLatency": edge, "PathwayLatency": pathway, "PayloadSize": size}


BENCHMARK = Benchmark(
    title=f"The map of {SERVICES} services and {EDGES} edges, by the clock",
    unit="ms",
    count=5,
    contestants=(
        Contestant("the topology of ten minutes", "topology"),
        Contestant("the map of ten minutes", "laid_out"),
        Contestant("the page in Chromium, until 70 nodes are drawn", "first_view"),
        Contestant("the same, work of the main thread", "first_work"),
        Contestant("the page in Chromium, until all is drawn", "drawn"),
        Contestant("the same for all, work of the main thread", "drawn_work"),
        Contestant("a step while it is dragged, work of the main thread", "pan"),
        Contestant("a frame while it is dragged, 95th of 100", "frame"),
    ),
    claims=(
        Claim("the map of ten minutes", lambda f: f["the map of ten minutes"], 1_000, "ms"),
        Claim("the page until all is drawn", lambda f: f["the page in Chromium, until all is drawn"], 1_000, "ms"),
        Claim("a frame", lambda f: f["a frame while it is dragged, 95th of 100"], 50, "ms"),
    ),
    surroundings=_agent,
)
