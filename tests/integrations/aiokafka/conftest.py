"""The wrapped producer of aiokafka's tests."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka


@pytest.fixture
async def producer(kafka: Kafka, captured_streams: Captured) -> Any:
    async with asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer:
        yield producer
