"""FastStream on a real Kafka, with both of its clients, and on a real RabbitMQ."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiokafka
import pytest
from asyncdsm_faststream import DataStreamsMiddleware
from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker as ConfluentBroker
from faststream.kafka import KafkaBroker, TestKafkaBroker
from faststream.rabbit import RabbitBroker, RabbitExchange

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.pathway import HEADER
from asyncdsm.testing import Captured
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.intake import running_intake

TestKafkaBroker.__test__ = False
ANOTHERS = Pathway(99, 1, 1)


class Setup:
    """A broker with the middleware, and names to use on it."""

    def __init__(self, broker: Any, name: Callable[[], str], **consuming: Any) -> None:
        self.broker, self.name, self.consuming = broker, name, consuming

    def subscriber(self, name: str, **options: Any) -> Any:
        has_groups = not isinstance(self.broker, RabbitBroker)
        grouped = {"group_id": f"group-{name}"} if options.pop("grouped", False) and has_groups else {}
        return self.broker.subscriber(name, **self.consuming, **grouped, **options)


@pytest.fixture(params=["aiokafka", "confluent", "rabbit"])
def setup(request: pytest.FixtureRequest) -> Setup:
    if request.param == "rabbit":
        rabbitmq: RabbitMQ = request.getfixturevalue("rabbitmq")
        rabbit = RabbitBroker(rabbitmq.url, middlewares=[DataStreamsMiddleware], logger=None)
        return Setup(rabbit, lambda: f"queue-{uuid4().hex[:12]}")
    kafka: Kafka = request.getfixturevalue("kafka")
    options: dict[str, Any] = {"middlewares": [DataStreamsMiddleware], "logger": None}
    if request.param == "aiokafka":
        broker: Any = KafkaBroker(kafka.bootstrap, **options)
    else:
        broker = ConfluentBroker(kafka.bootstrap, allow_auto_create_topics=False, **options)
    return Setup(broker, kafka.topic, auto_offset_reset="earliest")


@asynccontextmanager
async def running(setup: Setup) -> AsyncIterator[None]:
    await setup.broker.start()
    try:
        yield
    finally:
        await setup.broker.stop()


class Count:
    """Waits until something has happened so many times."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self._changed = asyncio.Event()

    def note(self, what: Any) -> None:
        self.seen.append(what)
        self._changed.set()

    async def reached(self, count: int) -> list[Any]:
        async with asyncio.timeout(20):
            while len(self.seen) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.seen


def headers_of(message: Any) -> dict[str, Any]:
    return dict(message.headers)


async def test_published_and_passed_on(setup: Setup, captured_streams: Captured) -> None:
    first, second, count = setup.name(), setup.name(), Count()

    @setup.subscriber(first, grouped=True)
    @setup.broker.publisher(second)
    async def pass_on(number: int) -> int:
        assert asyncdsm.current_pathway() is not None
        return number + 1

    @setup.subscriber(second)
    async def end(number: int) -> None:
        count.note(number)

    given = {"mine": "x"}
    async with running(setup):
        for number in range(3):
            await setup.broker.publish(number, first, headers=given)
        assert await count.reached(3) == [1, 2, 3]
    assert given == {"mine": "x"}
    kind = "rabbitmq" if isinstance(setup.broker, RabbitBroker) else "kafka"
    out, into = captured_streams.produced(first), captured_streams.consumed(first)
    passed, ended = captured_streams.produced(second), captured_streams.consumed(second)
    assert [len(made) for made in (out, into, passed, ended)] == [3, 3, 3, 3]
    assert {made.tag("type") for made in captured_streams.checkpoints} == {kind}
    assert {made.parent for made in out} == {0}
    for before, after in zip((out, into, passed), (into, passed, ended), strict=True):
        assert all(made.follows(before[0]) for made in after)
    if kind == "kafka":
        assert into[0].tag("group") == f"group-{first}"
    assert all(made.size for made in into)


