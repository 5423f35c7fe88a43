"""A service without an event loop: it takes each order from SQS and publishes an invoice to a topic of SNS.

DD_SERVICE=billing ORDERS=https://sqs.…/orders INVOICES=arn:aws:sns:…:invoices python boto3_billing.py
"""

from __future__ import annotations

import os
from contextlib import suppress

import boto3

import asyncdsm

ORDERS = os.environ["ORDERS"]  # the URL of a queue
INVOICES = os.environ["INVOICES"]  # the ARN of a topic


def bill_orders() -> None:
    """Work through the queue of orders until the program is interrupted."""
    session = asyncdsm.wrap(boto3.Session())
    sqs, sns = session.client("sqs"), session.client("sns")
    while True:
        answer = sqs.receive_message(QueueUrl=ORDERS, MaxNumberOfMessages=10, WaitTimeSeconds=20)
        for order in answer.get("Messages", []):  # each message is current in turn
            sns.publish(TopicArn=INVOICES, Message=order["Body"])
            sqs.delete_message(QueueUrl=ORDERS, ReceiptHandle=order["ReceiptHandle"])


if __name__ == "__main__":
    with suppress(KeyboardInterrupt), asyncdsm.DataStreams():
        bill_orders()
