"""Records received, singly and in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka import ConsumerRecord

from asyncdsm import checkpoint
from asyncdsm.batch import current_task, follow_batches
from asyncdsm.edge import Edge
from asyncdsm.hooks import hook_failed, marked_async
from asyncdsm.pathway import HEADER, LEGACY_HEADER, Context, legacy_text
from asyncdsm_aiokafka.client import Client, last_in_edge
from asyncdsm_aiokafka.offsets import adopt

_NS_PER_MS = 1_000_000
_PATHWAY = "_asyncdsm_pathway"
"""A record remembers its pathway, for it does not say which group consumed it, nor when. Not a field: equality,
`repr` and `dataclasses.asdict` do not see it."""


def getone(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOKafkaConsumer.getone`, which `async for` calls too."""

    async def received(self: Any, partitions: Any) -> Any:
        record = await (original(self, *partitions) if partitions else original(self))
        try:
            consumed(adopt(self), record)
        except Exception as error:
            hook_failed(error)
        return record

    def getone(self: Any, *partitions: Any) -> Any:
        # Who asks for the next message is done with the last one. Cleared here, not behind the await: before Python
        # 3.12 `asyncio.wait_for` awaits in a task of its own, and what is set there never reaches the caller.
        checkpoint.set_current(None)
        return received(self, partitions)

    return marked_async(getone)


def getmany(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOKafkaConsumer.getmany`."""

    async def received(self: Any, args: Any, kwargs: Any, asked_in: Any) -> Any:
        batches = await original(self, *args, **kwargs)
        try:
            return consumed_batches(adopt(self), batches, asked_in)
        except Exception as error:
            hook_failed(error)
            return batches

    def getmany(self: Any, *partitions: Any, **kwargs: Any) -> Any:
        checkpoint.set_current(None)
        return received(self, partitions, kwargs, current_task())

    return marked_async(getmany)


def consumed(client: Client, record: Any) -> Context | None:
    """Record the consume checkpoint of one record, and make its pathway current."""
    header, size = None, 0
    if record.serialized_key_size > 0:  # -1 is no key
        size += record.serialized_key_size
    if record.serialized_value_size > 0:
        size += record.serialized_value_size
    for name, value in record.headers:
        size += len(name) + (len(value) if value else 0)
        if name == HEADER:
            header = value
        elif name == LEGACY_HEADER and header is None and value is not None:
            header = legacy_text(value)
    broker_ns = record.timestamp * _NS_PER_MS if header is None and record.timestamp else None
    pathway = checkpoint.arrived(client.into[record.topic], header, size, broker_ns)
    if pathway is not None:
        record._asyncdsm_pathway = pathway
    return pathway


def consumed_batches(client: Client, batches: dict[Any, list[Any]], asked_in: Any) -> dict[Any, list[Any]]:
    """Record the checkpoints of every record, and return the lists that the program gets."""
    if checkpoint.running() is None:
        return batches
    pathways = {partition: [consumed(client, record) for record in records] for partition, records in batches.items()}
    return follow_batches(batches, pathways, asked_in)


def pathway_of(message: Any) -> Context | None:
    """Return the pathway of a consumed record; None for anything else.

    A record that was consumed before its client was wrapped does not say by which group: the one that consumed its
    topic last in this process is taken.
    """
    if not isinstance(message, ConsumerRecord):
        return None
    pathway: Context | None = getattr(message, _PATHWAY, None)
    if pathway is not None:
        return pathway
    headers = dict(message.headers)
    legacy = headers.get(LEGACY_HEADER)
    header = headers.get(HEADER) or (legacy_text(legacy) if legacy else None)
    edge = last_in_edge.get(message.topic) or Edge("direction:in", f"topic:{message.topic}", "type:kafka")
    return checkpoint.next_pathway(edge, header, (message.timestamp or 0) * _NS_PER_MS)
