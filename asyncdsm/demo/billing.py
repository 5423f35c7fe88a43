"""The billing: consumes orders one by one, works on many at a time, and produces an invoice for each."""

from __future__ import annotations

import random

import anyio
from aiokafka import AIOKafkaProducer, ConsumerRecord

import asyncdsm
from asyncdsm.demo.service import INVOICES, ORDERS, announce, bootstrap_servers, consumer_of, run_service

FRAUD_CHECK_SECONDS = 0.4
"""What there is to find."""


async def bill(producer: AIOKafkaProducer, order: ConsumerRecord[bytes, bytes]) -> None:
    """Turn an order into an invoice, after a check that takes its time."""
    await anyio.sleep(FRAUD_CHECK_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311
    await producer.send_and_wait(INVOICES, order.value)


async def work() -> None:
    """Bill every order in a task of its own, all on one event loop."""
    producer = asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=bootstrap_servers()))
    consumer = asyncdsm.wrap(consumer_of(ORDERS, group="billing"))
    async with producer, consumer, anyio.create_task_group() as tasks:
        announce("ready")
        async for order in consumer:
            tasks.start_soon(bill, producer, order)


if __name__ == "__main__":
    run_service(work)
