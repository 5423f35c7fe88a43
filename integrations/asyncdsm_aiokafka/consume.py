"""Records that a consumer receives, one at a time (`getone`) and in batches (`getmany`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka import ConsumerRecord

from asyncdsm.integration import (
    Edge,
    MalformedValueError,
    Pathway,
    consume,
    current_task,
    ensure_recorder,
    follow_batches,
    guarded,
    mark_async,
    report_hook_error,
    set_current,
    store_entry,
)
from asyncdsm.integration.formats.kafka import (
    find_pathway,
    read_context,
    read_time,
    report_malformed_message,
)
from asyncdsm.integration.formats.kafka_headers import scan_headers
from asyncdsm.integration.formats.transactions import KAFKA_CONSUME, extract_from_pairs
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

    def getone(self: Any, *partitions: Any, **more: Any) -> Any:
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

    def getmany(self: Any, *partitions: Any, **kwargs: Any) -> Any:
        set_current(None)
        return receive(self, partitions, kwargs, current_task())

    return mark_async(getmany)


def consume_record(client: Client, record: Any) -> Pathway | None:
    """Record the consume checkpoint of one record, and make its pathway current. **Hot**.

    A record whose topic is not a string is counted as malformed, and has no checkpoint.
    """
    try:
        topic = record.topic
        edge = client.in_edges[topic]
    except (AttributeError, TypeError, MalformedValueError) as error:
        report_malformed_message("the topic", error)
        return None
    size: Any = 0
    try:
        if (part := record.serialized_key_size) > 0:  # -1 if there is no key
            size += part
        if (part := record.serialized_value_size) > 0:
            size += part
        header, size = scan_headers(record.headers, size)
    except Exception as error:  # a type that no release of aiokafka returns
        report_malformed_message("headers or sizes", error)
        header, size = read_context(record.headers), None
    pathway = consume(edge, header, size, read_time(record.timestamp) if header is None else None)
    if pathway is not None:
        store_entry((id(record), topic, record.partition, record.offset, pathway))
        if KAFKA_CONSUME:
            extract_from_pairs(KAFKA_CONSUME, record.headers)
    return pathway


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
    if ensure_recorder() is None or not isinstance(batches, dict):
        return batches
    consume_one = consume_record if client.counted is None else consume_record_once
    pathways = {
        partition: [consume_one(client, record) for record in records] for partition, records in batches.items()
    }
    return follow_batches(batches, pathways, asked_in, _find_edges(client, batches))


@guarded
def _find_edges(client: Client, batches: dict[Any, list[Any]]) -> dict[Any, list[Edge | None]]:
    """Return the edges of the records of each partition; None for records that are malformed."""
    return {partition: [client.in_edges.get(partition.topic)] * len(records) for partition, records in batches.items()}


def find_record_pathway(message: Any) -> Pathway | None:
    """Return the pathway of a consumed record (`find_pathway`); None for anything else."""
    if not isinstance(message, ConsumerRecord):
        return None
    place = message.topic, message.partition, message.offset
    return find_pathway(message, place, message.headers, read_time(message.timestamp))
