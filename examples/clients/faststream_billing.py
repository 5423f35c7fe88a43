"""A FastStream app on Kafka: it reads orders and publishes an invoice for each.

DD_SERVICE=billing KAFKA=localhost:9092 python examples/clients/faststream_billing.py
"""

from __future__ import annotations

import asyncio
import os

from asyncdsm_faststream import DataStreamsMiddleware
from faststream import FastStream
from faststream.kafka import KafkaBroker

import asyncdsm

broker: KafkaBroker = KafkaBroker(os.environ.get("KAFKA", "localhost:9092"), middlewares=[DataStreamsMiddleware])
app: FastStream = FastStream(broker, lifespan=asyncdsm.lifespan)  # measures while the app lives


@broker.subscriber("orders", group_id="billing", auto_offset_reset="earliest")
@broker.publisher("invoices")
async def bill(order: int) -> int:
    """Return an invoice. Its parent is this order, since that is the message of this handler."""
    return order


if __name__ == "__main__":
    asyncio.run(app.run())
