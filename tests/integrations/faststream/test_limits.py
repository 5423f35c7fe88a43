"""Messages that FastStream publishes, as large as the client may send or the server takes."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nats as nats_client
import pytest
from asyncdsm_faststream import DataStreamsMiddleware
from asyncdsm_nats.produce import LINE_BYTES, measure_headers
from faststream import BaseMiddleware
from faststream.confluent import KafkaBroker as ConfluentBroker
from faststream.kafka import KafkaBroker
from faststream.mqtt import MQTTBroker, MQTTMessage
from faststream.nats import JStream, NatsBroker, NatsMessage
from nats.js.api import DeliverPolicy
from nats.js.errors import BadRequestError
from zmqtt import MQTTDisconnectedError, PublishProperties, QoS
from zmqtt._internal.packets.codec import encode
from zmqtt._internal.packets.publish import Publish

from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.brokers.mosquitto import Mosquitto, run_mosquitto
from tests.brokers.nats import MAX_PAYLOAD, NatsServer
from tests.integrations.confluent.clients import on_broker
from tests.integrations.faststream.brokers import BrokerSetup, Seen, run_broker
from tests.integrations.faststream.ways import make_name

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


@pytest.mark.parametrize("asks", [False, True])
async def test_message_that_the_context_makes_too_large_for_nats_is_published_without_it(
    nats: NatsServer, captured_streams: Captured, asks: bool
) -> None:
    """The server would end the connection: its limit counts headers, the client looks at the payload alone."""
    name, count = make_name(), Seen()
    broker = NatsBroker(nats.url, middlewares=[DataStreamsMiddleware, Exclaiming], logger=None)

    @broker.subscriber(name)
    async def handle(body: bytes, message: NatsMessage) -> bytes:
        count.add((len(body), message.headers))
        return b""

    async def send(size: int) -> None:
        body = b"x" * (size - 1)  # the other middleware adds a byte
        await (broker.request(body, name, timeout=10) if asks else broker.publish(body, name))

    async with broker:
        await broker.start()
        await send(1)
        ((_, headers),) = await count.wait_for(1)
        largest = MAX_PAYLOAD - LINE_BYTES - measure_headers(headers)  # with a context
        bare = largest + measure_headers({HEADER: headers[HEADER]})
        sizes = [largest - 1, largest, largest + 1, bare - 1, bare]
        for size in sizes:
            await send(size)
        seen = (await count.wait_for(6))[1:]
        assert broker.config.connection_state.connection.stats["reconnects"] == 0
    assert [size for size, _ in seen] == sizes
    assert [HEADER in headers for _, headers in seen] == [True, True, False, False, False]
    assert (captured_streams.stats().not_propagated, captured_streams.stats().errors) == (3, 0)
    assert len(captured_streams.produced(name)) == len(captured_streams.consumed(name)) == 6


async def test_stream_of_nats_with_a_small_limit_takes_what_it_would_take_without_asyncdsm(
    nats: NatsServer, captured_streams: Captured
) -> None:
    name, count = make_name(), Seen()
    async with await nats_client.connect(nats.url) as client:
        await client.jetstream().add_stream(name=name, subjects=[name], max_msg_size=200)
    broker = NatsBroker(nats.url, middlewares=[DataStreamsMiddleware, Exclaiming], logger=None)

    @broker.subscriber(name, stream=JStream(name, declare=False), deliver_policy=DeliverPolicy.ALL)
    async def handle(body: bytes, message: NatsMessage) -> None:
        count.add((len(body), message.headers))

    async with broker:
        await broker.start()
        await broker.publish(b"", name, stream=name)
        ((_, headers),) = await count.wait_for(1)
        largest = 200 - LINE_BYTES - measure_headers(headers)
        bare = largest + measure_headers({HEADER: headers[HEADER]})
        sizes = [largest, largest + 1, bare]
        for size in sizes:
            await broker.publish(b"x" * (size - 1), name, stream=name)
        with pytest.raises(BadRequestError, match="message size exceeds maximum allowed"):
            await broker.publish(b"x" * bare, name, stream=name)
        seen = (await count.wait_for(4))[1:]
    assert [size for size, _ in seen] == sizes
    assert [HEADER in headers for _, headers in seen] == [True, False, False]
    assert (captured_streams.stats().not_propagated, captured_streams.stats().errors) == (2, 0)
    assert len(captured_streams.produced(name)) == len(captured_streams.consumed(name)) == 4


@pytest.fixture
def narrow() -> Iterator[Mosquitto]:
    """A broker of MQTT that takes small packets only."""
    with run_mosquitto("max_packet_size 300") as mosquitto:
        yield mosquitto


@pytest.mark.parametrize("qos", list(QoS))
async def test_message_that_the_context_makes_too_large_for_mqtt_is_published_without_it(
    narrow: Mosquitto, captured_streams: Captured, qos: QoS
) -> None:
    """The broker would end the connection, and the message would be lost."""
    name, count = make_name(), Seen()
    broker = MQTTBroker("127.0.0.1", port=narrow.port, middlewares=[DataStreamsMiddleware, Exclaiming], logger=None)

    @broker.subscriber(name, qos=qos)
    async def handle(body: bytes, message: MQTTMessage) -> None:
        count.add((len(body), HEADER in message.headers))

    async with broker:
        await broker.start()
        info = broker.config.broker_config.client.connection_info
        properties = PublishProperties(correlation_data=b"c" * 8)
        packet = Publish(
            topic=name, payload=b"", qos=qos, retain=False, dup=False, packet_id=qos or None, properties=properties
        )
        largest = 300 - len(encode(packet, version="5.0")) + 1  # Mosquitto leaves the bytes of the length out
        sizes = list(range(largest - 100, largest + 1))
        for size in sizes:
            await broker.publish(b"x" * (size - 1), name, qos=qos, correlation_id="c" * 8)
        seen = await count.wait_for(len(sizes))
        assert broker.config.broker_config.client.connection_info is info
        if qos:
            with pytest.raises(MQTTDisconnectedError):
                await broker.publish(b"x" * largest, name, qos=qos, correlation_id="c" * 8)
    assert [size for size, _ in seen] == sizes
    fitting = [has_context for _, has_context in seen]
    assert fitting == sorted(fitting, reverse=True)
    assert 20 < fitting.count(True) < 50
    assert (captured_streams.stats().not_propagated, captured_streams.stats().errors) == (fitting.count(False), 0)
    assert len(captured_streams.produced(name)) == len(captured_streams.consumed(name)) == len(sizes)
