"""Actors for a worker: `dramatiq tests.integrations.dramatiq.app`. The program does not mention asyncdsm."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO

QUEUE: str = os.environ.get("QUEUE", "tasks")

broker: RedisBroker = RedisBroker(url=os.environ.get("REDIS", "redis://localhost/0"))
broker.add_middleware(AsyncIO())
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name=QUEUE)
def second(number: int) -> None:
    """Leave a mark that it was here."""
    with open(os.environ["DONE"], "ab", buffering=0) as done:
        done.write(b".")


@dramatiq.actor(queue_name=QUEUE)
async def first(number: int) -> None:
    """Pass it on."""
    second.send(number)
