"""What Kafka's clients tell, whichever client it is: edges, contexts, times and offsets.

Nothing that a client or a message hands over is trusted: a value of the wrong type is counted as `malformed`, and
reaches neither a bucket nor the program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asyncdsm import checkpoint, lag
from asyncdsm.edge import Edge
from asyncdsm.pathway import HEADER, LEGACY_HEADER, legacy_text

_NS_PER_MS = 1_000_000
_LARGEST_OFFSET = (1 << 63) - 1
_LARGEST_PARTITION = (1 << 31) - 1


def make_out_edge(topic: Any, cluster_id: str | None) -> Edge:
    """Return the edge of producing to a topic (protocol §4). Raises TypeError for a topic that is no string."""
    return Edge("direction:out", _topic_tag(topic), "type:kafka", *_cluster_tags(cluster_id))


def make_in_edge(topic: Any, group: str | None, cluster_id: str | None) -> Edge:
    """Return the edge of consuming from a topic. Raises TypeError for a topic that is no string.

    A consumer without a group has no group tag.
    """
    groups = (f"group:{group}",) if group else ()
    return Edge("direction:in", _topic_tag(topic), "type:kafka", *groups, *_cluster_tags(cluster_id))


def read_name(name: Any) -> str | None:
    """Return the name of a group or a cluster; None for one that is empty, or no string."""
    return str.__str__(name) or None if isinstance(name, str) else None


def read_context(headers: Any) -> Any:
    """Return the context among a record's headers: pairs of a name and a value, a dict of them, or None.

    The slow way, for headers of any shape. A value that cannot be a context is returned as an empty string, which
    counts as malformed where the checkpoint is made.
    """
    header = legacy = None
    for name, value in read_pairs(headers):
        if name == HEADER and value is not None:
            header = value if isinstance(value, (str, bytes)) else ""
        elif name == LEGACY_HEADER and value is not None:
            legacy = legacy_text(value) if isinstance(value, (str, bytes)) else ""
    return legacy if header is None else header


def read_pairs(headers: Any) -> list[tuple[str, Any]]:
    """Return the headers whose name is a string, as pairs; what is no pair is left out."""
    try:
        found = list(headers.items() if isinstance(headers, dict) else headers or ())
    except Exception:  # whatever it is, it is no collection of headers
        return []
    pairs = (pair for pair in found if isinstance(pair, (tuple, list)) and len(pair) == len(("name", "value")))
    return [(name, value) for name, value in pairs if isinstance(name, str)]


def read_time(milliseconds: Any) -> int | None:
    """Return the broker's time of a record in nanoseconds; None where it is not known.

    Zero and less are "not known" to the clients. What is no whole number is counted.
    """
    if milliseconds.__class__ is int:
        return milliseconds * _NS_PER_MS if 0 < milliseconds <= _LARGEST_OFFSET else None
    if milliseconds is not None:
        note_malformed()
    return None


def unknown_size() -> int | None:
    """Count a message whose size cannot be read, and return None, which stands for a size that is not known."""
    note_malformed()
    return None


def note_malformed() -> None:
    """Count a message, or a value of a client, that cannot be used."""
    aggregator = checkpoint.active()
    if aggregator is not None:
        aggregator.accounts.note("malformed")


def read_offset(offset: Any) -> int | None:
    """Return an offset; None where it is not known: for None, and for less than zero, as clients mark it.

    What is no whole number of at most 63 bits is counted.
    """
    if isinstance(offset, int) and not isinstance(offset, bool) and offset <= _LARGEST_OFFSET:
        return offset if offset >= 0 else None
    if offset is not None:
        note_malformed()
    return None


def record_produced(topic: Any, partition: Any, offset: Any, cluster_id: str | None) -> None:
    """Record the offset that the broker gave to a message. None and less than zero are not known, and no error."""
    _record_offset(offset, lag.produced_tags, topic, partition, cluster_id)


def record_committed(group: str, topic: Any, partition: Any, offset: Any, cluster_id: str | None) -> None:
    """Record the offset that a group committed: the next one that it will read."""
    _record_offset(offset, lag.committed_tags, group, topic, partition, cluster_id)


def _record_offset(offset: Any, make_tags: Callable[..., tuple[str, ...]], *of: Any) -> None:
    aggregator = checkpoint.running()
    if aggregator is None or (known := read_offset(offset)) is None:
        return
    *_, topic, partition, _ = of
    if isinstance(topic, str) and type(partition) is int and 0 <= partition <= _LARGEST_PARTITION:
        aggregator.record_offset(make_tags(*of), known)
    else:
        note_malformed()


def _topic_tag(topic: Any) -> str:
    if not isinstance(topic, str):
        raise TypeError(f"a topic must be a string, got {topic!r}")
    return f"topic:{str.__str__(topic)}"  # an enum's member may be its value, and show itself as another


def _cluster_tags(cluster_id: str | None) -> tuple[str, ...]:
    return (f"kafka_cluster_id:{cluster_id}",) if cluster_id else ()