async def test_each_message_of_many_at_once_has_its_own_pathway(setup: Setup, captured_streams: Captured) -> None:
    name, other, count, many = setup.name(), setup.name(), Count(), 40
    workers: dict[str, Any] = {} if isinstance(setup.broker, RabbitBroker) else {"max_workers": 10}
    if isinstance(setup.broker, KafkaBroker):
        workers["ack_policy"] = AckPolicy.ACK_FIRST

    @setup.subscriber(name, **workers, grouped=True)
    async def handle(number: int) -> None:
        before = asyncdsm.current_pathway()
        await asyncio.sleep(0.001 * (number % 7))
        assert asyncdsm.current_pathway() == before
        await setup.broker.publish(number, other)
        count.note((number, before))

    async with running(setup):
        for number in range(many):
            with current.restored(Pathway(1000 + number, 1, 1)):
                await setup.broker.publish(number, name)
        seen = await count.reached(many)
    sent = {made.parent - 1000: made.hash for made in captured_streams.produced(name)}
    came = {made.parent: made.hash for made in captured_streams.consumed(name)}
    assert len({pathway.hash for _, pathway in seen}) == many
    assert all(pathway.hash == came[sent[number]] for number, pathway in seen)
    assert {made.parent for made in captured_streams.produced(other)} == set(came.values())


async def test_a_handler_leaves_nothing_behind(setup: Setup, captured_streams: Captured) -> None:
    name, other, count = setup.name(), setup.name(), Count()

    @setup.subscriber(name)
    async def handle(number: int) -> None:
        count.note(asyncdsm.current_pathway())
        if number == 0:
            raise ZeroDivisionError

    async with running(setup):
        await setup.broker.publish(0, name)
        await setup.broker.publish(1, name)
        seen = await count.reached(2)
        current.set_current(None)
        await setup.broker.publish(2, other)
    assert len(seen) == 2
    assert captured_streams.produced(other)[0].parent == 0


async def test_get_one_and_iteration(setup: Setup, captured_streams: Captured) -> None:
    name = setup.name()
    subscriber = setup.subscriber(name)
    async with running(setup):
        for number in range(3):
            await setup.broker.publish(number, name)
        message = await subscriber.get_one(timeout=10)
        pathways = [asyncdsm.current_pathway()]
        assert HEADER in message.headers
        with asyncdsm.using(message) as pathway:
            assert pathway == pathways[0]
        async with asyncio.timeout(20):
            async for _ in subscriber:
                pathways.append(asyncdsm.current_pathway())
                if len(pathways) == 3:
                    break
    consumed = captured_streams.consumed(name)
    assert [made.hash for made in consumed] == [pathway and pathway.hash for pathway in pathways]


@pytest.mark.parametrize("setup", ["aiokafka", "confluent"], indirect=True)  # RabbitMQ has no batches
async def test_batches(setup: Setup, captured_streams: Captured) -> None:
    name, other, count = setup.name(), setup.name(), Count()

    @setup.subscriber(name, batch=True)
    async def handle(numbers: list[int]) -> None:
        count.note((numbers, asyncdsm.current_pathway()))
        await setup.broker.publish_batch(*numbers, topic=other)

    async with running(setup):
        current.set_current(ANOTHERS)
        await setup.broker.publish_batch(1, 2, 3, topic=name)
        seen = await count.reached(1)
        async with asyncio.timeout(20):
            while sum(len(numbers) for numbers, _ in seen) < 3 or len(captured_streams.produced(other)) < 3:
                await asyncio.sleep(0.01)
    assert [made.parent for made in captured_streams.produced(name)] == [99, 99, 99]
    assert {made.parent for made in captured_streams.consumed(name)} == {captured_streams.produced(name)[0].hash}
    assert len(captured_streams.consumed(name)) == 3
    for numbers, pathway in seen:
        assert (pathway is None) == (len(numbers) > 1)


async def test_replies(rabbitmq: RabbitMQ, captured_streams: Captured) -> None:
    broker: Any = RabbitBroker(rabbitmq.url, middlewares=[DataStreamsMiddleware], logger=None)
    setup = Setup(broker, lambda: f"queue-{uuid4().hex[:12]}")
    asked, answers, count = setup.name(), setup.name(), Count()

    @setup.subscriber(asked)
    async def answer(number: int) -> int:
        return number + 1

    @setup.subscriber(answers)
    async def answered(number: int) -> None:
        count.note(number)

    async with running(setup):
        reply = await broker.request(1, asked, timeout=10)
        assert (await reply.decode(), asyncdsm.current_pathway()) == (2, None)
        await broker.publish(2, asked, reply_to=answers)
        await count.reached(1)
    assert [len(captured_streams.produced(name)) for name in (asked, answers)] == [2, 1]
    assert [len(captured_streams.consumed(name)) for name in (asked, answers)] == [2, 1]
    assert captured_streams.produced(answers)[0].follows(captured_streams.consumed(asked)[1])
    assert len(captured_streams.checkpoints) == 6


