"""Encodes finished buckets for the agent, and puts them into its outbox. Slow work, for a worker thread."""

from __future__ import annotations

from asyncdsm._internal.log import pluralize, warn_each_minute, warn_once
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.bucket import Bucket
from asyncdsm.core.edge import MOST_PATHWAYS
from asyncdsm.core.edge_facts import FactBatch
from asyncdsm.core.lag import Lag
from asyncdsm.core.transactions import TransactionBatch
from asyncdsm.delivery.outbox import Outbox, Parcel, warn_of_full_outbox
from asyncdsm.settings import Settings

EDGES_IN_WARNING = 10
POINTS_IN_WARNING = 1000
"""How many points are asked for their edges: all of them may be many thousands, and the event loop would wait."""


class AgentPacker:
    """Puts each bucket into the outbox as a payload."""

    reads_lags: bool = False

    def __init__(self, aggregator: Aggregator, settings: Settings, outbox: Outbox) -> None:
        self._aggregator, self._settings, self._outbox = aggregator, settings, outbox
        self._has_many_pathways = False

    def import_encoder(self) -> None:
        """Import protobuf and MessagePack, which takes 0.1 s."""
        from asyncdsm.delivery.payload import Transactions, pack  # noqa: PLC0415

        self._encode, self._transactions = pack, Transactions

    def add_bucket(self, bucket: Bucket, batch: TransactionBatch | None, facts: FactBatch | None) -> None:
        """Enqueue a bucket, and the transactions and facts in it."""
        parcel = self._pack_bucket(bucket, batch, facts)
        if parcel is not None:
            warn_of_full_outbox(self._outbox, self._outbox.enqueue(parcel))

    def finish(self, lags: list[Lag]) -> None:
        """Do nothing more: each bucket is a payload."""

    def _pack_bucket(self, bucket: Bucket, batch: TransactionBatch | None, facts: FactBatch | None) -> Parcel | None:
        recorded = bucket.recorded + (0 if batch is None else batch.count)
        try:
            names = self._aggregator.transactions.encode_names()
            transactions = None if batch is None else self._transactions(batch, names)
            packed = self._encode(
                bucket, self._aggregator.bucket_ns, self._settings, transactions=transactions, facts=facts
            )
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
