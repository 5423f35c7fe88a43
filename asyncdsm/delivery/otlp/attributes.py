"""The attributes of OpenTelemetry's metrics: of an edge, of a lag, and of this process."""

from __future__ import annotations

import os
from functools import lru_cache
from uuid import uuid4

from asyncdsm._internal import forks
from asyncdsm._version import __version__
from asyncdsm.core.lag import Lag
from asyncdsm.settings import Settings

Attributes = tuple[tuple[str, str], ...]
"""Names and values, in the order of the names, without empty values."""

SENT, RECEIVED = "send", "receive"
OPERATIONS = {"direction:out": SENT, "direction:in": RECEIVED}
OPERATION = "messaging.operation.type"
_NAMES = {
    "type": "messaging.system",
    "topic": "messaging.destination.name",
    "exchange": "messaging.destination.name",
    "group": "messaging.consumer.group.name",
    "kafka_cluster_id": "messaging.kafka.cluster.id",
}
MOST_TAGS = 4096


@lru_cache(MOST_TAGS)
def describe_edge(tags: tuple[str, ...]) -> Attributes:
    """Return the attributes of an edge, from its tags."""
    found = dict[str, str]()
    for tag in tags:
        name, _, value = tag.partition(":")
        if operation := OPERATIONS.get(tag):
            found[OPERATION] = operation
        elif value and (attribute := _NAMES.get(name)):
            found[attribute] = value  # of sorted tags, the topic comes after the exchange, and wins
    return tuple(sorted(found.items()))


def describe_lag(lag: Lag) -> Attributes:
    """Return the attributes of a partition or a queue that is read."""
    named = {
        "messaging.consumer.group.name": lag.group,
        "messaging.destination.name": lag.topic,
        "messaging.destination.partition.id": None if lag.partition is None else str(lag.partition),
        "messaging.kafka.cluster.id": lag.cluster_id,
        "messaging.system": lag.type,
    }
    return tuple((name, str(value)) for name, value in named.items() if value)


def describe_resource(settings: Settings) -> Attributes:
    """Return the attributes of this process, which tell its series from those of every other process.

    A `service.instance.id` of the program's own gets the process id at its end: its workers may share an environment.
    """
    known = {
        "service.name": settings.service,
        "service.version": settings.version,
        "deployment.environment.name": settings.env,
        "host.name": settings.hostname,
        "process.pid": str(os.getpid()),
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "asyncdsm",
        "telemetry.sdk.version": __version__,
    }
    given = dict(settings.resource_attributes)
    found = {name: value for name, value in {**given, **known, **_own(given)}.items() if value}
    instance = given.get("service.instance.id")
    found["service.instance.id"] = f"{instance}-{os.getpid()}" if instance else _instance_id
    return tuple(sorted(found.items()))


def _own(given: dict[str, str]) -> dict[str, str]:
    """Return what the program says itself, except for the process id and what a setting has read from there already."""
    excluded = ("service.", "deployment.", "process.pid")
    return {name: value for name, value in given.items() if not name.startswith(excluded)}


_instance_id = str(uuid4())


def _renew_instance_id() -> None:
    global _instance_id  # noqa: PLW0603
    _instance_id = str(uuid4())


forks.call_in_forked_child(_renew_instance_id)
