"""Programs on taskiq."""

from __future__ import annotations

import asyncio
from typing import Any

from taskiq import TaskiqMessage, TaskiqMiddleware
from taskiq.api import run_receiver_task

from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from tests.brokers.aws import Aws
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.integrations.pipelines.layers.log import COUNT, SENDER, Follow, Log, Seen, name
from tests.integrations.pipelines.layers.taskiq_brokers import CallbackBroker, KafkaBroker, SqsBroker


async def taskiq_on_aio_pika(rabbitmq: RabbitMQ, follow: Follow) -> Log:
    """taskiq-aio-pika's broker."""
    from taskiq_aio_pika import AioPikaBroker, Exchange, Queue

    unique = name()
    broker = AioPikaBroker(
        rabbitmq.url,
        exchange=Exchange(name=unique),
        task_queues=[Queue(name=unique)],
        dead_letter_queue=Queue(name=f"{unique}.dead"),
    )
    return await _taskiq(follow(broker))


async def taskiq_on_aio_pika_with_callbacks(rabbitmq: RabbitMQ, follow: Follow) -> Log:
    """A broker that consumes by callback: what it receives is delivered in tasks of the client's own."""
    return await _taskiq(follow(CallbackBroker(rabbitmq.url)))


async def taskiq_on_aiokafka(kafka: Kafka, follow: Follow) -> Log:
    """A broker on aiokafka."""
    return await _taskiq(follow(KafkaBroker(kafka, await asyncio.to_thread(kafka.topic))))


async def taskiq_on_aiobotocore(aws: Aws, follow: Follow) -> Log:
    """A broker on aiobotocore."""
    return await _taskiq(follow(SqsBroker(aws, await asyncio.to_thread(aws.queue))))


async def taskiq_twice(rabbitmq: RabbitMQ, follow: Follow) -> Log:
    """A broker that has the middleware twice, with one between them that copies the message."""
    from asyncdsm_taskiq import DataStreamsMiddleware

    class Copies(TaskiqMiddleware):
        def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
            return message.model_copy()

    broker = CallbackBroker(rabbitmq.url).with_middlewares(DataStreamsMiddleware(), Copies(), DataStreamsMiddleware())
    return await _taskiq(follow(broker))


class _Contexts(TaskiqMiddleware):
    """Notes the contexts of tasks."""

    def __init__(self) -> None:
        super().__init__()
        self.by_task: dict[str, str] = {}

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        self.by_task[message.task_id] = message.labels[HEADER]
        return message


async def _taskiq(broker: Any) -> Log:
    log, contexts = Log(), _Contexts()
    broker.add_middlewares(contexts)
    broker.is_worker_process = True

    @broker.task  # type: ignore[untyped-decorator]
    async def task(number: int) -> None:
        log.note(None)

    await broker.startup()
    receiver = asyncio.create_task(run_receiver_task(broker))
    try:
        with current.restored(SENDER):
            for number in range(COUNT):
                await task.kiq(number)
        await log.wait()
    finally:
        receiver.cancel()
        await asyncio.gather(receiver, return_exceptions=True)
        await broker.shutdown()
    both = zip(log, contexts.by_task.values(), strict=True)
    return Log(Seen(seen.current, context) for seen, context in both)
