"""Contexts as a busy topic brings them: every message has its own, ten share a millisecond."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from time import time_ns

MESSAGES_PER_MS = 10
_MS = 1_000_000


def contexts(count: int, parents: Sequence[int] = (0x5EED,)) -> list[str]:
    """Return the base64 texts of `count` messages, in the order in which they were sent: just now.

    Each has come from one of the `parents`, picked at random, and began up to 50 ms before.
    """
    from asyncdsm import Pathway

    random, first = Random(count), time_ns() - count // MESSAGES_PER_MS * _MS
    sent = [first + number // MESSAGES_PER_MS * _MS for number in range(count)]
    return [Pathway(random.choice(parents), at - random.randrange(50) * _MS, at).encode_base64() for at in sent]
