"""The commands with which FastStream publishes: where to, by protocol §4."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from asyncdsm.core.edge import Edge
from asyncdsm.core.values import check_name
from asyncdsm.integration.formats.amqp import is_internal_queue
from asyncdsm.integration.formats.kafka import make_out_edge
from asyncdsm_faststream.clusters import cluster_of_publish


def edge_of(command: Any, call_next: Any) -> Edge | None:
    """Return the edge of a publish; None for a broker that is none of the three, and for a reply to one caller.

    `call_next` is what the middleware calls next: it leads to the client. Raises MalformedValueError for a topic that
    is no string.
    """
    kind: Any = type(command)
    family = _family(kind)
    if family in {"kafka", "confluent"}:
        return _kafka_edge(check_name("a topic", command.destination), cluster_of_publish(call_next))
    if family != "rabbit":
        return None
    exchange, key = command.exchange.name, check_name("a routing key", command.destination)
    if not exchange and is_internal_queue(key):
        return None
    return _rabbit_edge(exchange, key if not exchange else "", bool(key))


@lru_cache
def _family(kind: Any) -> str | None:
    """Return the broker that a command, or what it was derived from, is for: the package below FastStream's."""
    modules = (parent.__module__.split(".") for parent in kind.__mro__)
    return next((names[1] for names in modules if names[0] == "faststream" and len(names) > 1), None)


@lru_cache(4096)
def _kafka_edge(topic: str, cluster_id: str | None) -> Edge:
    return make_out_edge(topic, cluster_id)


@lru_cache(4096)
def _rabbit_edge(exchange: str, queue: str, has_routing_key: bool) -> Edge:
    if not exchange:
        return Edge("direction:out", f"topic:{queue}", "type:rabbitmq")
    key = f"has_routing_key:{'true' if has_routing_key else 'false'}"
    return Edge("direction:out", f"exchange:{exchange}", key, "type:rabbitmq")
