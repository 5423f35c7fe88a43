"""The example on aio-pika: it publishes an invoice for an order, with the order as its parent."""

from __future__ import annotations

import aio_pika

from asyncdsm.agent.http.server import RunningAgent
from asyncdsm.core.pathway import HEADER
from tests.brokers.rabbitmq import RabbitMQ
from tests.examples.billing import ORDERS, check_invoices, context_of, hash_of, running_example


async def test_aio_pika_example_publishes_invoices_that_follow_their_orders(
    empty_rabbitmq: RabbitMQ, agent: RunningAgent
) -> None:
    invoices = dict[int, int]()
    async with (
        running_example(agent, "examples/clients/aio_pika_billing.py", AMQP=empty_rabbitmq.url),
        await aio_pika.connect(empty_rabbitmq.url) as connection,
    ):
        channel = await connection.channel()
        await channel.declare_queue("orders", durable=True)
        queue = await channel.declare_queue("invoices", durable=True)
        for order in range(ORDERS):
            message = aio_pika.Message(str(order).encode(), headers={HEADER: context_of(order)})
            await channel.default_exchange.publish(message, "orders")
        async with queue.iterator(no_ack=True) as messages:
            async for invoice in messages:
                invoices[int(invoice.body)] = hash_of(invoice.headers)
                if len(invoices) == ORDERS:
                    break
    await check_invoices(agent, invoices, group=None)
