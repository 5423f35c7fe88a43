"""Reading Kinesis: which shard an iterator belongs to, and how far behind the reading of each shard is."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Any, NamedTuple

from asyncdsm.integration import (
    Lag,
    MalformedValueError,
    add_lag_source,
    ensure_recorder,
    guarded,
    is_consume_suppressed,
    set_current,
)
from asyncdsm.integration.formats import aws
from asyncdsm_botocore.consume import RecentEntries, follow_response, read_record
from asyncdsm_botocore.produce import STATE_KEY, is_call_measured

ITERATOR_SECONDS = 300.0
"""The lifetime of an iterator, by AWS's documentation: a shard that was not read for so long is read no more."""

_MOST_DIGITS = 18  # of a shard's number, which must fit into 64 bits
_MOST_ITERATORS = 8192
_LARGEST_LAG = (1 << 63) - 1


class Shard(NamedTuple):
    """A part of a stream, as the program has named it."""

    stream: str
    name: str

    @property
    def number(self) -> int:
        """The `3` of `shardId-000000000003`; -1 for a name of another form."""
        digits = self.name.rpartition("-")[2]
        return int(digits) if digits.isdecimal() and len(digits) <= _MOST_DIGITS else -1


# By iterator, for all clients: an iterator may be used by another client than the one that asked for it.
_shards: RecentEntries[str, Shard] = RecentEntries(_MOST_ITERATORS)


def shard_of(iterator: Any) -> Shard | None:
    """Return the shard of an iterator, if it is known."""
    return _shards.lookup(iterator) if isinstance(iterator, str) else None


class KinesisReader:
    """The handlers of the reading operations, and the lag of each shard. It lives as long as its client or session."""

    def __init__(self) -> None:
        # Milliseconds, and when they were measured.
        self._behind: dict[Shard, tuple[int, float]] = {}

    def lags(self) -> Iterator[Lag]:
        """Return how many milliseconds the reading of each shard is behind, for shards that are still read."""
        now = monotonic()
        for shard, (milliseconds, then) in list(self._behind.items()):
            if now - then > ITERATOR_SECONDS:
                self._behind.pop(shard, None)
            else:
                seconds = milliseconds / 1000
                yield Lag(
                    None, shard.stream, shard.number, milliseconds, "milliseconds", seconds=seconds, type="kinesis"
                )

    @guarded
    def before_get_iterator(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        """Note the stream and the shard that an iterator is requested for."""
        stream, shard = params.get("StreamARN") or params.get("StreamName"), params.get("ShardId")
        if isinstance(stream, str) and isinstance(shard, str) and is_call_measured(context):
            context[STATE_KEY] = Shard(stream, shard)

    @guarded
    def after_get_iterator(self, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        """Store the shard of the new iterator."""
        shard, iterator = context.pop(STATE_KEY, None), parsed.get("ShardIterator")
        if shard is not None and iterator and isinstance(iterator, str):
            _shards.put(iterator, shard)

    @guarded
    def before_get_records(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        """Note which shard is read."""
        if not is_call_measured(context) or is_consume_suppressed():
            return
        set_current(None)
        shard, arn = shard_of(params.get("ShardIterator")), params.get("StreamARN")
        if isinstance(arn, str):
            shard = Shard(arn, "" if shard is None else shard.name)
        if shard is not None:
            context[STATE_KEY] = shard

    @guarded
    def after_get_records(self, parsed: dict[str, Any], http_response: Any, context: dict[str, Any], **_: Any) -> None:
        """Record the records, and how far behind the reading of their shard is."""
        shard: Shard | None = context.pop(STATE_KEY, None)
        if ensure_recorder() is None or http_response.status_code >= 300:
            return
        if shard is not None:
            self._note_position(shard, parsed.get("NextShardIterator"), parsed.get("MillisBehindLatest"))
        edge = None if shard is None else aws.edges["in", "kinesis", shard.stream]
        follow_response(parsed, "Records", http_response, read_record, edge)

    @guarded
    def _note_position(self, shard: Shard, next_iterator: Any, milliseconds: Any) -> None:
        if not next_iterator or not isinstance(next_iterator, str):  # the shard was closed and is read to its end
            self._behind.pop(shard, None)
            return
        _shards.put(next_iterator, shard)
        if milliseconds is None or shard.number < 0:
            return
        if type(milliseconds) is not int or not 0 <= milliseconds <= _LARGEST_LAG:
            raise MalformedValueError("MillisBehindLatest must be a whole number from 0 to 2^63 - 1")
        add_lag_source(self)
        self._behind[shard] = milliseconds, monotonic()
