"""Clients and streams that the tests of botocore share."""

from __future__ import annotations

from typing import Any

import pytest

from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.integrations.botocore.clients import wrapped_client


@pytest.fixture
def sqs(ministack: Aws, captured_streams: Captured) -> Any:
    """A wrapped client of SQS."""
    return wrapped_client(ministack, "sqs")


@pytest.fixture(scope="session")
def stream(ministack: Aws) -> str:
    """The name of a Kinesis stream."""
    return ministack.stream()[0]
