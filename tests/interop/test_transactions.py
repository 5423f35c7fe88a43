"""A business transaction that passes a service of asyncdsm and one of dd-java-agent is one transaction at the agent."""

from __future__ import annotations

import json
from collections.abc import Callable

from confluent_kafka import Producer

import asyncdsm
from asyncdsm import DataStreams, Settings, TransactionExtractor
from tests.brokers.kafka import Kafka
from tests.interop.java import RELAY
from tests.interop.watched import watched

JAVA_EXTRACTORS = [{"name": "received", "type": "KAFKA_CONSUME_HEADERS", "value": "order-id"}]
EXTRACTORS = (TransactionExtractor("ordered", "KAFKA_PRODUCE_HEADERS", "order-id"),)


def test_java_service_continues_a_transaction_of_asyncdsm(kafka: Kafka, topic: Callable[..., str]) -> None:
    orders = topic()
    extractors = {"DD_DATA_STREAMS_TRANSACTION_EXTRACTORS": json.dumps(JAVA_EXTRACTORS)}
    with watched({"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, **extractors}) as agent:
        settings = Settings(service="shop", agent_url=agent.url, transaction_extractors=EXTRACTORS)
        with DataStreams(settings):
            producer = asyncdsm.wrap(Producer)({"bootstrap.servers": kafka.bootstrap})
            for number in (b"4711", b"4712"):
                producer.produce(orders, b"order", headers=[("order-id", number)])
            producer.flush()
        agent.relay(RELAY, f"kafka:{orders}", "-", 2, service="billing")
        found = [agent.answer(f"transactions?id={number}")["transactions"] for number in (4711, 4712)]
    steps = [[(step["service"], step["checkpoint"]) for step in one["steps"]] for each in found for one in each]
    assert steps == [[("shop", "ordered"), ("billing", "received")]] * 2
