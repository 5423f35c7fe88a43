"""`service.py SOURCE TARGET COUNT`: a relay at all brokers that asyncdsm knows. See `tests/interop/relay.py`.

Beside those of `asyncdsm_relay.py`, SOURCE and TARGET may be `http:PORT`, `nats:SUBJECT`, `redis:STREAM`,
`google-pubsub:NAME` of a topic and its subscription, `servicebus:QUEUE` or `mqtt:TOPIC`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt
import httpx2
import nats
import uvicorn
from asyncdsm_asgi import DataStreamsMiddleware
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from google.pubsub_v1 import PubsubMessage
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import asyncdsm
from tests.all_brokers.brokers import PROJECT
from tests.integrations.pubsub.clients import make_async_publisher, make_async_subscriber
from tests.interop import asyncdsm_relay
from tests.interop.asyncdsm_relay import GIVE_UP_SECONDS, SOURCES, TARGETS, Send, report

GROUP = os.environ["DD_SERVICE"]
PATH = "/orders"


@asynccontextmanager
async def write_http(port: str) -> AsyncIterator[Send]:
    async with asyncdsm.wrap(httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}")) as client:
        yield lambda body: client.post(PATH, content=body)


async def serve_http(port: str, count: int, send: Send) -> None:
    """Answer as many requests, each of them when its body was sent on."""
    left = count

    async def take(request: Request) -> Response:
        nonlocal left
        await send(await request.body())
        left -= 1
        server.should_exit = not left
        return Response(status_code=202)

    app = DataStreamsMiddleware(Starlette(routes=[Route(PATH, take, methods=["POST"])]))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=int(port), log_level="error"))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        report("ready")


@asynccontextmanager
async def write_nats(subject: str) -> AsyncIterator[Send]:
    async with await nats.connect(os.environ["NATS"]) as connection:
        js = asyncdsm.wrap(connection).jetstream()
        yield lambda body: js.publish(subject, body)


async def read_nats(subject: str, count: int) -> AsyncIterator[bytes]:
    async with await nats.connect(os.environ["NATS"]) as connection:
        subscription = await asyncdsm.wrap(connection).jetstream().pull_subscribe(subject, durable=GROUP)
        report("ready")
        for _ in range(count):
            (message,) = await subscription.fetch(timeout=GIVE_UP_SECONDS)
            yield message.data
            await message.ack()


@asynccontextmanager
async def write_redis(stream: str) -> AsyncIterator[Send]:
    async with asyncdsm.wrap(Redis.from_url(os.environ["REDIS_URL"])) as client:
        yield lambda body: client.xadd(stream, {"body": body})


async def read_redis(stream: str, count: int) -> AsyncIterator[bytes]:
    async with asyncdsm.wrap(Redis.from_url(os.environ["REDIS_URL"])) as client:
        await client.xgroup_create(stream, GROUP, id="0", mkstream=True)
        report("ready")
        while count:
            answer: Any = await client.xreadgroup(GROUP, "one", {stream: ">"}, count=1, block=1000)
            for _, ((entry, fields),) in answer:
                assert list(fields) == [b"body"]
                yield fields[b"body"]
                await client.xack(stream, GROUP, entry)
                count -= 1


@asynccontextmanager
async def write_pubsub(name: str) -> AsyncIterator[Send]:
    publisher = asyncdsm.wrap(make_async_publisher(os.environ["PUBSUB"]))
    yield lambda body: publisher.publish(topic=f"{PROJECT}/topics/{name}", messages=[PubsubMessage(data=body)])
    await publisher.transport.close()


async def read_pubsub(name: str, count: int) -> AsyncIterator[bytes]:
    subscription = f"{PROJECT}/subscriptions/{name}"
    subscriber = asyncdsm.wrap(make_async_subscriber(os.environ["PUBSUB"]))
    report("ready")
    while count:
        answer = await subscriber.pull(subscription=subscription, max_messages=1)
        for received in answer.received_messages:
            yield received.message.data
            await subscriber.acknowledge(subscription=subscription, ack_ids=[received.ack_id])
            count -= 1
    await subscriber.transport.close()


@asynccontextmanager
async def write_servicebus(queue: str) -> AsyncIterator[Send]:
    async with (
        asyncdsm.wrap(ServiceBusClient.from_connection_string(os.environ["SERVICEBUS"])) as client,
        client.get_queue_sender(queue) as sender,
    ):
        yield lambda body: sender.send_messages(ServiceBusMessage(body))


async def read_servicebus(queue: str, count: int) -> AsyncIterator[bytes]:
    async with (
        asyncdsm.wrap(ServiceBusClient.from_connection_string(os.environ["SERVICEBUS"])) as client,
        client.get_queue_receiver(queue) as receiver,
    ):
        report("ready")
        for _ in range(count):
            message = await anext(receiver)
            yield b"".join(message.body)
            await receiver.complete_message(message)


def open_mqtt() -> aiomqtt.Client:
    """Return a client of MQTT 5."""
    port = int(os.environ["MQTT_PORT"])
    return asyncdsm.wrap(aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5))


@asynccontextmanager
async def write_mqtt(topic: str) -> AsyncIterator[Send]:
    async with open_mqtt() as client:
        yield lambda body: client.publish(topic, body, qos=1)


async def read_mqtt(topic: str, count: int) -> AsyncIterator[bytes]:
    async with open_mqtt() as client:
        await client.subscribe(topic, qos=1)
        report("ready")
        for _ in range(count):
            message = await anext(client.messages)
            assert isinstance(message.payload, bytes)
            yield message.payload


async def main(source: str, target: str, count: int) -> None:
    """Do what a relay does; of a source that is a server, each request is sent on as it comes."""
    kind, _, port = source.partition(":")
    if kind != "http":
        await asyncdsm_relay.main(source, target, count)
        return
    writes, _, destination = target.partition(":")
    async with asyncio.timeout(GIVE_UP_SECONDS), asyncdsm.DataStreams(), TARGETS[writes](destination) as send:
        await serve_http(port, count, send)
    report("done")


SOURCES.update(
    {
        "google-pubsub": read_pubsub,
        "mqtt": read_mqtt,
        "nats": read_nats,
        "redis": read_redis,
        "servicebus": read_servicebus,
    }
)
TARGETS.update(
    {
        "google-pubsub": write_pubsub,
        "http": write_http,
        "mqtt": write_mqtt,
        "nats": write_nats,
        "redis": write_redis,
        "servicebus": write_servicebus,
    }
)

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
