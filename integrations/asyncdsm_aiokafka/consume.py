"""Records received, singly and in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka import ConsumerRecord

from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.pathway import HEADER, LEGACY_HEADER, Context, legacy_text
from asyncdsm.core.values import check_name
from asyncdsm.errors import MalformedValueError
from asyncdsm.integration.batch import current_task, follow_batches
from asyncdsm.integration.formats.kafka import read_context, read_time
from asyncdsm.integration.hooks import mark_async
from asyncdsm.integration.pathway_cache import lookup_pathway, store_entry
from asyncdsm_aiokafka.client import Client, last_in_edge
from asyncdsm_aiokafka.offsets import adopt


def getone(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOKafkaConsumer.getone`, which `async for` calls too."""

    async def received(self: Any, args: Any, kwargs: Any) -> Any:
        record = await (original(self, *args, **kwargs) if args or kwargs else original(self))
        try:
            client = adopt(self)
            (consumed if client.counted is None else consumed_once)(client, record)
        except Exception as error:
            report_hook_error(error)
        return record

    def getone(self: Any, *partitions: Any, **more: Any) -> Any:
        # Who asks for the next message is done with the last one. Cleared here, not after the await: before Python
        # 3.12 `asyncio.wait_for` awaits in a task of its own, and what is set there never reaches the caller.
        current.set_current(None)
        return received(self, partitions, more)

    return mark_async(getone)


def getmany(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOKafkaConsumer.getmany`."""

    async def received(self: Any, args: Any, kwargs: Any, asked_in: Any) -> Any:
        batches = await original(self, *args, **kwargs)
        try:
            return consumed_batches(adopt(self), batches, asked_in)
        except Exception as error:
            report_hook_error(error)
            return batches

    def getmany(self: Any, *partitions: Any, **kwargs: Any) -> Any:
        current.set_current(None)
        return received(self, partitions, kwargs, current_task())

    return mark_async(getmany)


def consumed(client: Client, record: Any) -> Context | None:
    """Record the consume checkpoint of one record, and make its pathway current. **Hot**.

    One whose topic is no string is counted as malformed, and has no checkpoint.
    """
    try:
        topic = record.topic
        edge = client.into[topic]
    except (AttributeError, TypeError, MalformedValueError) as error:
        report_hook_error(MalformedValueError(f"a consumed record: {error}"))
        return None
    header, broker_ns = None, None
    size: Any = 0
    try:
        if (part := record.serialized_key_size) > 0:  # -1 is no key
            size += part
        if (part := record.serialized_value_size) > 0:
            size += part
        for name, value in record.headers:
            size += len(name) + (len(value) if value else 0)
            if name == HEADER:
                header = value
            elif name == LEGACY_HEADER and header is None and value is not None:
                header = legacy_text(value)
    except Exception as error:  # of a type that none of the clients has
        report_hook_error(MalformedValueError(f"a consumed record's headers or sizes: {error}"))
        header, size = read_context(record.headers), None
    if header is None:
        broker_ns = read_time(record.timestamp)
    pathway = checkpoint.consume(edge, header, size, broker_ns)
    if pathway is not None:
        store_entry((id(record), topic, record.partition, record.offset, pathway))
    return pathway


def consumed_once(client: Client, record: Any) -> Context | None:
    """Do what `consumed` does, unless this record was counted already: then only make its pathway current.

    For a consumer whose `getone` calls `getmany`, or the other way round: both are hooked, and see the same record.
    """
    counted = client.counted
    if counted is None or not isinstance(record, ConsumerRecord):
        return consumed(client, record)
    if counted.get(id(record)) is not record:
        pathway = consumed(client, record)
        if pathway is not None:
            counted[id(record)] = record
        return pathway
    pathway = pathway_of(record)
    current.set_current(pathway)
    return pathway


def consumed_batches(client: Client, batches: dict[Any, list[Any]], asked_in: Any) -> dict[Any, list[Any]]:
    """Record the checkpoints of every record, and return the lists that the program gets."""
    if checkpoint.ensure_recorder() is None or not isinstance(batches, dict):
        return batches
    record_one = consumed if client.counted is None else consumed_once
    pathways = {partition: [record_one(client, record) for record in records] for partition, records in batches.items()}
    return follow_batches(batches, pathways, asked_in)


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of a consumed record; None for anything else.

    One that was consumed before its client was wrapped, or many thousands of records ago, does not say by which
    group: the one that consumed its topic last in this process is taken. Raises MalformedValueError for a topic that
    is no string.
    """
    if not isinstance(message, ConsumerRecord):
        return None
    topic = check_name("a topic", message.topic)
    pathway = lookup_pathway(message, (topic, message.partition, message.offset))
    if pathway is not None:
        return pathway
    edge = last_in_edge[topic]
    return checkpoint.peek_consume(edge, read_context(message.headers), read_time(message.timestamp))
