"""The program that is soaked: an order comes by HTTP, goes through Kafka, RabbitMQ and SQS, is mailed and booked.

It counts its checkpoints itself: twelve for each order. Every tenth order comes with a pathway that nobody has seen
before, so that points are made and forgotten all the time.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic, time_ns
from typing import Any

import aio_pika
import httpx2
import uvicorn
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue
from aiobotocore.session import get_session
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from asyncdsm_asgi import DataStreamsMiddleware
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from tests.brokers.aws import Aws
from tests.soak.ledger import Ledger

PATIENCE_SECONDS = 120.0
"""How long the last orders may take to their mails."""
FRESH_EVERY = 10


class Counts:
    """What the program itself saw pass."""

    def __init__(self) -> None:
        self.made = self.orders = self.mails = 0


async def order(counts: Counts, url: str, seconds: float, rate: float) -> None:
    """Send orders for so many seconds, one behind the other."""
    end, chance = monotonic() + seconds, random.Random(7)
    async with httpx2.AsyncClient(base_url=url, timeout=60) as client:
        asyncdsm.wrap(client)
        due = monotonic()
        while due < end:
            fresh = counts.orders % FRESH_EVERY == 0
            current.set_current(Pathway(chance.getrandbits(64), time_ns(), time_ns()) if fresh else None)
            (await client.post(f"/orders/{counts.orders}")).raise_for_status()
            counts.made += 1
            counts.orders += 1
            due += 1 / rate
            await asyncio.sleep(due - monotonic())


@asynccontextmanager
async def shop(counts: Counts, producer: AIOKafkaProducer, topic: str) -> AsyncIterator[str]:
    """Serve HTTP: each order goes to Kafka."""

    async def take(request: Request) -> Response:
        counts.made += 1
        await producer.send_and_wait(topic, json.dumps({"order": request.path_params["number"]}).encode())
        counts.made += 1
        return Response(status_code=202)

    app = DataStreamsMiddleware(Starlette(routes=[Route("/orders/{number:int}", take, methods=["POST"])]))
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


async def bill(counts: Counts, consumer: AIOKafkaConsumer, exchange: Any) -> None:
    """Take orders from Kafka, by turns singly and in batches, and send their invoices to RabbitMQ."""
    while True:
        records = [await consumer.getone()]
        counts.made += 1
        await exchange.publish(aio_pika.Message(records[0].value or b""), "invoices")
        counts.made += 1
        for batch in (await consumer.getmany(timeout_ms=50)).values():
            counts.made += len(batch)
            for record in batch:
                await exchange.publish(aio_pika.Message(record.value or b""), "invoices")
                counts.made += 1


async def ship(counts: Counts, queue: AbstractQueue, sqs: Any, url: str) -> None:
    """Take invoices from RabbitMQ and send their parcels to SQS."""

    async def take(invoice: AbstractIncomingMessage) -> None:
        async with invoice.process():
            counts.made += 1
            await sqs.send_message(QueueUrl=url, MessageBody=invoice.body.decode())
            counts.made += 1

    await queue.consume(take)


async def mail(counts: Counts, sqs: Any, url: str, ledger: Ledger) -> None:
    """Take parcels from SQS, be done with them, and note it."""
    while True:
        answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        messages = answer.get("Messages", [])
        counts.made += len(messages)
        for parcel in messages:
            await sqs.delete_message(QueueUrl=url, ReceiptHandle=parcel["ReceiptHandle"])
            await asyncio.to_thread(ledger.note, parcel["MessageId"])
            counts.mails += 1


async def soak(seconds: float, rate: float) -> dict[str, Any]:
    """Run all of it; return what was counted."""
    counts, topic, url = Counts(), os.environ["SOAK_TOPIC"], os.environ["SOAK_QUEUE"]
    kafka: dict[str, Any] = {"bootstrap_servers": os.environ["SOAK_KAFKA"]}
    options = Aws(os.environ["SOAK_AWS"]).options
    group: dict[str, Any] = {
        "group_id": "billing",
        "auto_offset_reset": "earliest",
    }
    async with asyncdsm.DataStreams() as streams:
        ledger = Ledger(os.environ["SOAK_AMQP"], os.environ["SOAK_KAFKA"], os.environ["SOAK_BOOKINGS"])
        async with (
            asyncdsm.wrap(AIOKafkaProducer(**kafka)) as producer,
            asyncdsm.wrap(AIOKafkaConsumer(topic, **kafka, **group)) as consumer,
            asyncdsm.wrap(await aio_pika.connect_robust(os.environ["SOAK_AMQP"])) as connection,
            asyncdsm.wrap(get_session()).create_client("sqs", **options) as sqs,
            asyncdsm.wrap(get_session()).create_client("sqs", **options) as receiving,
            shop(counts, producer, topic) as address,
        ):
            channel = await connection.channel()
            await channel.set_qos(10)
            queue = await channel.declare_queue("invoices", auto_delete=True)
            await ship(counts, queue, sqs, url)
            stages = [
                asyncio.create_task(bill(counts, consumer, channel.default_exchange)),
                asyncio.create_task(mail(counts, receiving, url, ledger)),
            ]
            with ledger.running():
                await order(counts, address, seconds, rate)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while ledger.audited < counts.orders and not (
                        ledger.failures or any(stage.done() for stage in stages)
                    ):
                        await asyncio.sleep(0.2)
            for stage in stages:
                stage.cancel()
            ends = await asyncio.gather(*stages, return_exceptions=True)
    errors = [repr(end) for end in ends if not isinstance(end, asyncio.CancelledError)] + ledger.failures
    counts.made += ledger.made
    stats = streams.stats
    counters = {name: getattr(stats, name) for name in ("recorded", "delivered", "pending", "dropped", "malformed")}
    return {**vars(counts), "ends": errors, "accounts": {**counters, "errors": stats.errors}}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(soak(float(sys.argv[1]), float(sys.argv[2])))), flush=True)
