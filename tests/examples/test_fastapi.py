"""The FastAPI examples: one pathway, and requests that never follow a message of the background task."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, time_ns

import httpx2
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from asyncdsm import Pathway
from asyncdsm.agent.http.server import running_agent
from asyncdsm.core.context import HEADER
from tests.brokers.kafka import Kafka
from tests.brokers.process import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def wait_for(url: str) -> None:
    deadline = monotonic() + 30
    while True:
        try:
            httpx2.get(url)
        except httpx2.HTTPError:
            assert monotonic() < deadline
            threading.Event().wait(0.1)
        else:
            return


@pytest.mark.parametrize("example", ["fastapi_orders", "fastapi_background"])
async def test_fastapi_example_delivers_one_pathway(kafka: Kafka, example: str) -> None:
    import anyio

    async with running_agent() as agent:
        port = free_port()
        environment = {**os.environ, "KAFKA": kafka.bootstrap, "DD_SERVICE": "shop", "DD_TRACE_AGENT_URL": agent.url}
        process = await anyio.to_thread.run_sync(
            lambda: subprocess.Popen(
                [sys.executable, "-m", "uvicorn", f"examples.clients.{example}:app", "--port", str(port)],
                cwd=ROOT,
                env=environment,
                stderr=subprocess.DEVNULL,
            )
        )
        try:
            await anyio.to_thread.run_sync(wait_for, f"http://127.0.0.1:{port}/docs")
            await exercise(kafka, f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            await anyio.to_thread.run_sync(process.wait)
        async with httpx2.AsyncClient(base_url=agent.url) as client:
            shown = (await client.get("/api/topology")).json()
    by_queue = {(edge["queue"], edge["direction"]): edge for edge in shown["edges"]}
    assert by_queue["orders", "out"]["count"] == 50
    assert by_queue["invoices", "in"]["count"] == by_queue["confirmations", "out"]["count"] == 50
    parents = {point["parent"] for point in shown["pathways"] if "topic:orders" in point["tags"]}
    assert parents == {"0"}  # no request follows a message that the background task consumed


async def exercise(kafka: Kafka, url: str) -> None:
    async with (
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer,
        AIOKafkaConsumer("confirmations", bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as consumer,
        httpx2.AsyncClient(base_url=url) as client,
    ):
        for number in range(50):
            header = Pathway(number + 1, time_ns(), time_ns()).encode_base64().encode()
            await producer.send_and_wait("invoices", str(number).encode(), headers=[(HEADER, header)])
            assert (await client.post(f"/orders/{number}")).status_code == 202
        for _ in range(50):
            assert HEADER in dict((await consumer.getone()).headers)
