"""An order passes two services in processes of their own, over Kafka; the agent knows each checkpoint of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import httpx2
import pytest
from anyio import to_thread

from asyncdsm.agent.http.server import RunningAgent, running_agent
from tests.brokers.kafka import Kafka

SHOP = """
import asyncio, sys
import asyncdsm
from aiokafka import AIOKafkaProducer
bootstrap, orders = sys.argv[1:]

async def main():
    async with asyncdsm.DataStreams(), asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=bootstrap)) as producer:
        for number in (b"4711", b"4712"):
            await producer.send_and_wait(orders, b"order", headers=[("order-id", number)])

asyncio.run(main())
"""

BILLING = """
import sys
import asyncdsm
from confluent_kafka import Consumer
bootstrap, orders = sys.argv[1:]

with asyncdsm.DataStreams():
    config = {"bootstrap.servers": bootstrap, "group.id": "billing", "auto.offset.reset": "earliest"}
    consumer = asyncdsm.wrap(Consumer(config))
    consumer.subscribe([orders])
    while (message := consumer.poll(1)) is None or message.error():
        pass
    asyncdsm.track_transaction(dict(message.headers())["order-id"].decode(), "billed")
    consumer.close()
"""
EXTRACTORS = [
    {"name": "ordered", "type": "KAFKA_PRODUCE_HEADERS", "value": "order-id"},
    {"name": "received", "type": "KAFKA_CONSUME_HEADERS", "value": "order-id"},
]


async def run(agent: RunningAgent, service: str, program: str, *arguments: str) -> None:
    settings = {"DD_TRACE_AGENT_URL": agent.url, "DD_SERVICE": service, "DD_ENV": "test"}
    environ = {**os.environ, **settings, "DD_DATA_STREAMS_TRANSACTION_EXTRACTORS": json.dumps(EXTRACTORS)}

    def wait() -> None:
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    await to_thread.run_sync(wait)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_order_has_its_checkpoints_in_both_services(kafka: Kafka, topic: Callable[..., str]) -> None:
    orders = topic()
    async with running_agent() as agent:
        await run(agent, "shop", SHOP, kafka.bootstrap, orders)
        await run(agent, "billing", BILLING, kafka.bootstrap, orders)
        async with httpx2.AsyncClient(base_url=agent.url) as client:
            (found,) = (await client.get("/api/transactions", params={"id": "4711"})).json()["transactions"]
            everything = (await client.get("/api/transactions")).json()["transactions"]
            topology = (await client.get("/api/topology")).json()
    steps = [(step["service"], step["env"], step["checkpoint"]) for step in found["steps"]]
    assert steps == [("shop", "test", "ordered"), ("billing", "test", "received"), ("billing", "test", "billed")]
    assert {each["id"]: each["checkpoint"] for each in everything} == {"4711": "billed", "4712": "ordered"}
    assert {(edge["service"], edge["count"]) for edge in topology["edges"]} == {("shop", 2.0), ("billing", 1.0)}
