"""The shop: each request writes an order to Kafka."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Request


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Have one producer for all requests."""
    async with AIOKafkaProducer(bootstrap_servers=os.environ["KAFKA"]) as producer:
        yield {"producer": producer}


app: FastAPI = FastAPI(lifespan=lifespan)


@app.post("/orders/{number}", status_code=202)
async def order(number: int, request: Request) -> dict[str, int]:
    """Take an order."""
    await request.state.producer.send_and_wait("orders", str(number).encode())
    return {"order": number}
