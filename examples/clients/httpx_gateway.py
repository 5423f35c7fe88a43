"""A FastAPI service that passes each order on to the next service. Its requests carry the context of what they follow.

DD_SERVICE=gateway BILLING=http://billing:8000 uvicorn httpx_gateway:app
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from asyncdsm_asgi import DataStreamsMiddleware
from fastapi import FastAPI, Request

import asyncdsm


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Keep one client while the app lives. Only a client that is wrapped sends a context."""
    async with asyncdsm.wrap(httpx2.AsyncClient(base_url=os.environ["BILLING"])) as billing:
        yield {"billing": billing}


app: FastAPI = FastAPI(lifespan=lifespan)
app.add_middleware(DataStreamsMiddleware)


@app.post("/orders/{number}", status_code=202)
async def order(number: int, request: Request) -> dict[str, int]:
    """Pass an order on."""
    answer = await request.state.billing.post(f"/orders/{number}")
    answer.raise_for_status()
    return {"order": number}
