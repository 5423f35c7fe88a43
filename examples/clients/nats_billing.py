"""Messages of NATS: billing reads orders from a stream, asks for their prices, and publishes invoices.

DD_SERVICE=billing NATS=nats://localhost:4222 python -m examples.clients.nats_billing bill
DD_SERVICE=shop NATS=nats://localhost:4222 python -m examples.clients.nats_billing shop
"""

from __future__ import annotations

import asyncio
import os
import sys

import nats
from nats.aio.msg import Msg
from nats.js import JetStreamContext

import asyncdsm

ORDERS = 20


async def bill(js: JetStreamContext) -> None:
    """Bill each order. The parent of the invoice is the order, whose subject has the order's number in it."""
    orders = await js.pull_subscribe("orders.*.created", durable="billing", stream="orders")
    for _ in range(ORDERS):
        (order,) = await orders.fetch(timeout=60)
        await js.publish(order.subject.replace("created", "billed"), order.data)
        await order.ack()
        print(f"{order.subject} is billed", flush=True)


async def shop(js: JetStreamContext) -> None:
    """Send twenty orders, and wait until all of them are billed."""
    billed, left = asyncio.Event(), ORDERS

    async def note(_: Msg) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            billed.set()

    await js.subscribe("orders.*.billed", cb=note, durable="shop", stream="orders")
    for order in range(ORDERS):
        await js.publish(f"orders.{order}.created", b"an order")
    await billed.wait()


async def main(work: str) -> None:
    """Do the work of one service."""
    async with asyncdsm.DataStreams():
        client = asyncdsm.wrap(await nats.connect(os.environ.get("NATS", "nats://localhost:4222")))
        js = client.jetstream()
        await js.add_stream(name="orders", subjects=["orders.>"])
        await {"bill": bill, "shop": shop}[work](js)
        await client.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
