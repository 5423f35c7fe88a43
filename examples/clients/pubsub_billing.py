"""Messages of Google Pub/Sub: billing streams orders to an event loop, and publishes invoices.

DD_SERVICE=billing python -m examples.clients.pubsub_billing bill
DD_SERVICE=shop python -m examples.clients.pubsub_billing shop

Both need the project in GOOGLE_CLOUD_PROJECT, and either credentials of it, or an emulator at PUBSUB_EMULATOR_HOST.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from typing import Any

from google.api_core.exceptions import AlreadyExists
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1 import PublisherAsyncClient, PubsubMessage, SubscriberAsyncClient

import asyncdsm

ORDERS = 20
PROJECT = f"projects/{os.environ.get('GOOGLE_CLOUD_PROJECT', 'shop')}"
NAMES = {"orders": "billing", "invoices": "shop"}
"""The topics, and the subscription of each."""


async def bill() -> None:
    """Bill each order, in a task of its own that the callback starts. The parent of the invoice is the order."""
    loop, billed = asyncio.get_running_loop(), asyncio.Queue[None]()
    publisher, subscriber = asyncdsm.wrap(PublisherAsyncClient()), asyncdsm.wrap(SubscriberClient())

    async def bill_order(order: Any) -> None:
        invoice = PubsubMessage(data=order.data)
        await publisher.publish(topic=f"{PROJECT}/topics/invoices", messages=[invoice])
        await loop.run_in_executor(None, order.ack_with_response().result)
        print(f"order {order.message_id} is billed", flush=True)
        billed.put_nowait(None)

    def start_billing(order: Any) -> None:
        asyncio.run_coroutine_threadsafe(bill_order(order), loop)

    streaming = subscriber.subscribe(f"{PROJECT}/subscriptions/billing", start_billing)
    for _ in range(ORDERS):
        await billed.get()
    streaming.cancel()
    await loop.run_in_executor(None, streaming.result)
    subscriber.close()
    await publisher.transport.close()


async def shop() -> None:
    """Send twenty orders, and wait for their invoices."""
    publisher, subscriber = asyncdsm.wrap(PublisherClient()), asyncdsm.wrap(SubscriberAsyncClient())
    for order in range(ORDERS):
        publisher.publish(f"{PROJECT}/topics/orders", b"an order", number=str(order))
    publisher.stop()  # sends what waits in the batch
    left, subscription = ORDERS, f"{PROJECT}/subscriptions/shop"
    while left:
        response = await subscriber.pull(subscription=subscription, max_messages=left)
        left -= len(response.received_messages)
        if ack_ids := [received.ack_id for received in response.received_messages]:
            await subscriber.acknowledge(subscription=subscription, ack_ids=ack_ids)
    await subscriber.transport.close()


async def create_topics() -> None:
    """Create the topics and subscriptions that are not there yet."""
    publisher, subscriber = PublisherAsyncClient(), SubscriberAsyncClient()
    for topic, subscription in NAMES.items():
        name = f"{PROJECT}/topics/{topic}"
        with suppress(AlreadyExists):
            await publisher.create_topic(name=name)
        with suppress(AlreadyExists):
            await subscriber.create_subscription(name=f"{PROJECT}/subscriptions/{subscription}", topic=name)


async def main(work: str) -> None:
    """Do the work of one service."""
    async with asyncdsm.DataStreams():
        await create_topics()
        await {"bill": bill, "shop": shop}[work]()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
