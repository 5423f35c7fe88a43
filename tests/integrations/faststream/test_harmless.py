"""Apps start and stop as without asyncdsm, and no message is touched while nothing measures."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import pytest
from asyncdsm_faststream import DataStreamsMiddleware
from faststream import FastStream
from faststream.kafka import KafkaBroker

import asyncdsm
from asyncdsm.core.context import HEADER
from tests.brokers.kafka import Kafka
from tests.intake import running_intake
from tests.integrations.faststream.brokers import BrokerSetup, Seen, run_broker


async def test_app_with_lifespan_delivers_what_it_measured(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_intake() as intake:
        monkeypatch.setenv("DD_TRACE_AGENT_URL", intake.url)
        broker: Any = KafkaBroker(kafka.bootstrap, middlewares=[DataStreamsMiddleware], logger=None)
        app = FastStream(broker, lifespan=asyncdsm.lifespan)

        @app.after_startup
        async def publish() -> None:
            await broker.publish(1, kafka.topic())
            app.exit()

        await app.run()
        assert intake.counted() == 1


async def test_message_is_left_alone_while_nothing_measures(kafka: Kafka) -> None:
    broker: Any = KafkaBroker(kafka.bootstrap, middlewares=[DataStreamsMiddleware], logger=None)
    setup, count = BrokerSetup(broker, kafka.topic, auto_offset_reset="earliest"), Seen()
    name = setup.name()

    @setup.subscriber(name)
    async def handle(body: str, message: Any = None) -> None:
        count.add(broker.context.get_local("message").headers)

    async with run_broker(setup):
        await broker.publish("x", name)
        (headers,) = await count.wait_for(1)
    assert HEADER not in headers
