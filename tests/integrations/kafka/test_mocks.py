"""Mocks of Kafka's clients, as users' tests make them: wrapped, they stay what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock, NonCallableMagicMock, create_autospec, patch

import aiokafka
import confluent_kafka
import faststream.confluent
import faststream.kafka
import faststream.rabbit
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord

import asyncdsm
from asyncdsm import UnknownClientError
from asyncdsm.testing import Captured

AIO = getattr(confluent_kafka, "aio", None) or __import__("confluent_kafka.aio").aio

CLASSES: list[Any] = [
    aiokafka.AIOKafkaProducer, aiokafka.AIOKafkaConsumer,
    confluent_kafka.Producer, confluent_kafka.Consumer, getattr(confluent_kafka, "ShareConsumer", None),
    confluent_kafka.SerializingProducer, confluent_kafka.DeserializingConsumer,
    *(getattr(AIO, name, None) for name in ("AIOProducer", "AIOConsumer", "AsyncSerializingProducer")),
    faststream.kafka.KafkaBroker, faststream.confluent.KafkaBroker, faststream.rabbit.RabbitBroker,
]  # fmt: skip
MAKERS: dict[str, Callable[[Any], Any]] = {
    "MagicMock(spec)": lambda kind: MagicMock(spec=kind),
    "MagicMock(spec_set)": lambda kind: MagicMock(spec_set=kind),
    "Mock(spec)": lambda kind: Mock(spec=kind),
    "AsyncMock(spec)": lambda kind: AsyncMock(spec=kind),
    "NonCallableMagicMock(spec)": lambda kind: NonCallableMagicMock(spec=kind),
    "create_autospec(class)": create_autospec,
    "create_autospec(instance)": lambda kind: create_autospec(kind, instance=True),
    "create_autospec(spec_set)": lambda kind: create_autospec(kind, instance=True, spec_set=True),
    "create_autospec().return_value": lambda kind: create_autospec(kind).return_value,
}


@pytest.fixture(params=[False, True], ids=["bare", "instrumented"])
def is_instrumented(request: pytest.FixtureRequest) -> Iterator[bool]:
    names = ("aiokafka", "confluent_kafka", "faststream")
    for name in names if request.param else ():
        asyncdsm.instrument(name)
    yield request.param
    for name in names:
        asyncdsm.uninstrument(name)


@pytest.mark.parametrize("kind", [kind for kind in CLASSES if kind is not None], ids=lambda kind: kind.__qualname__)
def test_wrapped_mock_is_returned_untouched(
    kind: Any, is_instrumented: bool, captured_streams: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    for make in MAKERS.values():
        mock = make(kind)
        attributes = dict(vars(mock))
        assert asyncdsm.wrap(mock) is mock
        assert vars(mock) == attributes
        assert mock.mock_calls == []
    assert caplog.records == []


def test_mock_of_an_unknown_class_is_a_clear_error() -> None:
    with pytest.raises(UnknownClientError, match=r"unittest\.mock\.MagicMock"):
        asyncdsm.wrap(MagicMock())


def test_mock_that_replaces_a_class_is_returned_unchanged() -> None:
    with patch("confluent_kafka.Producer", autospec=True) as kind:
        assert asyncdsm.wrap(confluent_kafka.Producer({})) is kind.return_value


@pytest.mark.parametrize("record", [MagicMock(spec=ConsumerRecord), create_autospec(ConsumerRecord), MagicMock(), {}])
async def test_aiokafka_consumer_returns_a_mock_of_a_record_unchanged(record: Any, captured_streams: Captured) -> None:
    consumer = asyncdsm.wrap(AIOKafkaConsumer())
    with patch.object(AIOKafkaConsumer, "getone", AsyncMock(return_value=record)):
        assert await consumer.getone() is record
    with patch.object(AIOKafkaConsumer, "getmany", AsyncMock(return_value=record)):
        assert await consumer.getmany() == record
    assert captured_streams.checkpoints == []
    await consumer.stop()


@pytest.mark.parametrize("message", [MagicMock(spec=confluent_kafka.Message), MagicMock(), "text"])
def test_confluent_consumer_returns_a_mock_of_a_message_unchanged(message: Any, captured_streams: Captured) -> None:
    class Consumer:
        def poll(self, *_: Any) -> Any:
            return message

        def consume(self, *_: Any) -> Any:
            return [message]

    from asyncdsm_confluent.client import Client
    from asyncdsm_confluent.consume import hook_consume, hook_poll

    consumer: Any = Consumer()
    consumer._asyncdsm = Client()
    consumer.assignment = list
    assert hook_poll(Consumer.poll)(consumer) is message
    assert list(hook_consume(Consumer.consume)(consumer)) == [message]
    assert captured_streams.checkpoints == []
