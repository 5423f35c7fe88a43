"""A service on a broker that asyncdsm does not know, here lists of Redis: the checkpoints are made by hand.

DD_SERVICE=billing REDIS=redis://localhost:6379 python by_hand_billing.py
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress

from redis.asyncio import Redis

import asyncdsm

REDIS = os.environ.get("REDIS", "redis://localhost:6379")


async def bill_order(redis: Redis, raw: str | bytes) -> None:
    """Send an invoice for an order. A message is a JSON object with headers and a body."""
    order = json.loads(raw)
    asyncdsm.set_consume_checkpoint("redis", "orders", order["headers"].get)
    headers = dict[str, str]()
    asyncdsm.set_produce_checkpoint("redis", "invoices", headers.__setitem__)
    await redis.rpush("invoices", json.dumps({"headers": headers, "body": order["body"]}))


async def main() -> None:
    """Work through the orders until the program is interrupted."""
    async with asyncdsm.DataStreams(), Redis.from_url(REDIS) as redis:
        while True:
            if popped := await redis.blpop(["orders"], timeout=5):
                await bill_order(redis, popped[1])


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
