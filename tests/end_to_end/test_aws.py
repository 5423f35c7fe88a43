"""Kafka → billing → SNS → SQS → shipping: three services in processes of their own, one pathway at the agent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from anyio import to_thread

from asyncdsm.agent.http.server import RunningAgent, running_agent
from asyncdsm.integration.formats.aws import queue_name
from tests.brokers.aws import Aws
from tests.brokers.kafka import Kafka

COUNT = 5

SHOP = """
import asyncio, sys
import asyncdsm
from aiokafka import AIOKafkaProducer
bootstrap, orders, count = sys.argv[1:]

async def main():
    async with asyncdsm.DataStreams(), asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=bootstrap)) as producer:
        for number in range(int(count)):
            await producer.send_and_wait(orders, b"order %d" % number)

asyncio.run(main())
"""

BILLING = """
import asyncio, json, sys
import asyncdsm
from aiobotocore.session import get_session
from aiokafka import AIOKafkaConsumer
bootstrap, orders, topic, options, count = sys.argv[1:]

async def main():
    asyncdsm.instrument()
    consumer = AIOKafkaConsumer(orders, bootstrap_servers=bootstrap, group_id="billing", auto_offset_reset="earliest")
    async with (
        asyncdsm.DataStreams(),
        consumer,
        get_session().create_client("sns", **json.loads(options)) as sns,
        asyncio.timeout(30),
    ):
        for _ in range(int(count)):
            record = await consumer.getone()
            await sns.publish(TopicArn=topic, Message=record.value.decode())

asyncio.run(main())
"""

SHIPPING = """
import json, sys
import asyncdsm
import boto3
queue, options, count = sys.argv[1:]

with asyncdsm.DataStreams():
    sqs, shipped = asyncdsm.wrap(boto3.client("sqs", **json.loads(options))), set()
    for _ in range(30):
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            shipped.add(json.loads(message["Body"])["Message"])
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        if len(shipped) == int(count):
            break
assert len(shipped) == int(count), shipped
"""


async def run(agent: RunningAgent, service: str, program: str, *arguments: str) -> None:
    environ = {**os.environ, "DD_TRACE_AGENT_URL": agent.url, "DD_SERVICE": service}
    command = [sys.executable, "-c", program, *arguments, str(COUNT)]

    def wait() -> None:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    await to_thread.run_sync(wait)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_pathway_from_kafka_to_sqs_is_whole_at_the_agent(
    kafka: Kafka, topic: Callable[..., str], moto: Aws
) -> None:
    orders, queue, options = topic(), moto.queue(), json.dumps(moto.options)
    invoices = moto.topic(queue)
    async with running_agent() as agent:
        await run(agent, "shop", SHOP, kafka.bootstrap, orders)
        await run(agent, "billing", BILLING, kafka.bootstrap, orders, invoices, options)
        await run(agent, "shipping", SHIPPING, queue, options)
        async with httpx2.AsyncClient(base_url=agent.url) as client:
            shown = (await client.get("/api/topology")).json()
    assert chain_of(shown["pathways"]) == [
        ("direction:out", f"topic:{orders}"),
        ("direction:in", f"topic:{orders}"),
        ("direction:out", f"topic:{invoices}"),
        ("direction:in", f"topic:{queue_name(queue)}"),
    ]
    edges = {(edge["service"], edge["direction"]): edge["count"] for edge in shown["edges"]}
    assert edges == dict.fromkeys(
        [("shop", "out"), ("billing", "in"), ("billing", "out"), ("shipping", "in")], COUNT
    )  # fmt: skip


def chain_of(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the direction and the topic of each row, from parent to child; there is one child of each."""
    behind = {row["parent"]: row for row in rows}
    assert len(behind) == len(rows)
    chain, parent = list[tuple[str, str]](), "0"
    while parent in behind:
        row = behind[parent]
        direction, topic = (tag for tag in row["tags"] if tag.startswith(("direction:", "topic:")))
        chain.append((direction, topic))
        parent = row["hash"]
    return chain
