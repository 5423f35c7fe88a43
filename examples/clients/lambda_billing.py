"""A function of AWS Lambda: called with a batch of orders from SQS, it publishes an invoice for each of them.

Handler: lambda_billing.handler
Environment: DD_SERVICE=billing INVOICES=arn:aws:sns:…:invoices, and where to deliver: DD_TRACE_AGENT_URL or DD_API_KEY
"""

from __future__ import annotations

import os
from typing import Any

import boto3

import asyncdsm

sns = asyncdsm.wrap(boto3.client("sns"))


def handler(event: dict[str, Any], context: object) -> None:
    """Publish an invoice for each order. What was measured is delivered before this returns."""
    del context
    with asyncdsm.DataStreams():
        for order in asyncdsm.consume_lambda_event(event):  # each record is current in turn
            sns.publish(TopicArn=os.environ["INVOICES"], Message=order["body"])
