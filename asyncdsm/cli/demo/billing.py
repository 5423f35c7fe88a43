"""The billing: consumes orders one by one, works on many at a time, and sends an invoice for each."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import anyio
from aiokafka import ConsumerRecord

import asyncdsm
from asyncdsm.cli.demo.invoices import outgoing
from asyncdsm.cli.demo.service import ORDERS, announce, consumer_of, run_service

FRAUD_CHECK_SECONDS = 0.4
"""What there is to find."""


async def bill(send: Callable[[bytes], Awaitable[object]], order: ConsumerRecord[bytes, bytes]) -> None:
    """Turn an order into an invoice, after a check that takes its time."""
    await anyio.sleep(FRAUD_CHECK_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311
    await send(order.value or b"")


async def work() -> None:
    """Bill every order in a task of its own, all on one event loop."""
    async with (
        outgoing() as send,
        asyncdsm.wrap(consumer_of(ORDERS, group="billing")) as consumer,
        anyio.create_task_group() as tasks,
    ):
        announce("ready")
        async for order in consumer:
            tasks.start_soon(bill, send, order)


if __name__ == "__main__":
    run_service(work)
