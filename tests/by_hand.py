"""Checkpoints without a client, for tests that need some."""

from __future__ import annotations

from asyncdsm import Pathway
from asyncdsm.core import checkpoint
from asyncdsm.core.edge import Edge


def consume(
    edge: Edge, header: str | bytes | None = None, size: int | None = None, broker_ns: int | None = None
) -> Pathway | None:
    """Record that a message was consumed; return its pathway, None when nothing measures."""
    return checkpoint.consume(edge, header, size, broker_ns)


def produce(edge: Edge, size: int | None = None) -> str | None:
    """Record that a message is produced; return its header, None when nothing measures."""
    begun = checkpoint.begin_produce(edge, size)
    if begun is None:
        return None
    checkpoint.finish_produce(begun)
    return begun.header.decode()