async def test_what_a_handler_receives_itself_is_not_its_message(
    rabbitmq: RabbitMQ, captured_streams: Captured
) -> None:
    broker: Any = RabbitBroker(rabbitmq.url, middlewares=[DataStreamsMiddleware], logger=None)
    names, count = [f"queue-{uuid4().hex[:12]}" for _ in range(3)], Count()

    @broker.subscriber(names[0])
    async def ask(number: int) -> None:
        before = asyncdsm.current_pathway()
        await broker.request(number, names[1], timeout=10)
        asked = asyncdsm.current_pathway()
        await fetched.get_one(timeout=10)
        count.note((before, asked, asyncdsm.current_pathway()))

    @broker.subscriber(names[1])
    async def answer(number: int) -> int:
        return number

    fetched = broker.subscriber(names[2])
    async with running(Setup(broker, str)):
        await broker.publish(1, names[2])
        await broker.publish(1, names[0])
        ((before, asked, got),) = await count.reached(1)
    assert [len(captured_streams.consumed(name)) for name in names] == [1, 1, 1]
    assert before == asked
    assert got.hash == captured_streams.consumed(names[2])[0].hash


async def test_exchanges(rabbitmq: RabbitMQ, captured_streams: Captured) -> None:
    broker: Any = RabbitBroker(rabbitmq.url, middlewares=[DataStreamsMiddleware], logger=None)
    exchange, queue, count = RabbitExchange(f"exchange-{uuid4().hex[:8]}"), f"queue-{uuid4().hex[:8]}", Count()

    @broker.subscriber(queue, exchange)
    async def handle(number: int) -> None:
        count.note(number)

    async with running(Setup(broker, str)):
        await broker.publish(1, queue, exchange)
        await count.reached(1)
    (out,), (into,) = captured_streams.produced(), captured_streams.consumed(queue)
    assert (out.tag("exchange"), out.tag("has_routing_key"), out.topic) == (exchange.name, "true", None)
    assert into.follows(out)


@pytest.mark.parametrize(
    ("setup", "client"), [("aiokafka", "aiokafka"), ("confluent", "confluent_kafka")], indirect=["setup"]
)
async def test_with_the_client_below_followed_too_each_message_counts_once(
    kafka: Kafka, setup: Setup, client: str, captured_streams: Captured
) -> None:
    broker, count = setup.broker, Count()
    name, batches, other = setup.name(), setup.name(), setup.name()

    @setup.subscriber(name, grouped=True)
    @broker.publisher(other)
    async def pass_on(number: int) -> int:
        count.note(asyncdsm.current_pathway())
        return number

    @setup.subscriber(batches, batch=True)
    async def handle(numbers: list[int]) -> None:
        for number in numbers:
            count.note(number)

    asyncdsm.instrument(client)
    try:
        async with running(setup):
            await broker.publish(1, name)
            await broker.publish_batch(1, 2, topic=batches)
            async with aiokafka.AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
                with current.suppress_nested_checkpoints():  # as from somebody who is not followed: without a context
                    await producer.send_and_wait(name, b"1")
            await count.reached(4)
            async with asyncio.timeout(20):
                while len(captured_streams.produced(other)) < 2:
                    await asyncio.sleep(0.01)
    finally:
        asyncdsm.uninstrument(client)
    bare = aiokafka.AIOKafkaConsumer(
        name, batches, other, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest"
    )
    async with bare:
        on_broker = [await bare.getone() for _ in range(6)]
    assert sorted([key for key, _ in record.headers].count(HEADER) for record in on_broker) == [0, 1, 1, 1, 1, 1]
    produced, consumed = {name: 1, batches: 2, other: 2}, {name: 2, batches: 2, other: 0}
    assert {topic: len(captured_streams.produced(topic)) for topic in produced} == produced
    assert {topic: len(captured_streams.consumed(topic)) for topic in consumed} == consumed
    passed_on = {made.parent for made in captured_streams.produced(other)}
    assert passed_on == {made.hash for made in captured_streams.consumed(name)}


