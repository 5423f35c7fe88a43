"""How far a consumer is behind, from the positions and high watermarks that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakSet, WeakValueDictionary, ref

from aiokafka import AIOKafkaConsumer

from asyncdsm.integration import Lag, add_lag_source, after_await, is_hook, remove_lag_source
from asyncdsm.integration.formats.kafka import read_name, read_offset, read_time
from asyncdsm_aiokafka.client import Client, client_of


@after_await
def observe_consumer_start(_result: Any, consumer: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `AIOKafkaConsumer.start`."""
    follow_consumer(consumer)


def follow_consumer(consumer: Any) -> Client:
    """Return what is known of a consumer's client. The first call learns its group and adds its lag. **Hot**."""
    try:
        client: Client = consumer._client.cluster._asyncdsm  # 50 ns sooner than `client_of`
    except AttributeError:
        client = client_of(consumer._client.cluster)
    if client.lag_source is None:
        client.group = read_name(consumer._group_id)
        if _overrides_receiving(type(consumer)):
            client.counted = WeakValueDictionary()
        client.lag_source = source = ConsumerLag(consumer)
        add_lag_source(source)
        _sources.add(source)
    return client


def _overrides_receiving(cls: type[AIOKafkaConsumer]) -> bool:
    """Say whether a class has a `getone` or `getmany` of its own, which may call the other one or aiokafka's."""
    return cls.getone is not AIOKafkaConsumer.getone or cls.getmany is not AIOKafkaConsumer.getmany


def forget_instrumented() -> None:
    """Report no more lag of consumers that were followed by the hooks of their class alone."""
    for source in list(_sources):
        source.forget_unless_wrapped()


class ConsumerLag:
    """The lag of one consumer, for as long as it lives."""

    def __init__(self, consumer: Any) -> None:
        self._consumer, self._client = ref(consumer), client_of(consumer._client.cluster)

    def forget_unless_wrapped(self) -> None:
        """Report no more lag, unless the consumer itself was wrapped."""
        consumer = self._consumer()
        if consumer is None or not is_hook(vars(consumer).get("getone")):
            self._client.lag_source = None
            remove_lag_source(self)

    def lags(self) -> Iterator[Lag]:
        """Return the lag of each assigned partition whose end and position are known.

        The end is as old as the last fetch, whose time is `seen_ns`: a partition is not fetched while it is paused, or
        while fetched records wait to be read. An end that was fetched before the cluster became another one is not
        that partition's.
        """
        consumer = self._consumer()
        if consumer is None or consumer._closed:
            return
        assignment = getattr(consumer._subscription.subscription, "assignment", None)
        if assignment is None:
            return
        for tp in assignment.tps:
            if not assignment.active:  # others were assigned meanwhile
                return
            state = assignment.state_value(tp)
            end, seen_ns = read_offset(state.highwater), read_time(getattr(state, "timestamp", None))
            if seen_ns is not None and seen_ns < self._client.cluster_changed_ns:
                continue
            if end is not None and state.has_valid_position:
                yield self._client.make_lag(tp.topic, tp.partition, state.position, end, seen_ns)


_sources: WeakSet[ConsumerLag] = WeakSet()
