"""The edges of event hubs and their consumer groups."""

from __future__ import annotations

from asyncdsm.integration import EdgeCache, make_in_edges, make_out_edges

TYPE = "eventhubs"
"""The `type:` of the edges."""

out_edges: EdgeCache[str] = make_out_edges(TYPE)
"""The edges of sending, by the name of the event hub."""
in_edges: EdgeCache[tuple[str, str]] = make_in_edges(TYPE)
"""The edges of receiving, by the names of the event hub and the consumer group."""
