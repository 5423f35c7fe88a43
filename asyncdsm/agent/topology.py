"""What the store means: services, queues, the edges between them, pathways and lag. Plain data for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from asyncdsm.agent.store import PointKey, Row, Store
from asyncdsm.bins import value_of
from asyncdsm.edge import MOST_PATHWAYS
from asyncdsm.sketch import Sketch

EdgeKey = tuple[str, str, tuple[str, ...]]


def topology(store: Store, minutes: int) -> dict[str, Any]:
    """Return the map of the last `minutes`. Latencies in seconds, sizes in bytes, hashes as decimal text."""
    rows, seconds = store.rows(minutes)
    edges = _merged_by_edge(rows)
    lags = lag_of(store.backlogs())
    return {
        "minutes": minutes,
        "seconds": round(seconds, 3),
        "services": _services(store, rows),
        "queues": _queues(edges),
        "edges": [_edge(key, row, seconds, lags) for key, row in sorted(edges.items(), key=lambda item: item[0])],
        "pathways": [_pathway(key, row) for key, row in sorted(rows.items(), key=lambda item: item[0])],
        "lag": lags,
    }


def lag_of(backlogs: Mapping[tuple[str, ...], int]) -> list[dict[str, Any]]:
    """Return the messages behind, per group, topic and partition.

    A partition ends at its high watermark, or one behind the highest acknowledged offset, whichever is further; a
    commit is the next offset to read (protocol §6).
    """
    ends: dict[tuple[str, ...], int] = {}
    commits: dict[tuple[str, ...], int] = {}
    for tags, value in backlogs.items():
        named = named_tags(tags)
        if value < 0:  # librdkafka's -1001 and its like: no offset yet
            continue
        partition = tuple(named.get(name, "") for name in ("kafka_cluster_id", "topic", "partition"))
        match named.get("type"):
            case "kafka_produce":
                ends[partition] = max(value + 1, ends.get(partition, 0))
            case "kafka_high_watermark":
                ends[partition] = max(value, ends.get(partition, 0))
            case "kafka_commit":
                commits[named.get("consumer_group", ""), *partition] = value
            case _:
                pass
    return [
        {
            "group": group,
            "topic": topic,
            "partition": partition,
            "cluster_id": cluster or None,
            "behind": max(0, ends[cluster, topic, partition] - committed),
            "unit": "messages",
        }
        for (group, cluster, topic, partition), committed in sorted(commits.items())
        if (cluster, topic, partition) in ends
    ]


def named_tags(tags: Iterable[str]) -> dict[str, str]:
    """Return tags of the form `name:value` by name."""
    return {name: value for name, _, value in (tag.partition(":") for tag in tags)}


def _merged_by_edge(rows: Mapping[PointKey, Row]) -> dict[EdgeKey, Row]:
    edges: dict[EdgeKey, Row] = {}
    for key, row in rows.items():
        edges.setdefault((key.service, key.env, key.tags), Row()).merge(row)
    return edges


def _edge(key: EdgeKey, row: Row, seconds: float, lags: list[dict[str, Any]]) -> dict[str, Any]:
    service, env, tags = key
    named = named_tags(tags)
    group = named.get("group")
    count = row.edge_latency.count
    behind = [
        partition["behind"]
        for partition in lags
        if group is not None
        and (partition["group"], partition["topic"]) == (group, named.get("topic"))
        and partition["cluster_id"] == named.get("kafka_cluster_id")
    ]
    return {
        "id": edge_id(key),
        "service": service,
        "env": env,
        "direction": named.get("direction", ""),
        "type": named.get("type", ""),
        "queue": queue_of(named),
        "group": group,
        "tags": list(tags),
        "count": count,
        "rate": count / seconds if seconds else 0.0,
        "edge_latency": quantiles(row.edge_latency),
        "pathway_latency": quantiles(row.pathway_latency),
        "payload_size": quantiles(row.payload_size),
        "lag": sum(behind) if behind else None,
    }


def edge_id(key: EdgeKey) -> str:
    """Return a short name of an edge, the same in every run."""
    service, env, tags = key
    return blake2b("\0".join((service, env, *tags)).encode("utf-8", "replace"), digest_size=8).hexdigest()


def queue_of(named: Mapping[str, str]) -> str:
    """Return the name of what an edge leads to or comes from."""
    return named.get("topic") or named.get("exchange") or ""


def quantiles(sketch: Sketch) -> dict[str, float | None]:
    """Return p50, p95, p99 and max, each true within 0.8 %; None where nothing was counted."""
    bins = sketch.bins()
    return {
        "p50": sketch.quantile(0.5),
        "p95": sketch.quantile(0.95),
        "p99": sketch.quantile(0.99),
        "max": value_of(max(bins)) if bins else None,
    }


def _services(store: Store, rows: Iterable[PointKey]) -> list[dict[str, Any]]:
    pathways: dict[tuple[str, str], set[tuple[int, int]]] = {}
    for key in rows:
        pathways.setdefault((key.service, key.env), set()).add((key.hash, key.parent))
    return [
        {
            "name": name,
            "env": env,
            "last_seen": last_seen,
            "pathways": len(pathways.get((name, env), ())),
            "too_many_pathways": len(pathways.get((name, env), ())) > MOST_PATHWAYS,
        }
        for (name, env), last_seen in sorted(store.services().items())
    ]


def _queues(edges: Iterable[EdgeKey]) -> list[dict[str, str]]:
    named = [named_tags(tags) for _, _, tags in edges]
    queues = {(tags.get("type", ""), queue_of(tags)) for tags in named if queue_of(tags)}
    return [{"type": type_, "name": name} for type_, name in sorted(queues)]


def _pathway(key: PointKey, row: Row) -> dict[str, Any]:
    return {
        "service": key.service,
        "env": key.env,
        "tags": list(key.tags),
        "hash": str(key.hash),
        "parent": str(key.parent),
        "count": row.edge_latency.count,
        "edge_latency": quantiles(row.edge_latency),
        "pathway_latency": quantiles(row.pathway_latency),
    }
