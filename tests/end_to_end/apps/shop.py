"""Each request produces an order; a background task confirms every order. For servers on asyncio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastapi import FastAPI, Request

KAFKA, ORDERS, CONFIRMATIONS = (os.environ.get(name, "") for name in ("KAFKA", "ORDERS", "CONFIRMATIONS"))
BARE = "BARE" in os.environ
"""Without a word of asyncdsm, for `asyncdsm run`."""


def follow(client: Any) -> Any:
    if BARE:
        return client
    import asyncdsm

    return asyncdsm.wrap(client)


async def confirm(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
    async for order in consumer:
        await asyncio.sleep(0)
        await producer.send(CONFIRMATIONS, order.value)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    async with (
        follow(AIOKafkaProducer(bootstrap_servers=KAFKA)) as producer,
        follow(AIOKafkaConsumer(ORDERS, bootstrap_servers=KAFKA, auto_offset_reset="earliest")) as consumer,
    ):
        confirming = asyncio.create_task(confirm(consumer, producer))
        yield {"producer": producer}
        confirming.cancel()
        await asyncio.gather(confirming, return_exceptions=True)


app: FastAPI = FastAPI(lifespan=lifespan)
if not BARE:
    from asyncdsm_asgi import DataStreamsMiddleware

    app.add_middleware(DataStreamsMiddleware)


@app.get("/ready")
async def ready() -> None:
    pass


@app.post("/orders/{number}", status_code=202)
async def order(number: int, request: Request) -> None:
    await asyncio.sleep(0.01)
    await request.state.producer.send_and_wait(ORDERS, str(number).encode())
