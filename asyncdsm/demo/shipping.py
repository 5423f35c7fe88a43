"""The shipping: consumes invoices in batches."""

from __future__ import annotations

import anyio

import asyncdsm
from asyncdsm.demo.service import INVOICES, announce, consumer_of, run_service

PACKING_SECONDS = 0.002


async def work() -> None:
    """Pack what comes, as many as are there."""
    consumer = asyncdsm.wrap(consumer_of(INVOICES, group="shipping"))
    async with consumer:
        announce("ready")
        while True:
            batches = await consumer.getmany(timeout_ms=200, max_records=100)
            for invoices in batches.values():
                for _ in invoices:
                    await anyio.sleep(PACKING_SECONDS)


if __name__ == "__main__":
    run_service(work)
