"""The outbox and its delivery: bounded, retried, and every checkpoint accounted for."""

from __future__ import annotations

import logging

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdsm._internal import log
from asyncdsm.core.counters import Counters
from asyncdsm.delivery.outbox import Outbox, Parcel
from asyncdsm.delivery.retry import ENDPOINT_CHECK_SECONDS, Delivery
from asyncdsm.errors import NoEndpointError, PayloadRefusedError, TemporaryDeliveryError


@pytest.fixture(autouse=True)
def forget_warnings() -> None:
    log.forget_warnings()


class Scripted:
    """An exporter that fails as told, then takes everything."""

    def __init__(self, *failures: Exception | None) -> None:
        self.failures, self.taken = list(failures), list[bytes]()
        self.listed = 0

    async def export(self, payload: bytes) -> None:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.taken.append(payload)

    async def lists_endpoint(self) -> bool:
        self.listed += 1
        return True

    async def aclose(self) -> None:
        pass


def filled(*counts: int, limit: int = 1 << 20) -> tuple[Outbox, Counters, Delivery]:
    counters = Counters()
    outbox = Outbox(limit, counters)
    for count in counts:
        counters.record(count)
        outbox.enqueue(Parcel(str(count).encode(), count))
    return outbox, counters, Delivery(outbox, counters, 0.2, jitter=lambda: 1.0)


async def test_parcels_are_delivered_oldest_first() -> None:
    outbox, counters, delivery = filled(1, 2, 3)
    exporter = Scripted()
    assert await delivery.deliver_waiting(exporter)
    assert exporter.taken == [b"1", b"2", b"3"]
    assert (len(outbox), counters.to_stats().delivered) == (0, 6)


async def test_failure_keeps_the_order_and_doubles_the_delay() -> None:
    outbox, counters, delivery = filled(1, 2)
    exporter = Scripted(TemporaryDeliveryError("no"), None, OSError("no"), TemporaryDeliveryError("no"))
    waits = []
    for _ in range(3):
        assert not await delivery.deliver_waiting(exporter)
        waits.append(round(delivery.next_attempt_at - anyio.current_time(), 1))
    assert await delivery.deliver_waiting(exporter)
    assert exporter.taken == [b"1", b"2"]
    assert waits == [0.5, 0.5, 1.0]  # the second failure follows a delivery
    assert counters.to_stats().pending == 0


async def test_404_after_a_delivery_is_retried_soon() -> None:
    _, _, delivery = filled(1, 2)
    exporter = Scripted(None, NoEndpointError("HTTP status 404"), NoEndpointError("HTTP status 404"))
    for wait in (0.5, 1.0):
        assert not await delivery.deliver_waiting(exporter)
        assert round(delivery.next_attempt_at - anyio.current_time(), 1) == wait
    assert await delivery.deliver_waiting(exporter)
    assert (exporter.taken, exporter.listed) == ([b"1", b"2"], 0)


async def test_repeated_failures_grow_the_delay_to_30_seconds() -> None:
    _, _, delivery = filled(1)
    exporter = Scripted(*[TemporaryDeliveryError("no")] * 20)
    delays = []
    for _ in range(10):
        await delivery.deliver_waiting(exporter)
        delays.append(delivery.backoff_seconds())
    assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]


async def test_retry_after_sets_the_next_attempt() -> None:
    _, _, delivery = filled(1)
    await delivery.deliver_waiting(Scripted(TemporaryDeliveryError("busy", retry_after=42)))
    assert delivery.next_attempt_at - anyio.current_time() == pytest.approx(42, abs=1)


async def test_refused_payload_is_counted_logged_once_and_not_retried(caplog: pytest.LogCaptureFixture) -> None:
    outbox, counters, delivery = filled(5, 6, 7)
    exporter = Scripted(PayloadRefusedError("HTTP status 400"), PayloadRefusedError("HTTP status 400"))
    assert await delivery.deliver_waiting(exporter)
    assert exporter.taken == [b"7"]
    assert counters.to_stats().dropped_by == {"rejected": 11}
    assert len(caplog.records) == 1


