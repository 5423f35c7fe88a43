"""Billing: reads orders from Kafka, and sends a task to the Celery worker for each."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

from aiokafka import AIOKafkaConsumer
from tasks import ship


async def bill() -> None:
    """Bill orders until it is cancelled."""
    async with AIOKafkaConsumer(
        "orders", bootstrap_servers=os.environ["KAFKA"], group_id="billing", auto_offset_reset="earliest"
    ) as orders:
        async for record in orders:
            await asyncio.to_thread(ship.delay, int(record.value or 0))  # `delay` blocks: not on the event loop


async def main() -> None:
    """Bill orders until SIGTERM, which is how Docker and Kubernetes stop a container."""
    billing = asyncio.create_task(bill())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, billing.cancel)
    with suppress(asyncio.CancelledError):
        await billing


if __name__ == "__main__":
    asyncio.run(main())
