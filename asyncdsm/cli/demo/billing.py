"""The service billing: consumes orders, works on many of them at a time, and sends an invoice for each."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import anyio
from aiokafka import ConsumerRecord

import asyncdsm
from asyncdsm.cli.demo.invoices import open_invoice_sender
from asyncdsm.cli.demo.service import ORDERS, announce, make_consumer, run_service

FRAUD_CHECK_SECONDS = 0.4
"""The slow step that the user of the demo is to find."""


async def bill(send: Callable[[bytes], Awaitable[object]], order: ConsumerRecord[bytes, bytes]) -> None:
    """Send an invoice for an order, after a slow check for fraud."""
    await anyio.sleep(FRAUD_CHECK_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311
    await send(order.value or b"")


async def work() -> None:
    """Bill each order in a task of its own."""
    async with (
        open_invoice_sender() as send,
        asyncdsm.wrap(make_consumer(ORDERS, group="billing")) as consumer,
        anyio.create_task_group() as tasks,
    ):
        announce("ready")
        async for order in consumer:
            tasks.start_soon(bill, send, order)


if __name__ == "__main__":
    run_service(work)
