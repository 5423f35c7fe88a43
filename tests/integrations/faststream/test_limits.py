"""Messages that FastStream publishes to Kafka, as large as the client may send or the topic takes."""

from __future__ import annotations

from typing import Any

import pytest
from asyncdsm_faststream import DataStreamsMiddleware
from faststream import BaseMiddleware
from faststream.confluent import KafkaBroker as ConfluentBroker
from faststream.kafka import KafkaBroker

from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.integrations.confluent.clients import on_broker
from tests.integrations.faststream.brokers import BrokerSetup, run_broker

LIMIT = 10_000


class Exclaiming(BaseMiddleware[Any, Any]):
    """A middleware of the program's own, which changes what is sent."""

    async def publish_scope(self, call_next: Any, cmd: Any) -> Any:
        cmd.body += b"!"
        return await call_next(cmd)


@pytest.mark.parametrize("kind", [KafkaBroker, ConfluentBroker])
async def test_message_that_the_context_makes_too_large_is_published_without_it(
    kafka: Kafka, captured_streams: Captured, kind: Any
) -> None:
    name = kafka.topic(config={"max.message.bytes": str(LIMIT)})
    broker = kind(kafka.bootstrap, middlewares=[DataStreamsMiddleware, Exclaiming], logger=None)
    published, refused = list[int](), list[int]()
    async with run_broker(BrokerSetup(broker, lambda: name)):
        for size in range(LIMIT - 300, LIMIT + 10, 10):
            try:
                await broker.publish(b"x" * size, name)
                published.append(size)
            except Exception as error:
                assert "large" in str(error).lower() or "TooLarge" in type(error).__name__
                refused.append(size)
    assert max(published) < min(refused)
    messages = on_broker(kafka, name, len(published))
    assert [message.value() for message in messages] == [b"x" * size + b"!" for size in published]
    without = [HEADER not in dict(message.headers()) for message in messages]
    assert without == sorted(without)
    assert captured_streams.stats().not_propagated == without.count(True) > 0
    assert len(captured_streams.produced(name)) == len(published)
