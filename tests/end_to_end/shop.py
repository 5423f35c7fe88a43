"""A shop under a real server: started, sent requests to, ended; what it sent and what it reported."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic, time_ns
from typing import Any

import httpx2
from aiokafka import AIOKafkaConsumer, TopicPartition

from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from asyncdsm.delivery.sketch import Sketch
from tests.brokers.kafka import Kafka
from tests.brokers.process import free_port
from tests.intake import Intake, running_intake

ROOT = Path(__file__).parents[2]
REQUESTS = 200
FIRST = 1 << 40
"""Request n comes with the pathway FIRST + n: so each message's whole way names its request."""

Server = Callable[[int], list[str]]


def uvicorn(*more: str) -> Server:
    return lambda port: ["-m", "uvicorn", "tests.end_to_end.apps.shop:app", "--port", str(port), *more]


def gunicorn(workers: int) -> Server:
    worker = ["--worker-class", "uvicorn_worker.UvicornWorker", "--workers", str(workers)]
    return lambda port: ["-m", "gunicorn", "tests.end_to_end.apps.shop:app", "--bind", f"127.0.0.1:{port}", *worker]


def hypercorn(port: int) -> list[str]:
    app = "tests.end_to_end.apps.shop_on_trio:app"
    return ["-m", "hypercorn", app, "--bind", f"127.0.0.1:{port}", "--worker-class", "trio"]


class Shop:
    """A shop under a server, and the topics it uses."""

    def __init__(self, kafka: Kafka, intake: Intake, folder: Path = ROOT) -> None:
        self.kafka, self.intake, self.folder = kafka, intake, folder
        self.orders, self.confirmations = kafka.topic(prefix="orders"), kafka.topic(prefix="confirmations")
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, server: Server, *, run: Sequence[str] = (), **environ: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *run, *([sys.executable] if run else []), *server(self.port)],
            cwd=self.folder,
            env={
                **os.environ,
                "KAFKA": self.kafka.bootstrap,
                "ORDERS": self.orders,
                "CONFIRMATIONS": self.confirmations,
                "DD_SERVICE": "shop",
                "DD_TRACE_AGENT_URL": self.intake.url,
                "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT / "integrations")]),
                **environ,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def ready(self) -> None:
        deadline = monotonic() + 30
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}") as client:
            while True:
                with suppress(httpx2.HTTPError):
                    await client.get("/ready")
                    return
                assert monotonic() < deadline, "the server does not come up"
                await asyncio.sleep(0.05)

    async def order(self, count: int = REQUESTS) -> int:
        """Send requests all at once, each with a pathway of its own; return how many were taken."""
        limits = httpx2.Limits(max_connections=count)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", limits=limits, timeout=20) as client:

            async def one(number: int) -> bool:
                header = Pathway(FIRST + number, time_ns(), time_ns()).encode_base64()
                with suppress(httpx2.HTTPError):
                    return (await client.post(f"/orders/{number}", headers={HEADER: header})).status_code == 202
                return False

            return sum(await asyncio.gather(*map(one, range(count))))

    async def records(self, topic: str, count: int | None = None) -> list[Any]:
        """Read a topic: this many records, or all there are."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka.bootstrap, auto_offset_reset="earliest")
        async with consumer, asyncio.timeout(30):
            partition = TopicPartition(topic, 0)
            consumer.assign([partition])
            if count is None:
                count = int((await consumer.end_offsets([partition]))[partition] or 0)
            return [await consumer.getone() for _ in range(count)]

    async def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        await asyncio.to_thread(self.process.wait, 20)

    def counted(self) -> dict[str, int]:
        """Return how many checkpoints came in, by direction and topic."""
        counts = dict[str, int]()
        for tags, point in self._points():
            name = f"{tags['direction']} {tags.get('topic', tags['type'])}"
            counts[name] = counts.get(name, 0) + round(Sketch.decode(point.pathway_latency).count)
        return counts

    def first_of(self, records: list[Any]) -> list[tuple[int, int]]:
        """Return, for each record, the request it names and the one that its pathway leads back to."""
        parents = {point.hash: point.parent_hash for _, point in self._points()}

        def origin(record: Any) -> int:
            pathway = Pathway.decode_base64(dict(record.headers)[HEADER])
            assert pathway is not None
            hash_ = pathway.hash
            while hash_ in parents:
                hash_ = parents[hash_]
            return hash_ - FIRST

        return [(int(record.value), origin(record)) for record in records]

    def _points(self) -> list[tuple[dict[str, str], Any]]:
        return [
            (dict(tag.split(":", 1) for tag in point.edge_tags or ()), point)
            for payload in self.intake.payloads
            for bucket in payload.stats or ()
            for point in bucket.stats or ()
        ]


@asynccontextmanager
async def opened(kafka: Kafka, folder: Path = ROOT) -> AsyncIterator[Shop]:
    with running_intake() as intake:
        shop = Shop(kafka, intake, folder)
        try:
            yield shop
        finally:
            if shop.process is not None and shop.process.poll() is None:
                shop.process.kill()
                shop.process.wait()
