"""The examples on Kafka: each makes an invoice of an order, with the order as its parent."""

from __future__ import annotations

import pytest

from asyncdsm.agent.http.server import RunningAgent
from tests.brokers.kafka import Kafka
from tests.examples.billing import bill_on_kafka, check_invoices, running_example


@pytest.mark.parametrize("example", ["aiokafka_billing", "confluent_kafka_billing", "faststream_billing"])
async def test_kafka_example_makes_invoices_that_follow_their_orders(
    empty_kafka: Kafka, agent: RunningAgent, example: str
) -> None:
    async with running_example(agent, f"examples/clients/{example}.py", KAFKA=empty_kafka.bootstrap):
        invoices = await bill_on_kafka(empty_kafka)
    await check_invoices(agent, invoices)
