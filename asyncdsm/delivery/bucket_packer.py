"""Takes finished buckets and has them encoded for each destination. Slow work, for a worker thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from asyncdsm._internal.log import pluralize, warn_each_minute
from asyncdsm._internal.pauses import yield_gil
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.bucket import Bucket
from asyncdsm.core.edge_facts import FactBatch
from asyncdsm.core.lag import Lag
from asyncdsm.core.transactions import MOST_NAMES, TransactionBatch
from asyncdsm.settings import Settings


class Packer(Protocol):
    """Encodes what is measured for one destination, and puts it into the outbox."""

    reads_lags: bool
    """Whether `finish` wants to know the lags."""

    def import_encoder(self) -> None:
        """Import what encodes, which may take long. Called before all else."""

    def add_bucket(self, bucket: Bucket, batch: TransactionBatch | None, facts: FactBatch | None) -> None:
        """Encode a bucket, and the transactions and facts in it. Raises nothing: what cannot be encoded is counted."""

    def finish(self, lags: list[Lag]) -> None:
        """Encode what is not encoded yet, after all buckets that have ended. Raises nothing."""


class _OfBucket(Protocol):
    """What belongs to the bucket that starts at `start_ns`."""

    start_ns: int


Part = TypeVar("Part", bound=_OfBucket)


class BucketPacker:
    """Takes buckets out of an aggregator, and gives each one to the packers of all destinations."""

    def __init__(self, aggregator: Aggregator, settings: Settings, packers: Sequence[Packer]) -> None:
        self._aggregator, self._settings, self._packers = aggregator, settings, packers
        self._dropped_by: Mapping[str, int] = {}
        self._offsets_dropped = 0
        self.reads_lags: bool = any(packer.reads_lags for packer in packers)
        """Whether `pack_buckets` wants to know the lags."""

    def pack_buckets(self, *, unfinished: bool, lags: list[Lag]) -> None:
        """Pack all buckets that have ended, with `unfinished` the current one too; and full batches of transactions.

        The worker thread itself puts them into the outbox, so nothing is lost if the wait for it is cancelled.
        """
        before_ns = None if unfinished else self._aggregator.now()
        batches, facts = self._aggregator.take_transactions(before_ns), self._aggregator.take_facts(before_ns)
        for bucket in self._aggregator.take(before_ns, yield_gil):
            self._add_bucket(bucket, _pop_part(batches, bucket.start_ns), _pop_part(facts, bucket.start_ns))
        for batch in batches:
            self._add_bucket(Bucket(batch.start_ns), batch, _pop_part(facts, batch.start_ns))
        for rest in facts:
            self._add_bucket(Bucket(rest.start_ns), None, rest)
        for packer in self._packers:
            packer.finish(lags)
        self._warn_of_drops()

    def _add_bucket(self, bucket: Bucket, batch: TransactionBatch | None, facts: FactBatch | None) -> None:
        for packer in self._packers:
            packer.add_bucket(bucket, batch, facts)

    def _warn_of_drops(self) -> None:
        stats = self._aggregator.counters.to_stats()
        self._warn_of_dropped_offsets(stats.offsets_dropped)
        before, self._dropped_by = self._dropped_by, stats.dropped_by
        dropped = {cause: count for cause, count in self._dropped_by.items() if count > before.get(cause, 0)}
        if "points" in dropped:
            warn_each_minute(
                "points",
                "asyncdsm has dropped %s so far, because there are more than %d distinct pairs of an edge and its "
                "parent (max_points)",
                pluralize(dropped["points"], "checkpoint"),
                self._settings.max_points,
            )
        if "transactions" in dropped:
            warn_each_minute(
                "transactions",
                "asyncdsm has dropped %s of business transactions so far, because more than %d bytes of them waited to "
                "be sent (max_transaction_bytes)",
                pluralize(dropped["transactions"], "checkpoint"),
                self._settings.max_transaction_bytes,
            )
        if "checkpoint_names" in dropped:
            warn_each_minute(
                "checkpoint_names",
                "asyncdsm has dropped %s of business transactions so far, because they have more than %d names",
                pluralize(dropped["checkpoint_names"], "checkpoint"),
                MOST_NAMES,
            )

    def _warn_of_dropped_offsets(self, count: int) -> None:
        before, self._offsets_dropped = self._offsets_dropped, count
        if count > before:
            warn_each_minute(
                "offsets",
                "asyncdsm has dropped %s so far, because there are more than %d distinct partitions and "
                "groups whose offsets are recorded (max_points)",
                pluralize(count, "offset"),
                self._settings.max_points,
            )


def _pop_part(parts: list[Part], start_ns: int) -> Part | None:
    """Remove what belongs to the bucket that starts at `start_ns` from a list, and return it; None without any."""
    found = next((part for part in parts if part.start_ns == start_ns), None)
    if found is not None:
        parts.remove(found)
    return found
