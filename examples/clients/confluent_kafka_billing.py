"""A service on confluent-kafka, without an event loop: it reads orders and writes an invoice for each.

DD_SERVICE=billing KAFKA=localhost:9092 python examples/clients/confluent_kafka_billing.py
"""

from __future__ import annotations

import os
from contextlib import suppress

import confluent_kafka

import asyncdsm

KAFKA = os.environ.get("KAFKA", "localhost:9092")

# The classes are wrapped, not their objects: then commits that nobody waits for are recorded too.
Consumer = asyncdsm.wrap(confluent_kafka.Consumer)
Producer = asyncdsm.wrap(confluent_kafka.Producer)


def bill(consumer: confluent_kafka.Consumer, producer: confluent_kafka.Producer) -> None:
    """Write an invoice for each order. The parent of an invoice is its order."""
    while True:
        order = consumer.poll(1.0)
        if order is not None and order.error() is None:
            producer.produce("invoices", order.value())
        producer.poll(0)  # serves delivery reports, from which the produced offsets are known


def main() -> None:
    """Measure, and write invoices until Ctrl-C."""
    producer = Producer({"bootstrap.servers": KAFKA})
    consumer = Consumer({"bootstrap.servers": KAFKA, "group.id": "billing", "auto.offset.reset": "earliest"})
    consumer.subscribe(["orders"])
    with asyncdsm.DataStreams():
        try:
            bill(consumer, producer)
        finally:
            producer.flush()
            consumer.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
