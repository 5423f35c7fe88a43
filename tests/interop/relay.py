"""Relays: one program per language that reads messages and sends them on, watched by that language's tracer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Relay:
    """A program in another language that reads messages and sends them on, watched by that language's tracer."""

    language: str
    brokers: frozenset[str]
    """Those at which its tracer takes part in Data Streams: kafka, rabbitmq, sqs."""
    install: Callable[[], list[str]]
    """Installs what the relay needs into the tests' cache the first time, and returns the command that runs it.

    The command takes SOURCE, TARGET and COUNT. SOURCE and TARGET are `kafka:TOPIC`, `rabbitmq:QUEUE`, `sqs:QUEUE_URL`
    or `-`. It prints `ready` when its consumer is in place, and `done` when all is handled and reported.
    """
    forgets: frozenset[str] = frozenset()
    """Brokers after whose messages the tracer has no pathway any more: what is sent next begins one."""
