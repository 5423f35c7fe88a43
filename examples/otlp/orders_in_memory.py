"""Orders through a queue in memory, measured over OTLP: needs no broker, only a receiver.

pip install 'asyncdsm[otlp]'
DD_SERVICE=shop OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 python orders_in_memory.py
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from random import expovariate

import asyncdsm

ORDERS = int(os.environ.get("ORDERS", "1000000"))
Message = dict[str, str]


async def send_orders(queue: asyncio.Queue[Message]) -> None:
    """Put orders into the queue, some at once now and then."""
    for _ in range(ORDERS):
        message = Message()
        asyncdsm.set_produce_checkpoint("memory", "orders", message.__setitem__)
        queue.put_nowait(message)
        await asyncio.sleep(expovariate(50))


async def bill_orders(queue: asyncio.Queue[Message]) -> None:
    """Read each order, and send an invoice for it to nobody."""
    for _ in range(ORDERS):
        message = await queue.get()
        asyncdsm.set_consume_checkpoint("memory", "orders", message.get)
        await asyncio.sleep(expovariate(60))
        asyncdsm.set_produce_checkpoint("memory", "invoices", Message().__setitem__)


async def main() -> None:
    """Send orders and bill them at the same time."""
    queue = asyncio.Queue[Message]()
    async with asyncdsm.DataStreams() as streams, asyncio.TaskGroup() as tasks:
        tasks.create_task(send_orders(queue))
        tasks.create_task(bill_orders(queue))
    print(streams.stats)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
