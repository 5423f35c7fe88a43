"""A service on RabbitMQ: it handles up to ten orders at once, and publishes an invoice for each.

DD_SERVICE=billing AMQP=amqp://localhost/ python examples/clients/aio_pika_billing.py
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

import asyncdsm

AMQP = os.environ.get("AMQP", "amqp://localhost/")


async def main() -> None:
    """Measure, and publish invoices until Ctrl-C."""
    async with asyncdsm.DataStreams(), asyncdsm.wrap(await aio_pika.connect_robust(AMQP)) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=10)
        orders = await channel.declare_queue("orders", durable=True)
        await channel.declare_queue("invoices", durable=True)

        async def bill(order: AbstractIncomingMessage) -> None:
            """Publish an invoice. Its parent is this order, whatever the other callbacks do meanwhile."""
            async with order.process():
                await channel.default_exchange.publish(aio_pika.Message(order.body), "invoices")

        await orders.consume(bill)
        await asyncio.get_running_loop().create_future()  # until Ctrl-C


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
