"""Records of clients written in Python, aiokafka and kafka-python: both have the same attributes, and the same headers.

A record is produced where it enters the client's accumulator: serialized, and with its partition known. There the
client has checked the record's size and waited for metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from asyncdsm.core.checkpoint import PendingProduce, consume, ensure_recorder, record_not_propagated
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import Pathway
from asyncdsm.errors import MalformedValueError
from asyncdsm.integration.batch import follow_batches
from asyncdsm.integration.formats.kafka import (
    HEADER_RESERVE,
    KafkaClient,
    Place,
    find_pathway,
    read_context,
    read_time,
    report_malformed_message,
)
from asyncdsm.integration.formats.kafka_headers import Header, begin_with_headers, scan_headers
from asyncdsm.integration.formats.transactions import KAFKA_CONSUME, extract_from_pairs
from asyncdsm.integration.hooks import guarded
from asyncdsm.integration.pathway_cache import store_entry


def add_context(
    client: KafkaClient, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[Header]
) -> tuple[PendingProduce | None, Sequence[Header]]:
    """Return a record's checkpoint, to be counted later, and the headers to send: a copy with the context if it fits.

    Headers that the client would reject are returned unchanged, without a checkpoint. **Hot**.
    """
    try:
        size = (len(key) if key else 0) + (len(value) if value else 0)
        edge = client.out_edges[topic]
    except (TypeError, ValueError):
        return None, headers
    limit = client.size_limits.get(topic, client.largest_message)
    pending, sent = begin_with_headers(edge, headers, size, limit - HEADER_RESERVE if client.adds_headers else None)
    if pending is not None and sent is headers:
        record_not_propagated()
    return pending, sent


def consume_record(client: KafkaClient, record: Any) -> Pathway | None:
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
    except Exception as error:  # a type that no release of these clients returns
        report_malformed_message("headers or sizes", error)
        header, size = read_context(record.headers), None
    pathway = consume(edge, header, size, read_time(record.timestamp) if header is None else None)
    if pathway is not None:
        store_entry((id(record), topic, record.partition, record.offset, pathway))
        if KAFKA_CONSUME:
            extract_from_pairs(KAFKA_CONSUME, record.headers)
    return pathway


def consume_record_batches(
    client: KafkaClient,
    batches: dict[Any, list[Any]],
    asked_in: Any | None = None,
    consume_one: Callable[[Any, Any], Pathway | None] = consume_record,
) -> dict[Any, list[Any]]:
    """Record the checkpoints of all records, by partition, and return the lists to hand to the program."""
    if ensure_recorder() is None or not isinstance(batches, dict):
        return batches
    pathways = {
        partition: [consume_one(client, record) for record in records] for partition, records in batches.items()
    }
    return follow_batches(batches, pathways, asked_in, _find_edges(client, batches))


@guarded
def _find_edges(client: KafkaClient, batches: dict[Any, list[Any]]) -> dict[Any, list[Edge | None]]:
    """Return the edges of the records of each partition; None for records that are malformed."""
    return {partition: [client.in_edges.get(partition.topic)] * len(records) for partition, records in batches.items()}


def find_record_pathway(record: Any) -> Pathway | None:
    """Return the pathway of a consumed record (`find_pathway`)."""
    place = record.topic, record.partition, record.offset
    return find_pathway(record, place, record.headers, read_time(record.timestamp))


def read_commits(offsets: Mapping[Any, Any]) -> Iterator[Place]:
    """Return what is committed; an offset may be a number, or a tuple that begins with one."""
    for tp, offset in offsets.items():
        yield tp.topic, tp.partition, offset[0] if isinstance(offset, tuple) and offset else offset
