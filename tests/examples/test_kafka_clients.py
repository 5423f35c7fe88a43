"""The examples on Kafka: each makes an invoice of an order, with the order as its parent."""

from __future__ import annotations

import asyncio

import pytest

from asyncdsm.agent.http.server import RunningAgent
from tests.brokers.kafka import Kafka
from tests.examples.billing import bill_on_kafka, check_invoices
from tests.examples.programs import PATIENCE, running_example


@pytest.mark.parametrize(
    "example", ["aiokafka_billing", "confluent_kafka_billing", "faststream_billing", "kafka_python_billing"]
)
def test_kafka_example_makes_invoices_that_follow_their_orders(
    empty_kafka: Kafka, agent: RunningAgent, example: str
) -> None:
    environ = {"KAFKA": empty_kafka.bootstrap, "DD_SERVICE": "billing"}
    with running_example(agent, f"examples/clients/{example}.py", **environ):
        invoices = asyncio.run(asyncio.wait_for(bill_on_kafka(empty_kafka), PATIENCE))
    check_invoices(agent, invoices, group="billing")
