"""A destination: one receiver of what is measured, what waits for it, and the deliveries to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio
from anyio import CancelScope, current_time, move_on_after

from asyncdsm._internal import forks
from asyncdsm.core.counters import Counters
from asyncdsm.delivery.bucket_packer import Packer
from asyncdsm.delivery.outbox import Outbox
from asyncdsm.delivery.retry import LONGEST_DELAY, Delivery

if TYPE_CHECKING:
    from asyncdsm.delivery.exporters import Exporter


class Destination:
    """Delivers what its packer puts into its outbox. `begin` comes first, in each event loop that runs it.

    Then comes `load_exporter`.
    """

    def __init__(
        self,
        packer: Packer,
        outbox: Outbox,
        delivery: Delivery,
        counters: Counters,
        make_exporter: Callable[[], Exporter],
    ) -> None:
        """`make_exporter` may be slow: a worker thread calls it."""
        self.packer: Packer = packer
        self.outbox: Outbox = outbox
        self.counters: Counters = counters
        self._delivery, self._make_exporter = delivery, make_exporter
        self._exporter: Exporter | None = None

    def begin(self) -> None:
        """Begin in the current event loop."""
        self._lock, self._scope = anyio.Lock(), CancelScope()
        self._delivery.next_attempt_at = 0.0  # each event loop has a clock of its own

    async def load_exporter(self, run_in_worker: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """Make the exporter in a worker thread, unless there is one. Raises what that raises."""
        async with self._lock:
            if self._exporter is None:
                await run_in_worker(self._make)

    def _make(self) -> None:
        with forks.import_lock:
            self._exporter = self._make_exporter()

    @property
    def next_attempt_at(self) -> float | None:
        """When to call `deliver` next, in seconds on the event loop's clock; None while nothing waits or it runs."""
        return self._delivery.next_attempt_at if self.outbox and not self._lock.locked() else None

    @property
    def is_due(self) -> bool:
        """Whether it is time to call `deliver`."""
        return self.next_attempt_at is not None and current_time() >= self._delivery.next_attempt_at

    async def deliver(self) -> None:
        """Deliver what waits, until one payload fails; after a delivery that runs already."""
        async with self._lock:
            with self._scope:
                await self._delivery.deliver_waiting(self._loaded_exporter)
            self._scope = CancelScope()

    def postpone(self) -> None:
        """Try again after a while: there is no exporter."""
        self._delivery.next_attempt_at = current_time() + LONGEST_DELAY

    async def drain(self) -> None:
        """Deliver what waits at exit, until the deadline of the cancel scope around it."""
        async with self._lock:
            await self._delivery.drain(self._loaded_exporter)

    def limit_delivery(self, deadline: float) -> None:
        """End the delivery that runs at this time of the event loop's clock."""
        self._scope.deadline = deadline

    @property
    def _loaded_exporter(self) -> Exporter:
        assert self._exporter is not None  # noqa: S101  (`load_exporter` was called)
        return self._exporter

    async def aclose(self) -> None:
        """Close the connections."""
        exporter, self._exporter = self._exporter, None
        if exporter is not None:
            with move_on_after(1, shield=True):
                await exporter.aclose()
