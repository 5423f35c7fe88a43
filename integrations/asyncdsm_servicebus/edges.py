"""The edges of entities: queues, topics, subscriptions and their sub-queues."""

from __future__ import annotations

from asyncdsm.integration import Edge, EdgeCache, make_out_edges

SUBSCRIPTIONS = "/Subscriptions/"
DEAD_LETTERS = "/$deadletterqueue"


def _make_entity_edge(path: str) -> Edge:
    topic, _, rest = path.partition(SUBSCRIPTIONS)
    group, slash, sub_queue = rest.partition("/")
    tags = (f"group:{group}",) if group else ()
    return Edge("direction:in", f"topic:{topic}{slash}{sub_queue}", "type:servicebus", *tags)


out_edges: EdgeCache[str] = make_out_edges("servicebus")
"""The edges of sending, by the name of the queue or topic."""
in_edges: EdgeCache[str] = EdgeCache(_make_entity_edge)
"""The edges of receiving, by the path of an entity, such as `events/Subscriptions/billing`: its group is `billing`."""


def is_dead_letter_queue(path: str) -> bool:
    """Say whether a path is that of a dead-letter queue."""
    return path.lower().endswith(DEAD_LETTERS)
