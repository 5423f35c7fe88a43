"""A service on Kombu, with RabbitMQ or any other of its brokers: it sends an invoice for each order.

DD_SERVICE=billing BROKER=amqp://localhost python kombu_billing.py
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from kombu.connection import Connection
from kombu.entity import Queue
from kombu.mixins import ConsumerProducerMixin

import asyncdsm

BROKER = os.environ.get("BROKER", "amqp://localhost")
ORDERS, INVOICES = Queue("orders"), Queue("invoices")


class Billing(ConsumerProducerMixin):
    """Consumes orders. Its producer uses a copy of the connection, which is measured too."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def get_consumers(self, Consumer: Any, channel: Any) -> list[Any]:  # noqa: N803  (the name is Kombu's)
        """Return what Kombu consumes with."""
        del channel
        return [Consumer([ORDERS], callbacks=[self.bill])]

    def bill(self, order: Any, message: Any) -> None:
        """Send an invoice: its parent is the order."""
        self.producer.publish(order, routing_key=INVOICES.name, declare=[INVOICES], retry=True)
        message.ack()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt), asyncdsm.DataStreams(), asyncdsm.wrap(Connection(BROKER)) as connection:
        billing: Any = Billing(connection)
        billing.run()
