"""Tasks of taskiq on RabbitMQ: billing an order sends a task that ships it.

DD_SERVICE=worker AMQP=amqp://localhost/ taskiq worker examples.clients.taskiq_billing:broker
DD_SERVICE=shop AMQP=amqp://localhost/ python -m examples.clients.taskiq_billing
"""

from __future__ import annotations

import asyncio
import os

from asyncdsm_taskiq import DataStreamsMiddleware
from taskiq_aio_pika import AioPikaBroker, Queue

broker: AioPikaBroker = AioPikaBroker(os.environ.get("AMQP", "amqp://localhost/"), task_queues=[Queue(name="tasks")])
broker.add_middlewares(DataStreamsMiddleware())  # measures while the broker runs: in workers, and in the shop below


@broker.task("ship")
async def ship(order: int) -> None:
    """Ship an order."""
    print(f"order {order} is shipped", flush=True)


@broker.task("bill")
async def bill(order: int) -> None:
    """Bill an order. The parent of the task that is sent here is this task."""
    await ship.kiq(order)


async def main() -> None:
    """Send twenty orders."""
    await broker.startup()
    for order in range(20):
        await bill.kiq(order)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