async def test_agent_without_the_endpoint_is_tried_again_after_five_minutes(caplog: pytest.LogCaptureFixture) -> None:
    outbox, counters, delivery = filled(5)
    exporter = Scripted(NoEndpointError("404"), NoEndpointError("404"))
    for _ in range(2):
        assert not await delivery.deliver_waiting(exporter)
        assert delivery.next_attempt_at - anyio.current_time() == pytest.approx(ENDPOINT_CHECK_SECONDS, abs=1)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "7.34" in warnings[0].getMessage()
    assert exporter.listed == 1
    assert counters.to_stats().pending == 5
    assert await delivery.deliver_waiting(exporter)
    assert counters.to_stats().delivered == 5


async def test_request_that_times_out_keeps_its_parcel() -> None:
    class Hanging(Scripted):
        async def export(self, payload: bytes) -> None:
            await anyio.sleep_forever()

    outbox, counters, delivery = filled(5)
    assert not await delivery.deliver_waiting(Hanging())
    assert (len(outbox), counters.to_stats().pending) == (1, 5)


async def test_cancelled_delivery_keeps_its_parcel() -> None:
    class Hanging(Scripted):
        async def export(self, payload: bytes) -> None:
            await anyio.sleep_forever()

    outbox, counters, delivery = filled(5)
    with anyio.move_on_after(0.05):
        await delivery.deliver_waiting(Hanging())
    assert (len(outbox), counters.to_stats().pending) == (1, 5)


async def test_full_outbox_drops_the_oldest_parcel() -> None:
    outbox, counters, delivery = filled(100, 200, 300, limit=7)
    assert counters.to_stats().dropped_by == {"outbox": 100}
    exporter = Scripted()
    await delivery.deliver_waiting(exporter)
    assert exporter.taken == [b"200", b"300"]


@given(actions=st.lists(st.tuples(st.sampled_from(["put", "take", "back", "drop"]), st.integers(1, 60))))
def test_outbox_after_any_actions_is_within_its_limit_and_counts_every_checkpoint(
    actions: list[tuple[str, int]],
) -> None:
    counters = Counters()
    outbox, held = Outbox(100, counters), list[Parcel]()
    for action, size in actions:
        if action == "put":
            counters.record(size)
            outbox.enqueue(Parcel(bytes(size), size))
        elif action == "take" and (parcel := outbox.dequeue()):
            held.append(parcel)
        elif action == "back" and held:
            outbox.requeue(held.pop())
        elif action == "drop":
            outbox.drop_all("shutdown")
        assert outbox.size <= 100
        stats = counters.to_stats()
        waiting = outbox.size + sum(parcel.checkpoints for parcel in held)  # here a parcel has a byte per checkpoint
        assert stats.pending == waiting
        assert stats.recorded == stats.delivered + stats.pending + stats.dropped


class Timed(Scripted):
    """Fails until some seconds have passed since its first request."""

    def __init__(self, failing_seconds: float, failure: Exception) -> None:
        super().__init__()
        self._failing, self._failure, self._since = failing_seconds, failure, 0.0
        self.tries = 0

    async def export(self, payload: bytes) -> None:
        self.tries += 1
        self._since = self._since or anyio.current_time()
        if anyio.current_time() < self._since + self._failing:
            raise self._failure
        self.taken.append(payload)


def refused(*, in_group: bool = False) -> TemporaryDeliveryError:
    """Return the error of a port where nothing listens, as the HTTP client raises it."""
    cause: BaseException = ConnectionRefusedError(111, "refused")
    if in_group:
        cause = OSError("all attempts failed")
        cause.__cause__ = ExceptionGroup("", [ConnectionRefusedError(111, "refused"), ConnectionRefusedError(111, "")])
    error = TemporaryDeliveryError("no connection")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "failure",
    [TemporaryDeliveryError("HTTP status 503"), OSError("reset"), TemporaryDeliveryError("busy", retry_after=0.2)],
)
async def test_busy_agent_at_exit_is_retried_until_the_deadline(failure: Exception) -> None:
    outbox, counters, delivery = filled(5, 6)
    exporter = Timed(1.2, failure)
    with anyio.fail_after(10):
        await delivery.drain(exporter)
    assert exporter.taken == [b"5", b"6"]
    assert (len(outbox), counters.to_stats().delivered) == (0, 11)


@pytest.mark.parametrize("failures", [1, 9])
async def test_receiver_that_asks_to_wait_until_after_the_exit_is_tried_once_more(failures: int) -> None:
    outbox, counters, delivery = filled(5)
    busy = TemporaryDeliveryError("busy", retry_after=60)
    exporter = Scripted(*[busy] * failures)
    with anyio.fail_after(1.5):
        await delivery.drain(exporter)
    assert len(exporter.failures) == max(0, failures - 2)
    assert (len(outbox), counters.to_stats().delivered) == ((0, 5) if failures == 1 else (1, 0))


