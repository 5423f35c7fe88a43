"""Records that a consumer receives, one at a time (`getone`) and in batches (`getmany`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka import ConsumerRecord

from asyncdsm.integration import Pathway, current_task, mark_async, report_hook_error, set_current
from asyncdsm.integration.formats.kafka_records import consume_record, consume_record_batches, find_record_pathway
from asyncdsm_aiokafka.client import Client
from asyncdsm_aiokafka.lag import follow_consumer


def hook_getone(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOKafkaConsumer.getone`, which `async for` calls too. **Hot**."""

    async def receive(self: Any, args: Any, kwargs: Any) -> Any:
        record = await (original(self, *args, **kwargs) if args or kwargs else original(self))
        try:
            client = follow_consumer(self)
            if client.counted is None:
                consume_record(client, record)
            else:
                consume_record_once(client, record)
        except Exception as error:
            report_hook_error(error)
        return record

    def getone(self: Any, /, *partitions: Any, **more: Any) -> Any:
        # A program that asks for the next record has finished the last one. Cleared here, not after the await: before
        # Python 3.12 `asyncio.wait_for` awaits in a task of its own, and what is set there never reaches the caller.
        set_current(None)
        return receive(self, partitions, more)

    return mark_async(getone)


def hook_getmany(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOKafkaConsumer.getmany`."""

    async def receive(self: Any, args: Any, kwargs: Any, asked_in: Any) -> Any:
        batches = await original(self, *args, **kwargs)
        try:
            return consume_batches(follow_consumer(self), batches, asked_in)
        except Exception as error:
            report_hook_error(error)
            return batches

    def getmany(self: Any, /, *partitions: Any, **kwargs: Any) -> Any:
        set_current(None)
        return receive(self, partitions, kwargs, current_task())

    return mark_async(getmany)


def consume_record_once(client: Client, record: Any) -> Pathway | None:
    """Do what `consume_record` does, unless this record was counted already: then only make its pathway current.

    For a consumer whose `getone` calls `getmany`, or the other way round: both are hooked, and see the same record.
    """
    counted = client.counted
    if counted is None or not isinstance(record, ConsumerRecord):
        return consume_record(client, record)
    if counted.get(id(record)) is not record:
        pathway = consume_record(client, record)
        if pathway is not None:
            counted[id(record)] = record
        return pathway
    pathway = find_record_pathway(record)
    set_current(pathway)
    return pathway


def consume_batches(client: Client, batches: dict[Any, list[Any]], asked_in: Any) -> dict[Any, list[Any]]:
    """Record the checkpoints of all records, and return the lists to hand to the program."""
    consume_one = consume_record if client.counted is None else consume_record_once
    return consume_record_batches(client, batches, asked_in, consume_one)


def find_message_pathway(message: Any) -> Pathway | None:
    """Return the pathway of a consumed record (`find_pathway`); None for anything else."""
    return find_record_pathway(message) if isinstance(message, ConsumerRecord) else None
