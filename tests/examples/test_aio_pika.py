"""The example on aio-pika: it publishes an invoice for an order, with the order as its parent."""

from __future__ import annotations

import asyncio

from asyncdsm.agent.http.server import RunningAgent
from tests.brokers.rabbitmq import RabbitMQ
from tests.examples.billing import bill_on_rabbitmq, check_invoices
from tests.examples.programs import PATIENCE, running_example


def test_aio_pika_example_publishes_invoices_that_follow_their_orders(
    empty_rabbitmq: RabbitMQ, agent: RunningAgent
) -> None:
    environ = {"AMQP": empty_rabbitmq.url, "DD_SERVICE": "billing"}
    with running_example(agent, "examples/clients/aio_pika_billing.py", **environ):
        invoices = asyncio.run(asyncio.wait_for(bill_on_rabbitmq(empty_rabbitmq), PATIENCE))
    check_invoices(agent, invoices, group=None)
