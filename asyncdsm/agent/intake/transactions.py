"""Reads the checkpoints of business transactions in a bucket: `Transactions`, `TransactionCheckpointIds` (protocol §6).

Both are bytes that a service has made, so each length is checked. What cannot be read is left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterator

from asyncdsm.agent.intake.field_reader import UnreadFields
from asyncdsm.agent.store.reports import TransactionReport

MOST_TRANSACTIONS = 100_000
"""How many checkpoints of transactions are read of one payload. A batch that is sent early has some 20,000."""
_TIME = slice(1, 9)
_HEAD_BYTES = 10


def read_transactions(
    records: bytes, names: bytes, path: str, unread: UnreadFields, most: int = MOST_TRANSACTIONS
) -> list[TransactionReport]:
    """Return the checkpoints in a bucket at `path`, at most `most` of them. What is left out is added to `unread`."""
    if not records:
        return []
    name_of = dict(_read_names(names, f"{path}.TransactionCheckpointIds", unread))
    read, path = list[TransactionReport](), f"{path}.Transactions"
    for number, time_ns, transaction_id in _read_records(records, path, unread):
        if len(read) >= most:
            unread.add("Transactions", path, f"has more than {most} checkpoints of transactions in one payload")
            break
        name = name_of.get(number)
        if not name or not transaction_id:
            unread.add("Transactions", path, f"has a record without an id, or without a name for checkpoint {number}")
        else:
            read.append(TransactionReport(transaction_id.decode("utf-8", "replace"), name, time_ns))
    return read


def _read_records(records: bytes, path: str, unread: UnreadFields) -> Iterator[tuple[int, int, bytes]]:
    """Yield the number of the checkpoint, the time in nanoseconds and the id of each record."""
    at = 0
    while at < len(records):
        head = records[at : at + _HEAD_BYTES]
        end = at + _HEAD_BYTES + (head[-1] if len(head) == _HEAD_BYTES else 0)
        if len(head) < _HEAD_BYTES or end > len(records):
            unread.add("Transactions", path, f"ends in the middle of a record, after {at} bytes")
            return
        yield head[0], int.from_bytes(head[_TIME], "big", signed=True), records[at + _HEAD_BYTES : end]
        at = end


def _read_names(names: bytes, path: str, unread: UnreadFields) -> Iterator[tuple[int, str]]:
    """Yield the number and the name of each checkpoint."""
    at = 0
    while at < len(names):
        end = at + 2 + (names[at + 1] if at + 1 < len(names) else 0)
        if at + 2 > len(names) or end > len(names):
            unread.add("TransactionCheckpointIds", path, f"ends in the middle of a name, after {at} bytes")
            return
        yield names[at], names[at + 2 : end].decode("utf-8", "replace")
        at = end
