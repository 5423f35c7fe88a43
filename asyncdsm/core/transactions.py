"""Business transactions: which named checkpoints each of them has passed, and when (protocol §6).

A transaction is named by an id of the program's, such as an order's number. Its checkpoints are kept as the bytes in
which they are sent: no object for each of them, and nothing to encode later.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from threading import RLock
from typing import NamedTuple

from asyncdsm.core.values import check_name
from asyncdsm.errors import MalformedValueError

LONGEST_NAME = 255
"""Bytes in UTF-8. Longer ids and names are cut, as Datadog's tracers cut them."""
MOST_NAMES = 254
"""How many checkpoint names a process may use: their numbers have one byte, and two of those are kept free."""
FULL_BYTES = 512 * 1024
"""A batch of this size is sent before its bucket ends."""
_pack_head = Struct(">BqB").pack


class TransactionBatch:
    """Checkpoints of transactions that passed in one bucket, as bytes."""

    __slots__ = ("count", "records", "start_ns")

    def __init__(self, start_ns: int) -> None:
        self.start_ns: int = start_ns
        """The start of the bucket, in nanoseconds since the epoch."""
        self.records: bytearray = bytearray()
        """For each checkpoint its number (u8), the time (i64 in ns, big-endian), the length of the id (u8), the id."""
        self.count: int = 0


class TransactionTallies(NamedTuple):
    """Numbers of events since the last time that somebody asked."""

    recorded: int
    dropped_by: dict[str, int]
    """How many of those were dropped at once, by cause."""


class TransactionLog:
    """Takes the checkpoints of transactions from any thread, and gives out batches of them."""

    def __init__(self, bucket_ns: int, max_bytes: int) -> None:
        """A bucket is `bucket_ns` long. At most `max_bytes` of records wait; further ones are dropped."""
        self._bucket_ns, self._max_bytes = bucket_ns, max_bytes
        self._lock = RLock()  # a signal handler may record a checkpoint in the middle of each method
        self._batches: list[TransactionBatch] = []
        self._open: dict[int, TransactionBatch] = {}
        self._numbers: dict[str, int] = {}
        self._names = bytearray()
        self._bytes = self._recorded = 0
        self._dropped: dict[str, int] = {}
        self.on_full: Callable[[], object] | None = None
        """Called, in the thread that records, when a batch has become full."""

    def append_record(self, transaction_id: bytes, checkpoint: str, now_ns: int) -> None:
        """Take one checkpoint: an id of at most `LONGEST_NAME` bytes, a name, and a time in ns since the epoch."""
        with self._lock:
            self._recorded += 1
            number = self._numbers.get(checkpoint) or self._add_name(checkpoint)
            if number is None:
                self._drop("checkpoint_names")
            elif self._bytes >= self._max_bytes:
                self._drop("transactions")
            else:
                self._append_bytes(_pack_head(number, now_ns, len(transaction_id)) + transaction_id, now_ns)

    def take(self, before_ns: int | None) -> list[TransactionBatch]:
        """Return the batches that are full or whose bucket ended at or before `before_ns` (None: all), and forget them.

        They are in the order in which they began.
        """
        with self._lock:
            taken = [batch for batch in self._batches if self._is_done(batch, before_ns)]
            self._batches = [batch for batch in self._batches if not self._is_done(batch, before_ns)]
            self._open = {batch.start_ns: batch for batch in self._batches}
            self._bytes -= sum(len(batch.records) for batch in taken)
            return taken

    def take_tallies(self) -> TransactionTallies:
        """Return the numbers since the last call."""
        with self._lock:
            tallies = TransactionTallies(self._recorded, self._dropped)
            self._recorded, self._dropped = 0, {}
            return tallies

    def encode_names(self) -> bytes:
        """Return all names so far: for each its number (u8), its length (u8), the name."""
        with self._lock:
            return bytes(self._names)

    def _append_bytes(self, record: bytes, now_ns: int) -> None:
        start = now_ns - now_ns % self._bucket_ns
        batch = self._open.get(start)
        if batch is None:
            batch = self._open[start] = TransactionBatch(start)
            self._batches.append(batch)
        batch.records += record
        batch.count += 1
        self._bytes += len(record)
        if len(batch.records) >= FULL_BYTES:
            self._open.pop(start, None)  # a signal handler may have filled it, too
            if self.on_full is not None:
                self.on_full()

    def _add_name(self, checkpoint: str) -> int | None:
        """Give a new name a number, if there is one left."""
        if len(self._numbers) >= MOST_NAMES:
            return None
        number = self._numbers[checkpoint] = len(self._numbers) + 1
        name = to_wire_bytes(checkpoint)
        self._names += bytes((number, len(name))) + name
        return number

    def _drop(self, cause: str) -> None:
        self._dropped[cause] = self._dropped.get(cause, 0) + 1

    def _is_done(self, batch: TransactionBatch, before_ns: int | None) -> bool:
        # One from the future is done too: the clock was set back.
        if before_ns is None or len(batch.records) >= FULL_BYTES:
            return True
        return not before_ns - self._bucket_ns < batch.start_ns <= before_ns + self._bucket_ns


def check_transaction(transaction_id: object, checkpoint: object) -> tuple[bytes, str]:
    """Return an id as bytes, and the name of a checkpoint. Raises MalformedValueError unless both are strings.

    The empty string is neither.
    """
    checked_id = check_name("a transaction's id", transaction_id)
    checked_name = check_name("the checkpoint of a transaction", checkpoint)
    if not (checked_id and checked_name):
        raise MalformedValueError("a transaction's id and its checkpoint must not be empty")
    return to_wire_bytes(checked_id), checked_name


def to_wire_bytes(name: str) -> bytes:
    """Return an id or a name in UTF-8, cut to `LONGEST_NAME` bytes; `?` stands for what UTF-8 cannot encode."""
    return name.encode("utf-8", "replace")[:LONGEST_NAME]
