"""The sizes that AWS takes: a context is never what makes a message too large."""

from __future__ import annotations

from collections.abc import Iterable

KIB, MIB = 1 << 10, 1 << 20

MESSAGE = (256 * KIB, MIB)
"""Of a message, or a batch, of SQS, SNS and EventBridge: the limit that was, and stands on many queues, and today's."""
RECORD = (MIB - 1,)
"""Of a record of Kinesis: under 1 MiB with the context (protocol §3), though a stream may take more."""
RECORDS = (5 * MIB, 10 * MIB)
"""Of a request of Kinesis."""

MOST_ATTRIBUTES = 10


class Room:
    """What may be added before a limit is crossed: one that was kept without us is not crossed on our account."""

    def __init__(self, size: int, limits: Iterable[int]) -> None:
        """`size` is that of the caller's own content."""
        self.left: int = min((limit - size for limit in limits if limit >= size), default=0)

    def holds(self, size: int) -> bool:
        """Say whether there is room for so much more."""
        return size <= self.left

    def take(self, size: int) -> None:
        """Fill some of it."""
        self.left -= size
