"""The example for Kombu: each order is the parent of its invoice, on RabbitMQ and on Redis."""

from __future__ import annotations

import pytest
from kombu.connection import Connection
from kombu.messaging import Producer

from asyncdsm.agent.http.server import RunningAgent
from tests.brokers.rabbitmq import RabbitMQ
from tests.examples.programs import COUNT, check_pathways, has_counted, make_headers, running_example, wait_until


@pytest.mark.parametrize("broker", ["empty_rabbitmq", "redis"])
def test_consumer_mixin_sends_an_invoice_for_each_order(
    broker: str, agent: RunningAgent, request: pytest.FixtureRequest
) -> None:
    server: RabbitMQ | str = request.getfixturevalue(broker)
    url = server if isinstance(server, str) else server.url
    with Connection(url) as connection:
        orders = connection.SimpleQueue("orders")  # declares the queue
        for number in range(COUNT):
            Producer(connection).publish(number, routing_key="orders", headers=make_headers(number))
        orders.close()
    with running_example(agent, "-m", "examples.clients.kombu_billing", DD_SERVICE="billing", BROKER=url) as billing:
        wait_until(lambda: has_counted(agent, in_=COUNT, out=COUNT), billing)
    check_pathways(agent, "in orders", "out invoices")
