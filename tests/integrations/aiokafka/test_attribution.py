"""The right parent, whatever runs at the same time: checked on the broker and at the agent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from time import time_ns
from typing import Any, NamedTuple

import httpx2
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from asyncdsm_aiokafka.client import client_of

import asyncdsm
from asyncdsm import DataStreams, Pathway, Settings
from asyncdsm.agent.http.server import RunningAgent, running_agent
from asyncdsm.core.context import HEADER, node_hash, pathway_hash
from asyncdsm.integration.registry import pathway_of
from asyncdsm.streams import running_streams
from tests.brokers.kafka import Kafka
from tests.integrations.aiokafka.clients import Topic


class Line(NamedTuple):
    """A pipeline with one context for each message, so that a wrong parent cannot look right."""

    agent: RunningAgent
    kafka: Kafka
    source: str
    target: str
    producer: AIOKafkaProducer
    consumer: AIOKafkaConsumer

    async def fill(self, count: int) -> None:
        """Put messages on the source, number n with the pathway hash n + 1."""
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap) as bare:
            for number in range(count):
                header = Pathway(number + 1, time_ns(), time_ns()).encode_base64().encode()
                await bare.send(self.source, str(number).encode(), headers=[(HEADER, header)])

    async def forward(self, record: Any) -> None:
        """Do some work and produce what the record says."""
        for _ in range(random.randrange(3)):
            await asyncio.sleep(random.random() / 100)
        await self.producer.send_and_wait(self.target, record.value)

    async def check(self, count: int) -> None:
        """Compare every produced message, and the agent's rows, with the parents that they must have."""
        cluster = self._tags()
        consumed = node_hash("line", None, ("direction:in", "group:g", f"topic:{self.source}", "type:kafka", *cluster))
        produced = node_hash("line", None, ("direction:out", f"topic:{self.target}", "type:kafka", *cluster))
        ways = [pathway_hash(consumed, number + 1) for number in range(count)]
        expected = {str(number): pathway_hash(produced, ways[number]) for number in range(count)}
        assert await self._on_broker(count) == expected
        streams = running_streams()
        assert streams is not None
        await streams.flush()
        async with httpx2.AsyncClient(base_url=self.agent.url) as client:
            shown = (await client.get("/api/topology")).json()
        rows = {
            (int(row["hash"]), int(row["parent"])) for row in shown["pathways"] if f"topic:{self.target}" in row["tags"]
        }
        assert rows == {(pathway_hash(produced, way), way) for way in ways}

    def _tags(self) -> tuple[str, ...]:
        cluster_id = client_of(self.producer.client.cluster).cluster_id
        return (f"kafka_cluster_id:{cluster_id}",) if cluster_id else ()

    async def _on_broker(self, count: int) -> dict[str, int]:
        found = {}
        async with AIOKafkaConsumer(
            self.target, bootstrap_servers=self.kafka.bootstrap, auto_offset_reset="earliest"
        ) as bare:
            for _ in range(count):
                record = await bare.getone()
                pathway = Pathway.decode_base64(dict(record.headers)[HEADER])
                assert pathway is not None
                found[(record.value or b"").decode()] = pathway.hash
        return found


@pytest.fixture
async def line(kafka: Kafka, topic: Topic) -> AsyncIterator[Line]:
    source, target = topic(prefix="source"), topic(prefix="target")
    consumer = AIOKafkaConsumer(
        source,
        bootstrap_servers=kafka.bootstrap,
        group_id="g",
        auto_offset_reset="earliest",
    )
    async with (
        running_agent() as agent,
        DataStreams(Settings(service="line", agent_url=agent.url)),
        asyncdsm.wrap(AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer,
        asyncdsm.wrap(consumer),
    ):
        yield Line(agent, kafka, source, target, producer, consumer)


@pytest.mark.parametrize("tasks", [1, 2, 10, 100, 1000])
async def test_parent_is_right_with_many_tasks_on_one_loop(line: Line, tasks: int) -> None:
    """Each takes a message itself, waits, and produces."""

    async def work() -> None:
        await line.forward(await line.consumer.getone())

    await line.fill(tasks)
    await asyncio.gather(*[work() for _ in range(tasks)])
    await line.check(tasks)


async def test_parent_is_right_with_a_task_for_each_message(line: Line) -> None:
    await line.fill(100)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(100):
            tasks.create_task(line.forward(await line.consumer.getone()))
    await line.check(100)


async def batches_of(line: Line, count: int) -> AsyncIterator[list[Any]]:
    seen = 0
    while seen < count:
        for records in (await line.consumer.getmany(timeout_ms=1000, max_records=17)).values():
            seen += len(records)
            yield records


async def test_parent_is_right_in_a_plain_loop_over_batches(line: Line) -> None:
    await line.fill(60)
    async for records in batches_of(line, 60):
        for record in records:
            await line.forward(record)
        assert asyncdsm.current_pathway() is None
    await line.check(60)


async def test_parent_is_right_with_using_in_batches(line: Line) -> None:
    await line.fill(60)
    async for records in batches_of(line, 60):
        for index in range(len(records)):
            with asyncdsm.using(records[index]):
                await line.forward(records[index])
        assert asyncdsm.current_pathway() == pathway_of(records.pop())
    await line.check(60)


async def test_parent_is_right_in_tasks_made_in_the_loop_over_a_batch(line: Line) -> None:
    await line.fill(60)
    async for records in batches_of(line, 60):
        async with asyncio.TaskGroup() as tasks:
            for record in records:
                tasks.create_task(line.forward(record))
        assert asyncdsm.current_pathway() is None
    await line.check(60)


async def test_parent_is_right_with_gather_and_using(line: Line) -> None:
    async def work(record: Any) -> None:
        with asyncdsm.using(record):
            await line.forward(record)

    await line.fill(60)
    async for records in batches_of(line, 60):
        await asyncio.gather(*map(work, records))
    await line.check(60)


async def test_parent_is_right_with_workers_at_a_queue(line: Line) -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue()

    async def work() -> None:
        while True:
            record = await queue.get()
            with asyncdsm.using(record):
                await line.forward(record)
            queue.task_done()

    await line.fill(60)
    workers = [asyncio.create_task(work()) for _ in range(5)]
    for _ in range(60):
        await queue.put(await line.consumer.getone())
    await queue.join()
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    await line.check(60)


async def test_wait_for_never_leaves_the_previous_message_current(line: Line) -> None:
    """Before Python 3.12 `wait_for` reads in a task of its own: the caller then has no pathway, never a wrong one."""
    await line.fill(20)
    for _ in range(20):
        record = await asyncio.wait_for(line.consumer.getone(), 10)
        expected = pathway_of(record)
        assert asyncdsm.current_pathway() in (None, expected)
        with asyncdsm.using(record):
            await line.forward(record)
    await line.check(20)


async def test_break_out_of_a_batch_leaves_nothing_current(line: Line) -> None:
    await line.fill(5)
    async for records in batches_of(line, 1):
        for _ in records:
            assert asyncdsm.current_pathway() is not None
            break
        assert asyncdsm.current_pathway() is None
        assert records == list(records)
        break
