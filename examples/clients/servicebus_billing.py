"""Messages of Azure Service Bus: billing reads orders from a queue and publishes invoices to a topic.

DD_SERVICE=billing SERVICEBUS='Endpoint=sb://…' python -m examples.clients.servicebus_billing bill
DD_SERVICE=shop SERVICEBUS='Endpoint=sb://…' python -m examples.clients.servicebus_billing shop

The namespace has the queue `orders` and the topic `invoices`, with the subscription `shop`.
"""

from __future__ import annotations

import asyncio
import os
import sys

from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

import asyncdsm

ORDERS = 20


async def bill(client: ServiceBusClient) -> None:
    """Bill each order. The parent of the invoice is the order."""
    billed = 0
    async with client.get_queue_receiver("orders") as orders, client.get_topic_sender("invoices") as invoices:
        async for order in orders:
            await invoices.send_messages(ServiceBusMessage(f"an invoice for {order}"))
            await orders.complete_message(order)
            print(f"{order} is billed", flush=True)
            billed += 1
            if billed == ORDERS:
                break


async def shop(client: ServiceBusClient) -> None:
    """Send twenty orders, and wait until all of them are billed."""
    async with (
        client.get_subscription_receiver("invoices", "shop") as invoices,
        client.get_queue_sender("orders") as orders,
    ):
        await orders.send_messages([ServiceBusMessage(f"order {number}") for number in range(ORDERS)])
        left = ORDERS
        while left:
            for invoice in await invoices.receive_messages(left, max_wait_time=60):
                await invoices.complete_message(invoice)
                left -= 1


async def main(work: str) -> None:
    """Do the work of one service."""
    async with (
        asyncdsm.DataStreams(),
        ServiceBusClient.from_connection_string(os.environ["SERVICEBUS"]) as client,
    ):
        await {"bill": bill, "shop": shop}[work](asyncdsm.wrap(client))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
