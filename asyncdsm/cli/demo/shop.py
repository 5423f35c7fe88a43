"""The service shop: a FastAPI app that produces an order for each request."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Request

import asyncdsm
from asyncdsm.cli.demo.service import ORDERS, announce, bootstrap_servers, run_main, wait_for_parent_exit


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, AIOKafkaProducer]]:
    """Run a DataStreams and a producer as long as the app runs."""
    producer = asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=bootstrap_servers()))
    async with asyncdsm.DataStreams(), producer:
        yield {"producer": producer}


app: FastAPI = FastAPI(lifespan=lifespan)


@app.post("/orders/{number}", status_code=202)
async def order(number: int, request: Request) -> dict[str, int]:
    """Accept an order."""
    await request.state.producer.send_and_wait(ORDERS, json.dumps({"order": number}).encode())
    return {"order": number}


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(server: _Server, listener: socket.socket) -> None:
    with suppress(SystemExit):  # uvicorn exits so if the app does not start
        await server.serve(sockets=[listener])


async def serve_until_exit() -> None:
    """Serve on a free port until the demo ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = _Server(uvicorn.Config(app, log_level="warning", access_log=False))
    serving = asyncio.create_task(_serve(server, listener))
    while not server.started:
        if serving.done():
            sys.exit("asyncdsm demo: shop: the app did not start; see the message of uvicorn above")
        await asyncio.sleep(0.05)
    announce(f"http://127.0.0.1:{listener.getsockname()[1]}")
    await wait_for_parent_exit()
    server.should_exit = True
    await serving


if __name__ == "__main__":
    run_main(serve_until_exit)
