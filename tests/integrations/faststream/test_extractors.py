"""Extractors find the ids of business transactions in what FastStream's brokers send and receive."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from collections.abc import Callable

from faststream.rabbit import RabbitBroker

from tests.integrations.faststream.brokers import BrokerSetup, Seen, run_broker


async def test_broker_finds_the_id_of_a_message(
    setup: BrokerSetup, extracted: Callable[[], list[tuple[str, str]]]
) -> None:
    name, count = setup.name(), Seen()

    @setup.subscriber(name)
    async def handle(number: int) -> None:
        count.add(number)

    async with run_broker(setup):
        await setup.broker.publish(1, name, headers={"Order-Id": "4711"})
        await count.wait_for(1)
    client = "RABBITMQ" if isinstance(setup.broker, RabbitBroker) else "KAFKA"
    assert sorted(extracted()) == [(f"{client}_CONSUME_HEADERS", "4711"), (f"{client}_PRODUCE_HEADERS", "4711")]
