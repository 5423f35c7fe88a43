"""An asyncio service on SQS: it sends an invoice for each order. Each invoice continues the pathway of its order.

DD_SERVICE=billing ORDERS=https://sqs.…/orders INVOICES=https://sqs.…/invoices python aiobotocore_billing.py
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Any

from aiobotocore.session import get_session

import asyncdsm

ORDERS, INVOICES = os.environ["ORDERS"], os.environ["INVOICES"]  # URLs of queues


async def bill_orders(sqs: Any) -> None:
    """Work through the queue of orders, ten at a time, until the program is interrupted."""
    while True:
        answer = await sqs.receive_message(QueueUrl=ORDERS, MaxNumberOfMessages=10, WaitTimeSeconds=20)
        for order in answer.get("Messages", []):  # each message is current in turn
            await sqs.send_message(QueueUrl=INVOICES, MessageBody=order["Body"])
            await sqs.delete_message(QueueUrl=ORDERS, ReceiptHandle=order["ReceiptHandle"])


async def main() -> None:
    """Measure for as long as the service runs."""
    session = asyncdsm.wrap(get_session())
    async with asyncdsm.DataStreams(), session.create_client("sqs") as sqs:
        await bill_orders(sqs)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
