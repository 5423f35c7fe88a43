"""10,000 live points and 50 viewers: what they cost one agent, how it answers, and how its file grows.

Two hundred services send a payload each every ten seconds: 50 points each, on 1,000 edges. The file has a day of them
already. Fifty viewers do what the page does: they read events, and ask for the map after each change.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, time
from urllib.parse import urlsplit

import httpx2

from benchmarks.agent_load import Payloads, fill_day
from benchmarks.contest import Benchmark, Claim, Contestant
from benchmarks.intake import CONNECTIONS

FILE = "ASYNCDSM_BENCH_AGENT_FILE"
VIEWERS, STEP_SECONDS = 50, 10
DAY_SECONDS = 24 * 3600
WIDTHS = {10: "10 s", 60: "a minute", 600: "ten minutes", 3600: "an hour"}
FILLED_SECONDS = {10: 300, 60: 600, 600: 6_000, 3600: DAY_SECONDS}
# How far back each resolution was filled as a day would fill it.
MAP_REQUEST = b"GET /api/map?minutes=10 HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
OLDEST_ANSWER_SECONDS = 10
MAPS = {"ten minutes": 10, "an hour": 60, "a day": 1440}
PARTS = (
    "points stored, of those sent",
    "viewers that saw each change",
    "agent's CPU, percent of a core, without viewers",
    "agent's CPU, percent of a core, with 50 viewers",
    "a payload, accepted (ms)",
    "a payload, the slowest of 100 (ms)",
    *(f"the map of {name}, {when}, CPU (ms)" for name in MAPS for when in ("first", "again")),
    "the map that a viewer gets after a change (ms)",
    "50 viewers who ask at once, CPU (ms)",
    "50 viewers who ask at once, until the last has the answer (ms)",
    "memory (MB)",
    *(f"a row of {name} (bytes)" for name in WIDTHS.values()),
)


class Load:
    """Senders and viewers of one agent, and what they saw."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sent = 0
        self.posts = list[float]()
        self.map_times = list[float]()
        self.changes = list[int]()
        self._payloads = Payloads()

    async def send(self, steps: int) -> None:
        """Send the payloads of all services, spread over each ten seconds."""
        limits = httpx2.Limits(max_connections=CONNECTIONS)
        async with httpx2.AsyncClient(base_url=self.url, timeout=60, limits=limits) as client:
            for _ in range(steps):
                began = monotonic()
                bodies = list(self._payloads.of_bucket(int(time()) // 10 * 10 - 10))
                for number, body in enumerate(bodies):
                    await asyncio.sleep(began + 1 + number * (STEP_SECONDS - 2) / len(bodies) - monotonic())
                    await self._post(client, body)
                await asyncio.sleep(began + STEP_SECONDS - monotonic())

    async def _post(self, client: httpx2.AsyncClient, body: bytes) -> None:
        began = monotonic()
        headers = {"Content-Type": "application/msgpack", "Content-Encoding": "gzip"}
        answer = await client.post("/v0.1/pipeline_stats", content=body, headers=headers)
        answer.raise_for_status()
        self.posts.append((monotonic() - began) * 1e3)
        self.sent += 50

    @asynccontextmanager
    async def viewers(self, count: int) -> AsyncIterator[None]:
        """Have viewers while the block runs."""
        self.changes = [0] * count
        tasks = [asyncio.create_task(self._view(viewer)) for viewer in range(count)]
        yield
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(result, asyncio.CancelledError):
                raise RuntimeError(f"a viewer ended: {result!r}")

    async def ask_for_map(self) -> None:
        """Ask once, on a connection of its own."""
        async with self._connection() as (answers, requests):
            requests.write(MAP_REQUEST)
            await _read_answer(answers)

    async def _view(self, viewer: int) -> None:
        changed = asyncio.Event()
        reader = asyncio.create_task(self._read_events(viewer, changed))
        try:
            async with self._connection() as (answers, requests):
                while True:
                    await changed.wait()
                    changed.clear()
                    began = monotonic()
                    requests.write(MAP_REQUEST)
                    await _read_answer(answers)
                    took = monotonic() - began
                    self.map_times.append(took * 1e3)
                    await asyncio.sleep(max(1 - took, 3 * took))  # as live.js does
        finally:
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader

    async def _read_events(self, viewer: int, changed: asyncio.Event) -> None:
        async with self._connection() as (answers, requests):
            requests.write(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while line := await answers.readline():
                if line.startswith(b"event: change"):
                    self.changes[viewer] += 1
                    changed.set()
        raise RuntimeError("the agent ended a stream of events")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 22)
        try:
            yield reader, writer
        finally:
            writer.close()


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(head)
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


def load(count: int) -> dict[str, float]:
    """Send for `count` times ten seconds without viewers, then as long with them, and measure."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "store.db")
        shutil.copy(os.environ[FILE], path)
        with _agent(path) as (pid, url):
            figures = asyncio.run(_measure(pid, url, count))
        return {**figures, **_row_sizes(path)}


async def _measure(pid: int, url: str, steps: int) -> dict[str, float]:
    load, figures = Load(url), dict[str, float]()
    with httpx2.Client(base_url=url, timeout=600) as client:
        before = client.get("/api/health").json()
        client.get("/api/map?minutes=10").raise_for_status()  # the first map of an agent that has just started
        for viewers in (0, VIEWERS):
            used, began = _cpu_seconds(pid), monotonic()
            async with load.viewers(viewers):
                await load.send(steps)
            which = "with 50 viewers" if viewers else "without viewers"
            share = (_cpu_seconds(pid) - used) / (monotonic() - began)
            figures[f"agent's CPU, percent of a core, {which}"] = 100 * share
        for name, minutes in MAPS.items():
            for when in ("first", "again"):
                figures[f"the map of {name}, {when}, CPU (ms)"] = _map_cpu(client, pid, minutes, when)
        figures.update(await _ask_at_once(load, pid))
        health = client.get("/api/health").json()
        lost = sum(health[name] - before[name] for name in ("forgotten_rows", "ignored_rows", "refused"))
        stored = 50 * (health["payloads"] - before["payloads"]) - lost
    return {
        **figures,
        "points stored, of those sent": stored / load.sent,
        "viewers that saw each change": sum(each >= 0.9 * max(load.changes) for each in load.changes),
        "a payload, accepted (ms)": median(load.posts),
        "a payload, the slowest of 100 (ms)": sorted(load.posts)[len(load.posts) * 99 // 100],
        "the map that a viewer gets after a change (ms)": median(load.map_times),
        "memory (MB)": _peak_memory(pid) / 1e6,
    }


async def _ask_at_once(load: Load, pid: int) -> dict[str, float]:
    """Send new payloads, and then have all viewers ask for the map at the same time."""
    await load.send(1)
    await asyncio.sleep(OLDEST_ANSWER_SECONDS)  # an answer of before is not given again
    used, began = _cpu_seconds(pid), monotonic()
    await asyncio.gather(*(load.ask_for_map() for _ in range(VIEWERS)))
    took, used = monotonic() - began, _cpu_seconds(pid) - used
    return {
        "50 viewers who ask at once, CPU (ms)": used * 1e3,
        "50 viewers who ask at once, until the last has the answer (ms)": took * 1e3,
    }


def _map_cpu(client: httpx2.Client, pid: int, minutes: int, word: str) -> float:
    """Ask for the map of some minutes; `word` makes it a question that nobody has asked yet."""
    before = _cpu_seconds(pid)
    client.get(f"/api/map?minutes={minutes}&find=service%20{word}").raise_for_status()
    return (_cpu_seconds(pid) - before) * 1e3


@contextmanager
def _agent(path: Path) -> Iterator[tuple[int, str]]:
    command = [sys.executable, "-m", "asyncdsm", "agent", "--port", "0", "--store", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.pid, process.stdout.readline().rsplit(" ", 1)[1].strip()
        finally:
            process.terminate()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_memory(pid: int) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def _row_sizes(path: Path) -> dict[str, float]:
    """Return how many bytes a row takes, of those that are as full as those of a whole day."""
    sizes = dict[str, float]()
    with closing(sqlite3.connect(path)) as connection:
        for width, seconds in FILLED_SECONDS.items():
            query = "SELECT sum(length(data)) * 1.0 / sum(points) FROM segments WHERE width = ? AND start >= ?"
            (size,) = connection.execute(query, (width, int(time()) - seconds)).fetchone()
            sizes[f"a row of {WIDTHS[width]} (bytes)"] = size
    return sizes


@contextmanager
def _filled_file() -> Iterator[Mapping[str, str]]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "store.db")
        fill_day(path, int(time()) // 10 * 10)
        yield {FILE: str(path)}


BENCHMARK = Benchmark(
    title=f"One agent with 10,000 points every ten seconds and {VIEWERS} viewers ({{count}} times ten seconds each)",
    unit="",
    count=3,
    contestants=(Contestant("load", "load", parts=PARTS),),
    claims=(
        Claim("the map of ten minutes", lambda f: f["the map of ten minutes, again, CPU (ms): load"], 1_000, "ms"),
    ),
    surroundings=_filled_file,
    most_rounds=1,
)
