"""A FastAPI service that produces an order for each request, and consumes what billing answers.

DD_SERVICE=shop KAFKA=localhost:9092 uvicorn examples.clients.fastapi_orders:app
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastapi import FastAPI, Request

import asyncdsm

KAFKA = os.environ.get("KAFKA", "localhost:9092")


async def confirm(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
    """Confirm every invoice: the parent of a confirmation is its invoice, whatever requests run meanwhile."""
    async for invoice in consumer:
        await producer.send_and_wait("confirmations", invoice.value)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Measure, and consume in the background, for as long as the app lives."""
    async with (
        asyncdsm.DataStreams(),
        asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=KAFKA)) as producer,
        asyncdsm.wrap(
            AIOKafkaConsumer("invoices", bootstrap_servers=KAFKA, group_id="shop", auto_offset_reset="earliest")
        ) as consumer,
    ):
        confirming = asyncio.create_task(confirm(consumer, producer))
        yield {"producer": producer}
        confirming.cancel()
        await asyncio.gather(confirming, return_exceptions=True)


app: FastAPI = FastAPI(lifespan=lifespan)


@app.post("/orders/{number}", status_code=202)
async def order(number: int, request: Request) -> dict[str, int]:
    """Take an order."""
    await request.state.producer.send_and_wait("orders", str(number).encode())
    return {"order": number}
