"""What a namespace has taken, in SQLite: it survives a SIGKILL."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, NamedTuple

ACTIVE, DEFERRED, SCHEDULED = 0, 1, 2


class Stored(NamedTuple):
    """A message in the store."""

    sequence: int
    enqueued_ms: int
    deliveries: int
    body: bytes
    reason: str | None


class Store:
    """The messages of a namespace, by entity: a queue, a subscription, a partition."""

    def __init__(self, folder: str) -> None:
        self._db = sqlite3.connect(Path(folder, "namespace.db"), isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")  # a machine that loses power is not tested
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS message (sequence INTEGER PRIMARY KEY AUTOINCREMENT, entity TEXT,"
            " state INTEGER, session TEXT, due_ms INTEGER, enqueued_ms INTEGER, locked_ms INTEGER,"
            " deliveries INTEGER, body BLOB, reason TEXT)"
        )
        self._db.execute("CREATE INDEX IF NOT EXISTS by_entity ON message (entity, sequence)")
        self._db.execute("CREATE TABLE IF NOT EXISTS subscription (topic TEXT, entity TEXT UNIQUE)")
        self._db.execute("CREATE TABLE IF NOT EXISTS session_state (entity TEXT, session TEXT, state BLOB)")

    def add(self, entity: str, body: bytes, now: int, *, due: int = 0, session: str | None = None) -> int:
        """Store a message, in all subscriptions of a topic; return the sequence number of the last."""
        state = SCHEDULED if due > now else ACTIVE
        rows = [(copy, state, session, due, due or now, 0, 0, body) for copy in self.subscriptions(entity) or [entity]]
        self._db.executemany(
            "INSERT INTO message (entity, state, session, due_ms, enqueued_ms, locked_ms, deliveries, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        (last,) = self._db.execute("SELECT max(sequence) FROM message").fetchone()
        return int(last)

    def subscribe(self, topic: str, entity: str) -> None:
        """Let a subscription get the messages of a topic from now on."""
        self._db.execute("INSERT OR IGNORE INTO subscription VALUES (?, ?)", (topic, entity))

    def subscriptions(self, topic: str) -> list[str]:
        """Return the subscriptions of a topic; none for a queue."""
        return [entity for (entity,) in self._db.execute("SELECT entity FROM subscription WHERE topic = ?", (topic,))]

    def next_session(self, entity: str, taken: set[str], now: int) -> str | None:
        """Return the session of the first message that nobody has locked."""
        rows = self._db.execute(
            "SELECT session FROM message WHERE entity = ? AND session IS NOT NULL AND due_ms <= ? ORDER BY sequence",
            (entity, now),
        )
        return next((session for (session,) in rows if session not in taken), None)

    def lock_next(self, entity: str, session: str | None, now: int, until: int) -> Stored | None:
        """Lock the first message that is free, and return it. A lock that had ended counts as a delivery."""
        row = self._db.execute(
            "SELECT sequence, enqueued_ms, deliveries, body, reason, locked_ms FROM message WHERE entity = ?"
            " AND state != 1 AND due_ms <= ? AND locked_ms <= ? AND session IS ? ORDER BY sequence LIMIT 1",
            (entity, now, now, session),
        ).fetchone()
        return None if row is None else self._lock(row, until)

    def lock_deferred(self, entity: str, sequence: int, until: int) -> Stored | None:
        """Lock a message that was deferred, and return it."""
        row = self._db.execute(
            "SELECT sequence, enqueued_ms, deliveries, body, reason, locked_ms FROM message WHERE entity = ?"
            " AND state = 1 AND sequence = ?",
            (entity, sequence),
        ).fetchone()
        return None if row is None else self._lock(row, until)

    def _lock(self, row: Any, until: int) -> Stored:
        *stored, locked = row
        found = Stored(*stored)
        if locked:
            found = found._replace(deliveries=found.deliveries + 1)
        self._db.execute(
            "UPDATE message SET locked_ms = ?, deliveries = ?, state = iif(state = 2, 0, state) WHERE sequence = ?",
            (until, found.deliveries, found.sequence),
        )
        return found

    def read(self, entity: str, first: int, most: int, *, all_states: bool = False) -> list[Stored]:
        """Return messages from a sequence number on, and lock none."""
        rows = self._db.execute(
            "SELECT sequence, enqueued_ms, deliveries, body, reason FROM message WHERE entity = ? AND sequence >= ?"
            " AND (? OR state = 0) ORDER BY sequence LIMIT ?",
            (entity, first, all_states, most),
        )
        return [Stored(*row) for row in rows]

    def unlock(self, sequence: int, *, delivered: bool, defer: bool = False) -> None:
        """Give a message back; `delivered` counts the delivery."""
        self._db.execute(
            "UPDATE message SET locked_ms = 0, deliveries = deliveries + ?, state = iif(?, 1, state)"
            " WHERE sequence = ?",
            (delivered, defer, sequence),
        )

    def renew(self, sequence: int, until: int) -> None:
        """Lock a message for longer."""
        self._db.execute("UPDATE message SET locked_ms = ? WHERE sequence = ?", (until, sequence))

    def move(self, sequence: int, entity: str, reason: str) -> None:
        """Move a message to a dead-letter queue."""
        self._db.execute(
            "UPDATE message SET entity = ?, reason = ?, locked_ms = 0, state = 0 WHERE sequence = ?",
            (entity, reason, sequence),
        )

    def remove(self, sequence: int) -> int:
        """Remove a message for good; return whether it was there, as a number."""
        return self._db.execute("DELETE FROM message WHERE sequence = ?", (sequence,)).rowcount

    def session_state(self, entity: str, session: str) -> bytes | None:
        """Return what a program has noted for a session."""
        query = "SELECT state FROM session_state WHERE entity = ? AND session = ?"
        row = self._db.execute(query, (entity, session)).fetchone()
        return None if row is None else row[0]

    def set_session_state(self, entity: str, session: str, state: bytes | None) -> None:
        """Note something for a session."""
        self._db.execute("DELETE FROM session_state WHERE entity = ? AND session = ?", (entity, session))
        self._db.execute("INSERT INTO session_state VALUES (?, ?, ?)", (entity, session, state))
