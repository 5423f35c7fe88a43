"""What a consumer of Kinesis reads: shards, by iterators that do not say whose they are."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Any, NamedTuple

from asyncdsm import aws, checkpoint, lag
from asyncdsm_botocore.departing import OURS, harmless, is_followed
from asyncdsm_botocore.received import following, streamed

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
        return int(digits) if digits.isdecimal() else -1


class Memory:
    """Which shard an iterator is of, for some thousands of iterators: the oldest half goes when there are too many."""

    def __init__(self, most: int = 8192) -> None:
        self._half = most // 2
        self._newer: dict[str, Shard] = {}
        self._older: dict[str, Shard] = {}

    def keep(self, iterator: str, shard: Shard) -> None:
        """Remember an iterator's shard. From any thread: every step leaves the memory whole."""
        if len(self._newer) >= self._half:
            self._newer, self._older = {}, self._newer
        self._newer[iterator] = shard

    def shard(self, iterator: Any) -> Shard | None:
        """Return an iterator's shard, if it is remembered."""
        return self._newer.get(iterator) or self._older.get(iterator)


_memory = Memory()
"""Of all clients: an iterator that one was given may be used by another."""


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
        if shard is not None and iterator:
            _memory.keep(iterator, shard)

    @harmless
    def ask(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        """Note which shard is read."""
        if not is_followed(context) or checkpoint.is_received_above():
            return
        checkpoint.set_current(None)
        shard, arn = _memory.shard(params.get("ShardIterator")), params.get("StreamARN")
        if isinstance(arn, str):
            shard = Shard(arn, "" if shard is None else shard.name)
        if shard is not None:
            context[OURS] = shard

    @harmless
    def received(self, parsed: dict[str, Any], http_response: Any, context: dict[str, Any], **_: Any) -> None:
        """Record the records, and how far behind they leave the reader."""
        shard: Shard | None = context.pop(OURS, None)
        if checkpoint.running() is None or http_response.status_code >= 300:
            return
        if shard is not None:
            self._note(shard, parsed.get("NextShardIterator"), parsed.get("MillisBehindLatest"))
        records = parsed.get("Records")
        if not records:
            return
        edge = None if shard is None else aws.edge("in", "kinesis", shard.stream)
        parsed["Records"] = following(records, map(streamed, records), edge)

    def _note(self, shard: Shard, next_iterator: Any, milliseconds: Any) -> None:
        if not next_iterator:  # read to its end: the shard was closed
            self._behind.pop(shard, None)
            return
        _memory.keep(next_iterator, shard)
        if isinstance(milliseconds, int) and shard.number >= 0:
            lag.add_source(self)
            self._behind[shard] = milliseconds, monotonic()
