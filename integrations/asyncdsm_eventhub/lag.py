"""How far a consumer is behind, where the program asks the client to track the ends of partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from asyncdsm.integration import Lag, add_lag_source
from asyncdsm_eventhub.edges import TYPE


class Ends:
    """The lag of each partition that one call of `receive` reads: what came with the last event of it."""

    def __init__(self) -> None:
        self._lags = dict[str, Lag]()

    def lags(self) -> Iterable[Lag]:
        """Return the lag of each partition."""
        return list(self._lags.values())

    def note_end(self, context: Any, event: Any) -> None:
        """Note what an event tells of the end of its partition. Without tracking, that is nothing."""
        if not event._message.delivery_annotations:
            return
        last = context.last_enqueued_event_properties or {}
        end, number, seen = last.get("sequence_number"), event.sequence_number, last.get("retrieval_time")
        if end is None or number is None:
            return
        if not self._lags:
            add_lag_source(self)
        partition = context.partition_id
        self._lags[partition] = Lag(
            context.consumer_group,
            context.eventhub_name,
            int(partition),
            max(end - number, 0),
            end=end + 1,
            seen_ns=None if seen is None else int(seen.timestamp() * 1000) * 1_000_000,
            type=TYPE,
        )

    def make_close_callback(self, callback: Callable[..., Any] | None, *, is_coroutine: bool) -> Callable[..., Any]:
        """Return a callback for when somebody else reads a partition, which forgets it and calls the program's own."""

        def close(context: Any, /, *args: Any, **kwargs: Any) -> Any:
            self._lags.pop(context.partition_id, None)
            return None if callback is None else callback(context, *args, **kwargs)

        async def close_async(context: Any, /, *args: Any, **kwargs: Any) -> Any:
            self._lags.pop(context.partition_id, None)
            return None if callback is None else await callback(context, *args, **kwargs)

        return close_async if is_coroutine else close
