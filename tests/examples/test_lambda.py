"""The Lambda example: what a call measured is with the agent when Lambda freezes the process, in each call anew."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import time_ns
from typing import Any

import httpx2
import pytest

from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from tests.agent.running import agent as running_agent
from tests.brokers.aws import Aws
from tests.docs.page import read_blocks

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "deploy" / "lambda"
TOKEN = "a-token-of-the-tests"  # noqa: S105
BATCH = 3
RUNTIME = """
import json, os, signal, sys
from billing_function import handler
for line in sys.stdin:
    handler(json.loads(line), None)
    os.kill(os.getpid(), signal.SIGSTOP)  # Lambda freezes the process here
"""


def sqs_event() -> dict[str, Any]:
    """Return an event as Lambda's own documentation shows it, whose messages carry a context."""

    def record(number: int) -> dict[str, Any]:
        context = json.dumps({HEADER: Pathway(number + 1, time_ns(), time_ns()).encode_base64()})
        return {
            "messageId": f"059f36b4-87a3-44ab-83d2-66197573000{number}",
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a...",
            "body": f"order {number}",
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": str(time_ns() // 1_000_000),
                "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                "ApproximateFirstReceiveTimestamp": str(time_ns() // 1_000_000),
            },
            "messageAttributes": {
                "_datadog": {
                    "stringValue": context,
                    "stringListValues": [],
                    "binaryListValues": [],
                    "dataType": "String",
                }
            },
            "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:orders",
            "awsRegion": "us-east-1",
        }

    return {"Records": [record(number) for number in range(BATCH)]}


@pytest.fixture
def invoices(ministack: Aws) -> str:
    """Return the URL of a queue."""
    return ministack.queue()


@pytest.fixture
def function(ministack: Aws, invoices: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the function as Lambda does, which reads an event from each line; yield the process and the agent's URL."""
    with running_agent(token=TOKEN) as agent:
        environ = {
            **os.environ,
            "AWS_ENDPOINT_URL": ministack.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "ASYNCDSM_AGENT_TOKEN": TOKEN,
            "DD_SERVICE": "billing",
            "DD_TRACE_AGENT_URL": agent.url,
            "INVOICES": invoices,
            "PYTHONPATH": str(FOLDER),
        }
        command = [sys.executable, "-c", RUNTIME]
        with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, text=True) as process:
            try:
                yield process, agent.url
            finally:
                process.kill()


def call(process: subprocess.Popen[str]) -> None:
    """Call the function, and return when its process is frozen."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(sqs_event()) + "\n")
    process.stdin.flush()
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def read_counts(url: str) -> dict[str, int]:
    """Return what the agent has counted, by direction."""
    topology = httpx2.get(f"{url}/api/topology", headers={"Authorization": f"Bearer {TOKEN}"}).json()
    return {edge["direction"]: edge["count"] for edge in topology["edges"]}


def test_every_call_delivers_before_the_process_is_frozen(
    function: tuple[subprocess.Popen[str], str], ministack: Aws, invoices: str
) -> None:
    process, url = function
    for calls in (1, 2):
        call(process)
        assert read_counts(url) == {"in": BATCH * calls, "out": BATCH * calls}
        process.send_signal(signal.SIGCONT)
    sent = ministack.on_queue(invoices, 2 * BATCH)
    assert all(HEADER in message["MessageAttributes"]["_datadog"]["StringValue"] for message in sent)


def test_template_has_no_fault() -> None:
    check = [sys.executable, "-c", "import sys; from cfnlint.runner import main; sys.exit(main())"]
    done = subprocess.run([*check, str(FOLDER / "template.yaml")], check=False)
    assert done.returncode == 0


def test_page_shows_the_function() -> None:
    blocks = [block for block in read_blocks(ROOT / "docs" / "deploy" / "lambda.md") if block.language == "python"]
    assert [
        block.code for block in blocks if block.code not in FOLDER.joinpath("billing_function.py").read_text()
    ] == []
    assert blocks
