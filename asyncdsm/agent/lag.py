"""How far behind consumers are: from what was produced, committed, and said by the brokers; now, and over time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from asyncdsm.agent.bounds import MOST_LAG_SERIES, Cut
from asyncdsm.agent.spans import step_for
from asyncdsm.agent.store import Span, Store

Tags = tuple[str, ...]


def lag_of(backlogs: Mapping[Tags, int]) -> list[dict[str, Any]]:
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


def lag_over_time(store: Store, span: Span, topic: str, group: str | None) -> dict[str, Any]:
    """Return the messages behind at each step of a span, per group and partition of a topic."""
    step = step_for(span, store.now())
    known: dict[Tags, int] = {}
    series: dict[tuple[str, str, str], list[dict[str, Any]]] = {}

    def note(start: int) -> None:
        for lag in lag_of(known):
            if group is None or lag["group"] == group:
                points = series.setdefault((lag["group"], lag["partition"], lag["cluster_id"] or ""), [])
                points.append({"start": float(start), "behind": lag["behind"]})

    at: int | None = None
    for tags, start, value in store.offsets(span):
        if named_tags(tags).get("topic") != topic:
            continue
        began = start // step * step
        if start >= span.first:
            if at is not None and began > at:
                note(at)
            at = began
        known[tags] = value
    if at is not None:
        note(at)
    shown = [
        {"group": name, "topic": topic, "partition": partition, "cluster_id": cluster or None, "points": points}
        for (name, partition, cluster), points in sorted(series.items())
    ]
    cut = Cut()
    return {
        "series": cut.largest("series", shown, MOST_LAG_SERIES, lambda one: one["points"][-1]["behind"]),
        **cut.shown(),
    }
