"""What Kafka's clients tell, whichever client it is: edges, contexts, times and offsets.

Nothing that a client or a message hands over is trusted (`asyncdsm.core.values`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asyncdsm.core import checkpoint, lag
from asyncdsm.core.edge import Edge
from asyncdsm.core.pathway import HEADER, LEGACY_HEADER, legacy_text
from asyncdsm.core.values import check_name, check_offset
from asyncdsm.errors import MalformedValueError

_NS_PER_MS = 1_000_000


def make_out_edge(topic: Any, cluster_id: str | None) -> Edge:
    """Return the edge of producing to a topic (protocol §4). Raises MalformedValueError for one that is no string."""
    return Edge("direction:out", _topic_tag(topic), "type:kafka", *_cluster_tags(cluster_id))


def make_in_edge(topic: Any, group: str | None, cluster_id: str | None) -> Edge:
    """Return the edge of consuming from a topic; a consumer without a group has no group tag.

    Raises MalformedValueError for a topic that is no string.
    """
    groups = (f"group:{group}",) if group else ()
    return Edge("direction:in", _topic_tag(topic), "type:kafka", *groups, *_cluster_tags(cluster_id))


def read_name(name: Any) -> str | None:
    """Return the name of a group or a cluster; None for one that is empty, or no string."""
    return str.__str__(name) or None if isinstance(name, str) else None


def read_context(headers: Any) -> Any:
    """Return the context among a record's headers: pairs of a name and a value, a dict of them, or None.

    The slow way, for headers of any shape. What is no pair, or has a name that is no string, is no header.
    """
    header = legacy = None
    for name, value in read_pairs(headers):
        if name == HEADER and value is not None:
            header = value
        elif name == LEGACY_HEADER and value is not None:
            legacy = legacy_text(value)
    return legacy if header is None else header


def read_pairs(headers: Any) -> list[tuple[str, Any]]:
    """Return the headers whose name is a string, as pairs; what is no pair is left out."""
    try:
        found = list(headers.items() if isinstance(headers, dict) else headers or ())
    except Exception:  # whatever it is, it is no collection of headers
        return []
    pairs = (pair for pair in found if isinstance(pair, (tuple, list)) and len(pair) == len(("name", "value")))
    return [(name, value) for name, value in pairs if isinstance(name, str)]


def read_time(milliseconds: Any) -> Any:
    """Return a time in nanoseconds; what is no whole number as it is, for the checkpoint to count."""
    return milliseconds * _NS_PER_MS if type(milliseconds) is int else milliseconds


def read_offset(offset: Any) -> int | None:
    """Return an offset; None where it is not known: for None, and for less than zero, as clients mark it.

    Raises MalformedValueError for what is no whole number of at most 63 bits.
    """
    if offset is None or (type(offset) is int and offset < 0):
        return None
    return check_offset(offset)


def record_produced(topic: Any, partition: Any, offset: Any, cluster_id: str | None) -> None:
    """Record the offset that the broker gave to a message. None and less than zero are not known, and no error."""
    _record_offset(offset, lag.produced_tags, topic, partition, cluster_id)


def record_committed(group: Any, topic: Any, partition: Any, offset: Any, cluster_id: str | None) -> None:
    """Record the offset that a group committed: the next one that it will read."""
    _record_offset(offset, lag.committed_tags, group, topic, partition, cluster_id)


def _record_offset(offset: Any, make_tags: Callable[..., tuple[str, ...]], *of: Any) -> None:
    aggregator = checkpoint.ensure_recorder()
    if aggregator is None:
        return
    try:
        if (known := read_offset(offset)) is not None:
            aggregator.record_offset(make_tags(*of), known)
    except MalformedValueError as error:
        aggregator.report_malformed(error)
    except TypeError as error:  # what cannot even be looked up is no name
        aggregator.report_malformed(MalformedValueError(f"the topic, partition or group of an offset: {error}"))


def _topic_tag(topic: Any) -> str:
    # The member of an enum may be a string, and show itself as another.
    return f"topic:{str.__str__(check_name('a topic', topic))}"


def _cluster_tags(cluster_id: str | None) -> tuple[str, ...]:
    return (f"kafka_cluster_id:{cluster_id}",) if cluster_id else ()
