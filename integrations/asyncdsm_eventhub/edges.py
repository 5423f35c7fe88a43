"""The edges of event hubs and their consumer groups."""

from __future__ import annotations

from asyncdsm.integration import Edge, EdgeCache

TYPE = "type:eventhubs"

out_edges: EdgeCache[str] = EdgeCache(lambda hub: Edge("direction:out", f"topic:{hub}", TYPE))
"""The edges of sending, by the name of the event hub."""
in_edges: EdgeCache[tuple[str, str]] = EdgeCache(
    lambda place: Edge("direction:in", f"group:{place[1]}", f"topic:{place[0]}", TYPE)
)
"""The edges of receiving, by the names of the event hub and the consumer group."""
