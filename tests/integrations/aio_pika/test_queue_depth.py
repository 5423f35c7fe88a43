"""aio-pika on a real RabbitMQ: the depth of a queue is its lag."""

from __future__ import annotations

from aio_pika.abc import AbstractChannel

from asyncdsm.core.lag import current_lags
from asyncdsm.testing import Captured
from tests.integrations.aio_pika.clients import Name, publish


async def test_queue_depth_is_reported_as_lag(
    channel: AbstractChannel, bare: AbstractChannel, captured_streams: Captured, name: Name
) -> None:
    queue = await channel.declare_queue(name())

    def depth() -> int:
        (lag,) = [lag for lag in current_lags() if lag.topic == queue.name]
        assert (lag.group, lag.partition, lag.unit) == (None, None, "ready")
        assert lag.seen_ns is not None
        return lag.behind

    assert depth() == 0
    await publish(bare, queue, b"1", b"2", b"3")
    for left in (2, 1, 0):
        await queue.get(no_ack=True)
        assert depth() == left
    await publish(bare, queue, b"1", b"2")
    assert depth() == 0
    await channel.declare_queue(queue.name)
    assert depth() == 2
    await queue.purge()
    assert await queue.get(fail=False) is None
    assert depth() == 0
