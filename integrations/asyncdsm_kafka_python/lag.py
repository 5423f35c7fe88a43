"""How far a consumer is behind, from the positions and high watermarks that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakSet, ref

from asyncdsm.integration import Lag, add_lag_source, guarded, is_hook, remove_lag_source
from asyncdsm.integration.formats.kafka import read_offset
from asyncdsm_kafka_python.client import follow_consumer


@guarded
def report_lag(consumer: Any) -> None:
    """Report the lag of a consumer from now on, unless that is done already."""
    client = follow_consumer(consumer)
    if client.lag_source is None:
        client.lag_source = source = ConsumerLag(consumer)
        add_lag_source(source)
        _sources.add(source)


def forget_instrumented() -> None:
    """Report no more lag of consumers that were followed by the hooks of their class alone."""
    for source in list(_sources):
        source.forget_unless_wrapped()


class ConsumerLag:
    """The lag of one consumer, for as long as it lives."""

    def __init__(self, consumer: Any) -> None:
        self._consumer, self._client = ref(consumer), follow_consumer(consumer)

    def forget_unless_wrapped(self) -> None:
        """Report no more lag, unless the consumer itself was wrapped."""
        consumer = self._consumer()
        if consumer is None or not is_hook(vars(consumer).get("poll")):
            self._client.lag_source = None
            remove_lag_source(self)
            _sources.discard(self)

    def lags(self) -> Iterator[Lag]:
        """Return the lag of each assigned partition whose end and position are known.

        The end of a paused partition grows old, and nobody knows how old it is: such a partition has no lag.
        The consumer belongs to another thread: only what it holds is read, and its partitions are copied first.
        """
        consumer = self._consumer()
        if consumer is None or consumer._closed:
            return
        for tp, state in list(consumer._subscription.assignment.items()):
            position = getattr(state.position, "offset", state.position)
            end, at = read_offset(state.highwater), read_offset(position)
            if end is not None and at is not None and not state.paused:
                yield self._client.make_lag(tp.topic, tp.partition, at, end, self._client.polled_ns)


_sources: WeakSet[ConsumerLag] = WeakSet()
