"""The queue between billing and shipping: on RabbitMQ if there is one, otherwise a second topic on Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aio_pika
from aiokafka import AIOKafkaProducer

import asyncdsm
from asyncdsm.cli.demo.service import INVOICES, bootstrap_servers, make_consumer, rabbitmq_url

PREFETCH = 100


@asynccontextmanager
async def open_invoice_sender() -> AsyncIterator[Callable[[bytes], Awaitable[object]]]:
    """Yield an async function that sends an invoice."""
    url = rabbitmq_url()
    if url is None:
        async with asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=bootstrap_servers())) as producer:
            yield lambda invoice: producer.send_and_wait(INVOICES, invoice)
    else:
        async with asyncdsm.wrap(await aio_pika.connect(url)) as connection:
            channel = await connection.channel()
            await channel.declare_queue(INVOICES)
            yield lambda invoice: channel.default_exchange.publish(aio_pika.Message(invoice), INVOICES)


@asynccontextmanager
async def open_invoice_receiver() -> AsyncIterator[AsyncIterator[bytes]]:
    """Yield an async iterator of invoices. Each one is processed before the next is requested."""
    url = rabbitmq_url()
    if url is None:
        async with asyncdsm.wrap(make_consumer(INVOICES, group="shipping")) as consumer:
            yield (record.value or b"" async for record in consumer)
    else:
        async with asyncdsm.wrap(await aio_pika.connect(url)) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=PREFETCH)
            queue = await channel.declare_queue(INVOICES)
            async with queue.iterator(no_ack=True) as messages:
                yield (message.body async for message in messages)
