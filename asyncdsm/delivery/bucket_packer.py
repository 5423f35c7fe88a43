"""Encodes finished buckets and puts them into the outbox. Slow work, for a worker thread."""

from __future__ import annotations

from collections.abc import Mapping

from asyncdsm._internal.log import pluralize, warn_each_minute, warn_once
from asyncdsm._internal.pauses import yield_gil
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.bucket import Bucket
from asyncdsm.core.edge import MOST_PATHWAYS
from asyncdsm.core.transactions import MOST_NAMES, TransactionBatch
from asyncdsm.delivery.outbox import Outbox, Parcel, warn_of_full_outbox
from asyncdsm.settings import Settings

EDGES_IN_WARNING = 10
POINTS_IN_WARNING = 1000
"""How many points are asked for their edges: all of them may be many thousands, and the event loop would wait."""


class BucketPacker:
    """Takes buckets out of an aggregator, and puts each one into the outbox as a payload."""

    def __init__(self, aggregator: Aggregator, settings: Settings, outbox: Outbox) -> None:
        self._aggregator, self._settings, self._outbox = aggregator, settings, outbox
        self._dropped_by: Mapping[str, int] = {}
        self._offsets_dropped = 0
        self._has_many_pathways = False

    def import_encoder(self) -> None:
        """Import protobuf and MessagePack, which takes 0.1 s. Call it before `pack_buckets`."""
        from asyncdsm.delivery.payload import Transactions, pack  # noqa: PLC0415

        self._encode, self._transactions = pack, Transactions

    def pack_buckets(self, *, unfinished: bool) -> None:
        """Pack all buckets that have ended, with `unfinished` the current one too; and full batches of transactions.

        The worker thread itself puts them into the outbox, so nothing is lost if the wait for it is cancelled.
        """
        before_ns = None if unfinished else self._aggregator.now()
        batches = self._aggregator.take_transactions(before_ns)
        for bucket in self._aggregator.take(before_ns, yield_gil):
            batch = next((batch for batch in batches if batch.start_ns == bucket.start_ns), None)
            if batch is not None:
                batches.remove(batch)
            self._enqueue_bucket(bucket, batch)
        for batch in batches:
            self._enqueue_bucket(Bucket(batch.start_ns), batch)
        self._warn_of_drops()

    def _enqueue_bucket(self, bucket: Bucket, batch: TransactionBatch | None) -> None:
        parcel = self._pack_bucket(bucket, batch)
        if parcel is not None:
            warn_of_full_outbox(self._outbox, self._outbox.enqueue(parcel))

    def _pack_bucket(self, bucket: Bucket, batch: TransactionBatch | None) -> Parcel | None:
        recorded = bucket.recorded + (0 if batch is None else batch.count)
        try:
            names = self._aggregator.transactions.encode_names()
            transactions = None if batch is None else self._transactions(batch, names)
            packed = self._encode(bucket, self._aggregator.bucket_ns, self._settings, transactions=transactions)
            self._warn_of_many_pathways(bucket)
        except Exception as error:
            self._drop_checkpoints(recorded, error)
            return None
        if packed.errors:
            self._drop_checkpoints(packed.lost, packed.errors[0])
        return Parcel(packed.body, recorded - packed.lost)

    def _drop_checkpoints(self, count: int, error: Exception) -> None:
        self._aggregator.counters.drop("encoding", count)
        message = "asyncdsm lost %s, because a bucket could not be encoded: %r"
        warn_each_minute("encoding", message, pluralize(count, "checkpoint"), error, error=error)

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

    def _warn_of_many_pathways(self, bucket: Bucket) -> None:
        if bucket.point_count <= MOST_PATHWAYS or self._has_many_pathways:
            return
        self._has_many_pathways = True
        edges = sorted(", ".join(edge.tags) for edge in bucket.first_edges(POINTS_IN_WARNING))
        warn_once(
            "many-pathways",
            "asyncdsm counts %d distinct pathways in this service, and Datadog drops payloads with more than about %d. "
            "Its edges: %s",
            bucket.point_count,
            MOST_PATHWAYS,
            "; ".join(edges[:EDGES_IN_WARNING]) + (" …" if len(edges) > EDGES_IN_WARNING else ""),
        )
