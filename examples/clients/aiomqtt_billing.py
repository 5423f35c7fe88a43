"""Messages of MQTT: billing reads orders as a group of one, and publishes invoices, which the shop waits for.

DD_SERVICE=billing MQTT_PORT=1883 python -m examples.clients.aiomqtt_billing bill
DD_SERVICE=shop MQTT_PORT=1883 python -m examples.clients.aiomqtt_billing shop
"""

from __future__ import annotations

import asyncio
import os
import sys

from aiomqtt import Client, ProtocolVersion

import asyncdsm

ORDERS = 20


async def bill(client: Client) -> None:
    """Bill each order. The parent of the invoice is the order, whose topic has the order's number in it."""
    await client.subscribe("$share/billing/orders/+/created", qos=1)
    await client.publish("billing/ready", b"yes", qos=1, retain=True)
    left = ORDERS
    async for order in client.messages:
        await client.publish(order.topic.value.replace("created", "billed"), order.payload, qos=1)
        print(f"{order.topic} is billed", flush=True)
        left -= 1
        if left == 0:
            break


async def shop(client: Client) -> None:
    """Send twenty orders once billing is there, and wait until all of them are billed."""
    await client.subscribe("billing/ready")
    await asyncio.create_task(wait_for_message(client))  # a task of its own: the orders do not continue this message
    await client.subscribe("orders/+/billed", qos=1)
    for order in range(ORDERS):
        await client.publish(f"orders/{order}/created", b"an order", qos=1)
    for _ in range(ORDERS):
        await anext(client.messages)


async def wait_for_message(client: Client) -> None:
    """Wait for one message."""
    await anext(client.messages)


async def main(work: str) -> None:
    """Do the work of one service."""
    port = int(os.environ.get("MQTT_PORT", "1883"))
    async with (
        asyncdsm.DataStreams(),
        asyncdsm.wrap(Client("localhost", port, protocol=ProtocolVersion.V5)) as client,
    ):
        await {"bill": bill, "shop": shop}[work](client)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
