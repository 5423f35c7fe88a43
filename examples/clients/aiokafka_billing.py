"""A service on aiokafka: it reads orders and writes an invoice for each.

DD_SERVICE=billing KAFKA=localhost:9092 python examples/clients/aiokafka_billing.py
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

import asyncdsm

KAFKA = os.environ.get("KAFKA", "localhost:9092")


async def bill(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
    """Write an invoice for each order. The parent of an invoice is its order."""
    async for order in consumer:
        await producer.send_and_wait("invoices", order.value)


async def main() -> None:
    """Measure, and write invoices until Ctrl-C."""
    orders = AIOKafkaConsumer("orders", bootstrap_servers=KAFKA, group_id="billing", auto_offset_reset="earliest")
    async with (
        asyncdsm.DataStreams(),
        asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=KAFKA)) as producer,
        asyncdsm.wrap(orders) as consumer,
    ):
        await bill(consumer, producer)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
