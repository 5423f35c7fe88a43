"""Streams of Redis: billing reads orders in a consumer group, and adds an invoice for each by a pipeline.

DD_SERVICE=billing REDIS=redis://localhost:6379 python -m examples.clients.redis_billing bill
DD_SERVICE=shop REDIS=redis://localhost:6379 python -m examples.clients.redis_billing shop
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any  # redis-py's own types leave the shape of an answer open

from redis.asyncio import Redis

import asyncdsm

ORDERS = 20


async def bill(client: Any) -> None:
    """Bill each order. The parent of the invoice is the order."""
    await client.xgroup_create("orders", "billing", "0", mkstream=True)
    left = ORDERS
    while left:
        for _, orders in await client.xreadgroup("billing", "me", {"orders": ">"}, count=10, block=60_000):
            for entry_id, order in orders:
                async with client.pipeline() as pipeline:
                    pipeline.xadd("invoices", order)
                    pipeline.xack("orders", "billing", entry_id)
                    await pipeline.execute()
                left -= 1
                print(f"{order[b'number'].decode()} is billed", flush=True)


async def shop(client: Any) -> None:
    """Send twenty orders, and wait until all of them are billed."""
    for number in range(ORDERS):
        await client.xadd("orders", {"number": number}, maxlen=1000)
    last, left = b"0", ORDERS
    while left:
        for _, invoices in await client.xread({"invoices": last}, block=60_000):
            last, left = invoices[-1][0], left - len(invoices)


async def main(work: str) -> None:
    """Do the work of one service."""
    async with asyncdsm.DataStreams():
        client: Any = asyncdsm.wrap(Redis.from_url(os.environ.get("REDIS", "redis://localhost:6379")))
        await {"bill": bill, "shop": shop}[work](client)
        await client.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
