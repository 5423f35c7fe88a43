"""What messages say besides their latency: that they were delivered before, and which schema they have.

For integrations. Each function counts it for an edge (`core.edge_facts`), never raises, and does nothing while nothing
measures.
"""

from __future__ import annotations

from asyncdsm.core import checkpoint
from asyncdsm.core.edge import Edge


def count_deliveries(edge: Edge, *, redelivered: bool, dead_lettered: bool = False) -> None:
    """Count a consumed message that was delivered before, or was dead-lettered, or both; any other is not counted."""
    recorder = checkpoint.current_recorder()
    if recorder is not None and (redelivered or dead_lettered):
        recorder.facts.count_deliveries(edge, redelivered=redelivered, dead_lettered=dead_lettered)


def note_schema(edge: Edge, schema_id: int, subject: str) -> None:
    """Note the schema of a message, by its id in a registry and its subject there (empty if that is not known)."""
    recorder = checkpoint.current_recorder()
    if recorder is not None:
        recorder.facts.note_schema(edge, schema_id, subject)
