"""What a consumer of Kinesis reads: shards, by iterators that do not say whose they are."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Any, NamedTuple

from asyncdsm.core import checkpoint, current, lag
from asyncdsm.core.values import MAX_INT64
from asyncdsm.errors import MalformedValueError
from asyncdsm.integration.formats import aws
from asyncdsm_botocore.departing import OURS, harmless, is_followed
from asyncdsm_botocore.memory import Recent
from asyncdsm_botocore.received import follow_answer, read_streamed

ITERATOR_SECONDS = 300.0
"""An iterator lives so long, says AWS: who has not read a shard since then reads it no more."""


class Shard(NamedTuple):
    """A part of a stream, as the consumer named it."""

    stream: str
    name: str

    @property
    def number(self) -> int:
        """The `3` of `shardId-000000000003`; -1 for a name of another form."""
        digits = self.name.rpartition("-")[2]
        return int(digits) if digits.isdecimal() and len(digits) <= _MOST_DIGITS else -1


_MOST_DIGITS = 18  # of a shard's number: it must fit into 64 bits
_MOST_ITERATORS = 8192

# Which shard an iterator belongs to. All clients share it: an iterator that one was given may be used by another.
_shards: Recent[str, Shard] = Recent(_MOST_ITERATORS)


def shard_of(iterator: Any) -> Shard | None:
    """Return an iterator's shard, if it is remembered."""
    return _shards.find(iterator) if isinstance(iterator, str) else None


class Reader:
    """The handlers for what is read, and how far behind that is: they live as long as their client or session."""

    def __init__(self) -> None:
        self._behind: dict[Shard, tuple[int, float]] = {}
        """Milliseconds, and when that was."""

    def lags(self) -> Iterator[lag.Lag]:
        """Return how many milliseconds the reading of each shard is behind, of those that are still read."""
        now = monotonic()
        for shard, (milliseconds, then) in list(self._behind.items()):
            if now - then > ITERATOR_SECONDS:
                self._behind.pop(shard, None)
            else:
                yield lag.Lag(None, shard.stream, shard.number, milliseconds, "milliseconds")

    @harmless
    def ask_iterator(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        """Note the name of the stream and the shard that the iterator is asked for."""
        stream, shard = params.get("StreamARN") or params.get("StreamName"), params.get("ShardId")
        if isinstance(stream, str) and isinstance(shard, str) and is_followed(context):
            context[OURS] = Shard(stream, shard)

    @harmless
    def given_iterator(self, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        """Remember the iterator."""
        shard, iterator = context.pop(OURS, None), parsed.get("ShardIterator")
        if shard is not None and iterator and isinstance(iterator, str):
            _shards.keep(iterator, shard)

    @harmless
    def ask(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        """Note which shard is read."""
        if not is_followed(context) or current.is_consume_suppressed():
            return
        current.set_current(None)
        shard, arn = shard_of(params.get("ShardIterator")), params.get("StreamARN")
        if isinstance(arn, str):
            shard = Shard(arn, "" if shard is None else shard.name)
        if shard is not None:
            context[OURS] = shard

    @harmless
    def received(self, parsed: dict[str, Any], http_response: Any, context: dict[str, Any], **_: Any) -> None:
        """Record the records, and how far behind they leave the reader."""
        shard: Shard | None = context.pop(OURS, None)
        if checkpoint.ensure_recorder() is None or http_response.status_code >= 300:
            return
        if shard is not None:
            self._note_position(shard, parsed.get("NextShardIterator"), parsed.get("MillisBehindLatest"))
        edge = None if shard is None else aws.edge("in", "kinesis", shard.stream)
        follow_answer(parsed, "Records", http_response, read_streamed, edge)

    @harmless
    def _note_position(self, shard: Shard, next_iterator: Any, milliseconds: Any) -> None:
        if not next_iterator or not isinstance(next_iterator, str):  # read to its end: the shard was closed
            self._behind.pop(shard, None)
            return
        _shards.keep(next_iterator, shard)
        if milliseconds is None or shard.number < 0:
            return
        if type(milliseconds) is not int or not 0 <= milliseconds <= MAX_INT64:
            raise MalformedValueError("MillisBehindLatest must be a whole number from 0 to 2^63 - 1")
        lag.add_lag_source(self)
        self._behind[shard] = milliseconds, monotonic()
