"""The same shop for servers on trio: with a client that has no event loop, and checkpoints by hand."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import confluent_kafka
import trio
from asyncdsm_asgi import DataStreamsMiddleware
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import asyncdsm

KAFKA, ORDERS, CONFIRMATIONS = (os.environ.get(name, "") for name in ("KAFKA", "ORDERS", "CONFIRMATIONS"))


def send(producer: confluent_kafka.Producer, topic: str, value: bytes) -> None:
    headers = dict[str, str]()
    asyncdsm.set_produce_checkpoint("kafka", topic, headers.__setitem__)
    producer.produce(topic, value, headers=list(headers.items()))


async def confirm(consumer: confluent_kafka.Consumer, producer: confluent_kafka.Producer) -> None:
    while True:
        order: Any = await trio.to_thread.run_sync(consumer.poll, 0.05)
        if order is not None and not order.error():
            asyncdsm.set_consume_checkpoint("kafka", ORDERS, dict(order.headers() or []).get)
            await trio.lowlevel.checkpoint()
            send(producer, CONFIRMATIONS, order.value())
            producer.poll(0)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
    producer = confluent_kafka.Producer({"bootstrap.servers": KAFKA, "linger.ms": 1})
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": KAFKA, "group.id": ORDERS, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    consumer.assign([confluent_kafka.TopicPartition(ORDERS, 0, 0)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(confirm, consumer, producer)
        yield {"producer": producer}
        nursery.cancel_scope.cancel()
    await trio.to_thread.run_sync(producer.flush, 5)
    consumer.close()


async def ready(_: Request) -> Response:
    return Response()


async def order(request: Request) -> Response:
    await trio.sleep(0.01)
    send(request.state.producer, ORDERS, request.path_params["number"].encode())
    request.state.producer.poll(0)
    return Response(status_code=202)


app: Starlette = Starlette(
    lifespan=lifespan, routes=[Route("/ready", ready), Route("/orders/{number}", order, methods=["POST"])]
)
app.add_middleware(DataStreamsMiddleware)
