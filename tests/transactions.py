"""Business transactions as bytes, written and read by hand: what the library sends, and what the agent reads."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Passed(NamedTuple):
    """A transaction that passed a checkpoint, as it is on the wire."""

    checkpoint: str
    time_ns: int
    id: str


def write_records(*records: tuple[int, int, bytes]) -> bytes:
    """Return records, each of the number of a checkpoint, a time in nanoseconds, and an id."""
    return b"".join(struct.pack(">BqB", number, time_ns, len(id_)) + id_ for number, time_ns, id_ in records)


def write_names(names: Mapping[int, bytes]) -> bytes:
    """Return the names of checkpoints by their numbers."""
    return b"".join(struct.pack("BB", number, len(name)) + name for number, name in names.items())


def write_transactions(passed: Iterable[Passed]) -> dict[str, bytes]:
    """Return the two fields of a bucket, as a tracer writes them."""
    listed = list(passed)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(each.checkpoint for each in listed), 1)}
    records = write_records(*((numbers[each.checkpoint], each.time_ns, each.id.encode()) for each in listed))
    names = write_names({number: name.encode() for name, number in numbers.items()})
    return {"Transactions": records, "TransactionCheckpointIds": names}


def read_transactions(records: bytes, names: bytes) -> list[Passed]:
    """Return what two fields of a bucket say. Raises an error for anything that is not exactly as it should be."""
    name_of = dict[int, str]()
    while names:
        number, length = struct.unpack_from("BB", names)
        name_of[number], names = names[2 : 2 + length].decode("utf-8", "replace"), names[2 + length :]
    passed = list[Passed]()
    while records:
        number, time_ns, length = struct.unpack_from(">BqB", records)
        id_, records = records[10 : 10 + length].decode("utf-8", "replace"), records[10 + length :]
        passed.append(Passed(name_of[number], time_ns, id_))
    return passed