async def test_with_aio_pika_followed_too_each_message_counts_once(
    rabbitmq: RabbitMQ, captured_streams: Captured
) -> None:
    broker: Any = RabbitBroker(rabbitmq.url, middlewares=[DataStreamsMiddleware], logger=None)
    names = [f"queue-{uuid4().hex[:12]}" for _ in range(3)]
    count = Count()

    @broker.subscriber(names[0])
    @broker.publisher(names[1])
    async def pass_on(number: int) -> int:
        count.note((number, asyncdsm.current_pathway()))
        return number

    fetched = broker.subscriber(names[2])
    asyncdsm.instrument("aio_pika")
    try:
        async with running(Setup(broker, str)):
            for number in range(3):
                with current.restored(Pathway(1000 + number, 1, 1)):
                    await broker.publish(number, names[0])
            seen = await count.reached(3)
            await broker.publish(1, names[2])
            message = await fetched.get_one(timeout=5)
            assert message.headers[HEADER]
            current.set_current(None)
    finally:
        asyncdsm.uninstrument("aio_pika")
    assert [len(captured_streams.produced(name)) for name in names] == [3, 3, 1]
    assert [len(captured_streams.consumed(name)) for name in names] == [3, 0, 1]
    sent = {made.hash: made.parent - 1000 for made in captured_streams.produced(names[0])}
    came = {made.hash: sent[made.parent] for made in captured_streams.consumed(names[0])}
    assert all(came[pathway.hash] == number for number, pathway in seen)
    assert sorted(came[made.parent] for made in captured_streams.produced(names[1])) == [0, 1, 2]


async def test_wrapped_and_instrumented(kafka: Kafka, captured_streams: Captured) -> None:
    count = Count()

    async def once(prepare: Callable[[Any], Awaitable[None] | None]) -> None:
        broker: Any = KafkaBroker(kafka.bootstrap, logger=None)
        prepare(broker)
        name = kafka.topic()

        @broker.subscriber(name, auto_offset_reset="earliest")
        async def handle(number: int) -> None:
            count.note(number)

        async with running(Setup(broker, str)):
            await broker.publish(1, name)
            await count.reached(1)
        assert [len(captured_streams.produced(name)), len(captured_streams.consumed(name))] == [1, 1]
        count.seen.clear()

    await once(lambda broker: asyncdsm.wrap(asyncdsm.wrap(broker)))
    asyncdsm.instrument("faststream")
    try:
        await once(lambda broker: None)
        await once(asyncdsm.wrap)
    finally:
        asyncdsm.uninstrument("faststream")


async def test_an_app_measures_while_it_runs(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_under_its_test_broker(captured_streams: Captured) -> None:
    broker: Any = KafkaBroker(middlewares=[DataStreamsMiddleware], logger=None)

    @broker.subscriber("first")
    @broker.publisher("second")
    async def pass_on(number: int) -> int:
        return number

    @broker.subscriber("second")
    async def end(number: int) -> None:
        pass

    async with TestKafkaBroker(broker):
        await broker.publish(1, "first")
        assert asyncdsm.current_pathway() is None
    (out,), (into,) = captured_streams.produced("first"), captured_streams.consumed("first")
    (passed,), (ended,) = captured_streams.produced("second"), captured_streams.consumed("second")
    assert into.follows(out)
    assert passed.follows(into)
    assert ended.follows(passed)


async def test_while_nothing_runs_no_message_is_touched(kafka: Kafka) -> None:
    broker: Any = KafkaBroker(kafka.bootstrap, middlewares=[DataStreamsMiddleware], logger=None)
    setup, count = Setup(broker, kafka.topic, auto_offset_reset="earliest"), Count()
    name = setup.name()

    @setup.subscriber(name)
    async def handle(body: str, message: Any = None) -> None:
        count.note(broker.context.get_local("message").headers)

    async with running(setup):
        await broker.publish("x", name)
        (headers,) = await count.reached(1)
    assert HEADER not in headers
