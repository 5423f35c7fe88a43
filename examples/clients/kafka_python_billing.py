"""A service on kafka-python, without an event loop: it reads orders and writes an invoice for each.

DD_SERVICE=billing KAFKA=localhost:9092 python examples/clients/kafka_python_billing.py
"""

from __future__ import annotations

import os
from contextlib import closing, suppress

from kafka import KafkaConsumer, KafkaProducer

import asyncdsm

KAFKA = os.environ.get("KAFKA", "localhost:9092")


def bill(consumer: KafkaConsumer, producer: KafkaProducer) -> None:
    """Write an invoice for each order. The parent of an invoice is its order."""
    for order in consumer:
        producer.send("invoices", order.value)


def main() -> None:
    """Measure, and write invoices until Ctrl-C."""
    producer = KafkaProducer(bootstrap_servers=KAFKA)
    consumer = KafkaConsumer("orders", bootstrap_servers=KAFKA, group_id="billing", auto_offset_reset="earliest")
    with asyncdsm.DataStreams(), closing(producer), closing(consumer):
        bill(asyncdsm.wrap(consumer), asyncdsm.wrap(producer))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
