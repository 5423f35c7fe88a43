"""Digests of the bodies that were accepted and may be sent again, in the table `accepted_bodies` of the store's file.

A digest is written together with its payload, so that an agent that ended before its answer arrived recognizes the body
when it comes again. It is deleted when the sender has the answer, after some minutes, or if there are too many.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import islice, takewhile
from typing import NamedTuple

from asyncdsm.agent.store.limits import REMEMBERED_SECONDS

BODY_TABLE = "CREATE TABLE IF NOT EXISTS accepted_bodies (id INTEGER PRIMARY KEY, received REAL, digest BLOB)"
# Digests are random: with an index of them, each one that is written would change another page of the file.


class AcceptedBody(NamedTuple):
    """A row of the table. Ids ascend; times may not, since a clock can be set."""

    id: int
    received: float
    digest: bytes


class BodyChanges(NamedTuple):
    """What one transaction changes in the table."""

    added: list[AcceptedBody]
    deleted: list[AcceptedBody]
    answered: int
    """How many answers are taken into account."""


class AcceptedBodies:
    """Knows the rows of the table. One thread at a time may use it, but any thread may call `forget`."""

    def __init__(self, connection: sqlite3.Connection, most: int) -> None:
        """Read the table, which is to have `most` rows at most. Raises sqlite3.Error."""
        rows = connection.execute("SELECT id, received, digest FROM accepted_bodies ORDER BY id")
        self._known = {body.digest: body for body in map(AcceptedBody._make, rows)}
        self._next_id = max((body.id for body in self._known.values()), default=0) + 1
        self._most = most
        self._answered: list[bytes] = []

    @property
    def is_saved(self) -> bool:
        """Whether no row waits to be deleted."""
        return not self._answered

    def ages(self, now: float) -> list[tuple[bytes, float]]:
        """Return the digests and how many seconds ago their bodies were accepted, the oldest first."""
        ages = ((body.digest, max(0.0, now - body.received)) for body in self._known.values())
        return [(digest, age) for digest, age in ages if age <= REMEMBERED_SECONDS]

    def forget(self, digest: bytes) -> None:
        """Delete a digest with the next transaction, if it is known: the sender of its body has the answer."""
        if digest in self._known:
            self._answered.append(digest)

    def write_digests(self, connection: sqlite3.Connection, received: float, digests: Iterable[bytes]) -> BodyChanges:
        """Write the digests of bodies that were received at a time in seconds, and delete what is not needed any more.

        Call `set_written` with the result once that is committed. Raises sqlite3.Error.
        """
        added = [AcceptedBody(self._next_id + index, received, digest) for index, digest in enumerate(digests)]
        answered = self._answered[:]
        # The same body may come from another process after the first one was answered.
        unneeded = [self._known[each] for each in {*answered, *(body.digest for body in added)} if each in self._known]
        deleted = [*unneeded, *self._expired(received, len(added))]
        connection.executemany("DELETE FROM accepted_bodies WHERE id = ?", [(body.id,) for body in deleted])
        connection.executemany("INSERT INTO accepted_bodies VALUES (?, ?, ?)", added)
        return BodyChanges(added, deleted, len(answered))

    def set_written(self, changes: BodyChanges) -> None:
        """Note that changes were committed."""
        del self._answered[: changes.answered]
        for body in changes.deleted:
            self._known.pop(body.digest, None)
        self._known.update((body.digest, body) for body in changes.added)
        self._next_id += len(changes.added)

    def _expired(self, now: float, added: int) -> list[AcceptedBody]:
        """Return the rows that are too old, and the oldest of those that are too many."""
        oldest, too_many = now - REMEMBERED_SECONDS, max(0, len(self._known) + added - self._most)
        old = takewhile(lambda body: body.received < oldest, islice(self._known.values(), too_many, None))
        return [*islice(self._known.values(), too_many), *old]
