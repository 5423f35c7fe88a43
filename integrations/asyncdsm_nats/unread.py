"""How far consumers of JetStream are behind. Each message says how many the server still has; nothing is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

from asyncdsm._internal.bounds import make_room
from asyncdsm.integration import Lag, add_lag_source, ensure_recorder
from asyncdsm_nats.metadata import Metadata

MAX_CONSUMERS = 1000
"""How many consumers of one connection are remembered; beyond, the one whose number is oldest is forgotten."""


class Unread:
    """The last known number of each consumer, by connection: a source of lag."""

    def __init__(self) -> None:
        self._connections: WeakKeyDictionary[Any, dict[tuple[str, str], tuple[str, int, int]]] = WeakKeyDictionary()

    def store(self, connection: Any, group: str, metadata: Metadata, now_ns: int) -> None:
        """Store what a message says that was delivered now."""
        consumers = self._connections.setdefault(connection, {})
        key = metadata.stream, metadata.consumer
        consumers.pop(key, None)
        make_room(consumers, MAX_CONSUMERS)
        consumers[key] = group, metadata.unread, now_ns

    def lags(self) -> Iterator[Lag]:
        """Return how many messages each consumer of an open connection has not been given."""
        for reference in self._connections.keyrefs():  # a list made at once: other threads connect meanwhile
            connection = reference()
            if connection is not None and not connection.is_closed:
                for (stream, _), (group, unread, seen_ns) in list(self._connections.get(connection, {}).items()):
                    yield Lag(group or None, stream, None, unread, "messages", seen_ns=seen_ns, type="nats")


_unread = Unread()
add_lag_source(_unread)


def note_unread(connection: Any, group: str, metadata: Metadata) -> None:
    """Store what the last of some messages says. Does nothing while nothing measures."""
    recorder = ensure_recorder()
    if recorder is not None:
        _unread.store(connection, group, metadata, recorder.now())
