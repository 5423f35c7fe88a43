"""The examples for AWS: each order from SQS is the parent of its invoice."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from asyncdsm.agent.http.server import RunningAgent
from asyncdsm.integration.formats.aws import queue_name
from tests.brokers.aws import Aws
from tests.examples.programs import (
    COUNT,
    PATIENCE,
    ROOT,
    check_pathways,
    has_counted,
    make_headers,
    running_example,
    wait_until,
)

CALL_HANDLER = """
import json, sys
from examples.clients.lambda_billing import handler
for event in json.load(sys.stdin):
    handler(event, None)
"""


def environ_of(aws: Aws, orders: str, invoices: str) -> dict[str, str]:
    """Return the environment of the examples."""
    return {
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "DD_SERVICE": "billing",
        "ORDERS": orders,
        "INVOICES": invoices,
    }


def send_orders(aws: Aws, queue: str) -> None:
    """Send the orders, each with the context of a pathway of its own."""
    for number in range(COUNT):
        context = {"_datadog": {"DataType": "String", "StringValue": json.dumps(make_headers(number))}}
        aws.bare("sqs").send_message(QueueUrl=queue, MessageBody=str(number), MessageAttributes=context)


@pytest.mark.parametrize("example", ["aiobotocore_billing", "boto3_billing"])
def test_program_on_sqs_sends_an_invoice_for_each_order(ministack: Aws, agent: RunningAgent, example: str) -> None:
    orders, invoices = ministack.queue(), ministack.queue()
    target = name = ministack.topic(invoices, raw=True)
    if example == "aiobotocore_billing":
        target, name = invoices, queue_name(invoices)
    send_orders(ministack, orders)
    with running_example(
        agent, "-m", f"examples.clients.{example}", **environ_of(ministack, orders, target)
    ) as billing:
        wait_until(lambda: has_counted(agent, in_=COUNT, out=COUNT), billing)
    got = ministack.on_queue(invoices, COUNT)
    assert [invoice["MessageAttributes"].keys() for invoice in got] == [{"_datadog"}] * COUNT
    check_pathways(agent, f"in {queue_name(orders)}", f"out {name}")


def test_lambda_handler_publishes_an_invoice_for_each_record(ministack: Aws, agent: RunningAgent) -> None:
    orders, invoices = ministack.queue(), ministack.queue()
    topic = ministack.topic(invoices, raw=True)
    send_orders(ministack, orders)
    records = [to_lambda_record(message, orders) for message in ministack.on_queue(orders, COUNT)]
    events = [{"Records": records[:1]}, {"Records": records[1:]}]
    subprocess.run(
        [sys.executable, "-c", CALL_HANDLER],
        cwd=ROOT,
        env={**environ_of(ministack, orders, topic), "DD_TRACE_AGENT_URL": agent.url},
        input=json.dumps(events),
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert len(ministack.on_queue(invoices, COUNT)) == COUNT
    check_pathways(agent, f"in {queue_name(orders)}", f"out {topic}")


def to_lambda_record(message: dict[str, Any], queue: str) -> dict[str, Any]:
    """Return a message of SQS as Lambda passes it to a function."""
    attributes = {
        name: {"dataType": value["DataType"], "stringValue": value["StringValue"]}
        for name, value in message["MessageAttributes"].items()
    }
    return {
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{queue_name(queue)}",
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "messageAttributes": attributes,
    }
