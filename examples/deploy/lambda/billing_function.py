"""A Lambda function that reads orders from one SQS queue and writes an invoice for each to another.

Its environment: DD_SERVICE, INVOICES (the URL of the second queue), and DD_TRACE_AGENT_URL or DD_API_KEY with DD_SITE.
"""

from __future__ import annotations

import os
from typing import Any

import boto3

import asyncdsm

sqs: Any = asyncdsm.wrap(boto3.client("sqs"))
settings = asyncdsm.Settings.from_environ(os.environ, shutdown_seconds=2)


def handler(event: dict[str, Any], _context: object) -> None:
    """Bill the orders of an event. Leaving the block delivers, before Lambda freezes the process."""
    with asyncdsm.DataStreams(settings):
        for order in asyncdsm.consume_lambda_event(event):
            sqs.send_message(QueueUrl=os.environ["INVOICES"], MessageBody=order["body"])
