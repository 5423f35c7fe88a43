"""Shared by the tests of Kombu: a connection to each broker, and a callback that remembers what it got."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any, NamedTuple
from uuid import uuid4

from kombu import pools
from kombu.connection import Connection

import asyncdsm
from asyncdsm import Pathway

PATIENCE = 60.0


class Broker(NamedTuple):
    """The URL of a broker, and the type of its edges."""

    url: str
    type: str

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Connect for as long as the block lasts."""
        with Connection(self.url) as connection:
            yield connection


class Seen:
    """The bodies that callbacks got, and the pathway that was current."""

    def __init__(self) -> None:
        self.messages: list[tuple[Any, Pathway | None]] = []

    def callback(self, body: Any, message: Any) -> None:
        """A callback for a consumer's `callbacks`."""
        self.messages.append((body, asyncdsm.current_pathway()))
        message.ack()

    def on_message(self, message: Any) -> None:
        """A callback for a consumer's `on_message`, which Celery uses."""
        self.callback(message.decode(), message)

    @property
    def hashes(self) -> dict[Any, int]:
        """The hash of the pathway that each body came with."""
        return {body: pathway.hash for body, pathway in self.messages if pathway is not None}


def drain(connection: Any, until: Callable[[], object]) -> None:
    """Handle events until a condition holds."""
    deadline = monotonic() + PATIENCE
    while not until():
        assert monotonic() < deadline, "the messages did not come"
        try:
            connection.drain_events(timeout=1)
        except TimeoutError:
            continue


def fresh() -> str:
    """Return a name that no queue or exchange has."""
    return f"n{uuid4().hex[:10]}"


def tidy() -> None:
    """Close Kombu's pools, and collect its garbage now: it would warn in a later test."""
    pools.reset()
    gc.collect()


def take_message(queue: Any, **options: Any) -> Any:
    """Take a message from a queue once it is there: RabbitMQ may still be busy with it after it was published."""
    deadline = monotonic() + PATIENCE
    while (message := queue.get(**options)) is None and monotonic() < deadline:
        sleep(0.02)
    assert message is not None
    return message
