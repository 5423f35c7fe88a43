"""What the examples of several clients have in common: they make an invoice of each order.

Each order comes with a pathway of its own, so that the parent of an invoice tells which order it was made of.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import time_ns
from typing import Any

import httpx2
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from asyncdsm import Pathway
from asyncdsm.agent.http.server import RunningAgent
from asyncdsm.core.pathway import HEADER
from tests.brokers.kafka import Kafka

ROOT = Path(__file__).parents[2]
ORDERS = 20
PATIENCE_SECONDS = 60.0


def context_of(order: int) -> str:
    """Return the context with which an order comes: its pathway has the hash `order + 1`."""
    return Pathway(order + 1, time_ns(), time_ns()).encode_base64()


@asynccontextmanager
async def running_example(agent: RunningAgent, *command: str, **environ: str) -> AsyncIterator[asyncio.StreamReader]:
    """Run an example during the block, and end it as Ctrl-C does. Yield what it prints.

    `command` is what follows `python`.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=ROOT,
        env={**os.environ, "DD_SERVICE": "billing", "DD_TRACE_AGENT_URL": agent.url, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield process.stdout
        process.send_signal(signal.SIGINT)
    except BaseException:
        process.kill()
        raise
    finally:
        errors = (await process.stderr.read()).decode()
        await process.wait()
    assert (process.returncode, "Traceback" in errors) == (0, False), errors


async def bill_on_kafka(kafka: Kafka) -> dict[int, int]:
    """Send orders, wait for their invoices, and return the hashes of the invoices' pathways by order."""
    async with (
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer,
        AIOKafkaConsumer("invoices", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as consumer,
    ):
        for order in range(ORDERS):
            headers = [(HEADER, context_of(order).encode())]
            await producer.send_and_wait("orders", str(order).encode(), headers=headers)
        invoices = [await consumer.getone() for _ in range(ORDERS)]
    return {int(invoice.value or b""): hash_of(dict(invoice.headers)) for invoice in invoices}


def hash_of(headers: Mapping[str, Any]) -> int:
    """Return the hash of the pathway that the headers of a message carry."""
    pathway = Pathway.decode_base64(headers[HEADER])
    assert pathway is not None
    return pathway.hash


async def ask_topology(agent: RunningAgent) -> Any:
    """Return what the agent has on its map."""
    async with httpx2.AsyncClient(base_url=agent.url) as client:
        return (await client.get("/api/topology")).json()


async def check_invoices(agent: RunningAgent, invoices: Mapping[int, int], group: str | None = "billing") -> None:
    """Check that the agent counted every message, and that each invoice follows the order it was made of."""
    shown = await ask_topology(agent)
    counts = Counter[tuple[str, str, str | None]]()
    for edge in shown["edges"]:  # confluent-kafka's first message has one more, since the cluster's id is not known yet
        counts[edge["queue"], edge["direction"], edge["group"]] += round(edge["count"])
    assert counts == {("orders", "in", group): ORDERS, ("invoices", "out", None): ORDERS}
    parents = {int(point["hash"]): int(point["parent"]) for point in shown["pathways"]}
    assert {order: parents[parents[made]] - 1 for order, made in invoices.items()} == {n: n for n in range(ORDERS)}