async def test_receiver_that_asks_to_wait_at_exit_is_waited_for() -> None:
    outbox, _, delivery = filled(5)
    exporter = Timed(1.4, TemporaryDeliveryError("busy", retry_after=1.5))
    with anyio.fail_after(10):
        await delivery.drain(exporter)
    assert (exporter.tries, len(outbox)) == (2, 0)


@pytest.mark.parametrize("failure", [refused(), refused(in_group=True), NoEndpointError("404")])
async def test_absent_agent_at_exit_is_given_up_after_three_attempts(failure: Exception) -> None:
    outbox, _, delivery = filled(5)
    exporter = Timed(60, failure)
    with anyio.fail_after(30):
        await delivery.drain(exporter)
    assert (exporter.tries, len(outbox)) == (3, 1)


async def test_absent_agent_that_accepted_before_is_retried_until_the_deadline() -> None:
    outbox, _, delivery = filled(5)
    await delivery.deliver_waiting(Scripted())
    outbox.enqueue(Parcel(b"6", 6))
    exporter = Timed(1.2, refused())
    with anyio.fail_after(10):
        await delivery.drain(exporter)
    assert exporter.taken == [b"6"]


async def test_request_without_an_answer_at_exit_is_hedged_by_another() -> None:
    class Hanging(Scripted):
        async def export(self, payload: bytes) -> None:
            if not self.listed:
                self.listed += 1
                await anyio.sleep_forever()
            await super().export(payload)

    outbox, counters = filled(5)[:2]
    exporter = Hanging()
    with anyio.fail_after(3):
        await Delivery(outbox, counters, 60).drain(exporter)
    assert exporter.taken == [b"5"]


async def test_slow_answer_at_exit_counts_while_a_second_request_runs() -> None:
    class Slow(Scripted):
        async def export(self, payload: bytes) -> None:
            self.listed += 1
            await anyio.sleep(0.9 if self.listed == 1 else 60)
            await super().export(payload)

    outbox, counters = filled(5)[:2]
    exporter = Slow()
    with anyio.fail_after(1.5):
        await Delivery(outbox, counters, 60).drain(exporter)
    assert (exporter.taken, exporter.listed) == ([b"5"], 2)
    assert counters.to_stats().delivered == 5


async def test_refused_payload_at_exit_is_not_sent_again() -> None:
    _, counters, delivery = filled(5)
    with anyio.fail_after(60):
        await delivery.drain(Scripted(PayloadRefusedError("HTTP status 400")))
    assert counters.to_stats().dropped_by == {"rejected": 5}


@pytest.mark.parametrize("first", [True, False])
async def test_refused_cumulative_payload_is_counted_with_the_next_one(
    caplog: pytest.LogCaptureFixture, *, first: bool
) -> None:
    counters = Counters()
    outbox = Outbox(1 << 20, counters, is_cumulative=True)
    delivery = Delivery(outbox, counters, 0.2)
    counters.record(110)
    outbox.enqueue(Parcel(b"1", 100))
    exporter = Scripted(PayloadRefusedError("HTTP status 400"))
    if first:
        await delivery.deliver_waiting(exporter)
        assert (counters.to_stats().pending, counters.to_stats().dropped) == (110, 0)
    outbox.enqueue(Parcel(b"2", 10))
    await delivery.deliver_waiting(exporter)
    assert (exporter.taken, counters.to_stats().delivered, counters.to_stats().pending) == ([b"2"], 110, 0)
    (record,) = [record for record in caplog.records if record.name == "asyncdsm"]
    assert record.getMessage().startswith(
        "asyncdsm will send 100 checkpoints again in its next payload, because the ag"
    )


async def test_refused_cumulative_payload_that_none_follows_is_lost() -> None:
    counters = Counters()
    outbox = Outbox(1 << 20, counters, is_cumulative=True)
    counters.record(5)
    outbox.enqueue(Parcel(b"1", 5))
    await Delivery(outbox, counters, 0.2).drain(Scripted(PayloadRefusedError("HTTP status 400")))
    assert [outbox.drop_all("shutdown") for _ in range(2)] == [5, 0]
    assert (counters.to_stats().dropped_by, counters.to_stats().pending) == ({"rejected": 5}, 0)
