"""Encodes finished buckets and puts them into the outbox. Slow work, for a worker thread."""

from __future__ import annotations

from asyncdsm._internal.log import pluralize, warn_each_minute, warn_once
from asyncdsm._internal.pauses import yield_gil
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.bucket import Bucket
from asyncdsm.core.edge import MOST_PATHWAYS
from asyncdsm.delivery.outbox import Outbox, Parcel, warn_of_full_outbox
from asyncdsm.settings import Settings

EDGES_IN_WARNING = 10
POINTS_IN_WARNING = 1000
"""How many points are asked for their edges: all of them may be many thousands, and the event loop would wait."""


class BucketPacker:
    """Takes buckets out of an aggregator, and puts each one into the outbox as a payload."""

    def __init__(self, aggregator: Aggregator, settings: Settings, outbox: Outbox) -> None:
        self._aggregator, self._settings, self._outbox = aggregator, settings, outbox
        self._points_dropped = 0
        self._has_many_pathways = False

    def import_encoder(self) -> None:
        """Import protobuf and MessagePack, which takes 0.1 s. Call it before `pack_buckets`."""
        from asyncdsm.delivery.payload import pack  # noqa: PLC0415

        self._encode = pack

    def pack_buckets(self, *, unfinished: bool) -> None:
        """Pack all buckets that have ended, and with `unfinished` the current one too.

        The worker thread itself puts them into the outbox, so nothing is lost if the wait for it is cancelled.
        """
        before_ns = None if unfinished else self._aggregator.now()
        for bucket in self._aggregator.take(before_ns, yield_gil):
            parcel = self._pack_bucket(bucket)
            if parcel is not None:
                warn_of_full_outbox(self._outbox, self._outbox.enqueue(parcel))
        self._warn_of_dropped_points()

    def _pack_bucket(self, bucket: Bucket) -> Parcel | None:
        try:
            packed = self._encode(bucket, self._aggregator.bucket_ns, self._settings)
            self._warn_of_many_pathways(bucket)
        except Exception as error:
            self._drop_checkpoints(bucket.recorded, error)
            return None
        if packed.errors:
            self._drop_checkpoints(packed.lost, packed.errors[0])
        return Parcel(packed.body, bucket.recorded - packed.lost)

    def _drop_checkpoints(self, count: int, error: Exception) -> None:
        self._aggregator.counters.drop("encoding", count)
        message = "asyncdsm lost %s, because a bucket could not be encoded: %r"
        warn_each_minute("encoding", message, pluralize(count, "checkpoint"), error, error=error)

    def _warn_of_dropped_points(self) -> None:
        dropped = self._aggregator.counters.to_stats().dropped_by.get("points", 0)
        if dropped > self._points_dropped:
            self._points_dropped = dropped
            warn_each_minute(
                "points",
                "asyncdsm has dropped %s so far, because there are more than %d distinct pairs of an edge and its "
                "parent (max_points)",
                pluralize(dropped, "checkpoint"),
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
