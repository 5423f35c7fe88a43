"""Tasks for a worker: `taskiq worker tests.integrations.taskiq.app:broker`."""

from __future__ import annotations

import os

from asyncdsm_taskiq import DataStreamsMiddleware
from taskiq_aio_pika import AioPikaBroker, Exchange, Queue

QUEUE = os.environ.get("QUEUE", "tasks")

broker: AioPikaBroker = AioPikaBroker(
    os.environ.get("AMQP", "amqp://localhost"),
    exchange=Exchange(name=QUEUE),
    task_queues=[Queue(name=QUEUE)],
    dead_letter_queue=Queue(name=f"{QUEUE}.dead"),
)
broker.add_middlewares(DataStreamsMiddleware())


@broker.task
async def second(number: int) -> None:
    """Leave a mark that it was here."""
    with open(os.environ["DONE"], "ab", buffering=0) as done:  # noqa: ASYNC230
        done.write(b".")


@broker.task
async def first(number: int) -> None:
    """Pass it on."""
    await second.kiq(number)
