"""The brokers as Kombu names them, for Kombu and for Celery: the URL, and the options of the transport."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import Mock, patch

from azure.servicebus import ServiceBusClient
from kombu.transport import azureservicebus

from tests.brokers.aws import Aws
from tests.brokers.azure import AzureServer
from tests.brokers.kafka import Kafka
from tests.brokers.pubsub import PubSubServer
from tests.integrations.pipelines.layers.log import name


class Transport(NamedTuple):
    """How Kombu reaches a broker."""

    url: str
    options: dict[str, Any]


def sqs(aws: Aws) -> Transport:
    """On boto3."""
    host = aws.endpoint.removeprefix("http://")
    options = {"region": "us-east-1", "is_secure": False, "wait_time_seconds": 1, "polling_interval": 0.1}
    return Transport(f"sqs://test:test@{host}//", options)


def kafka(server: Kafka) -> Transport:
    """On confluent-kafka."""
    host = server.bootstrap.split(",")[0]
    return Transport(f"confluentkafka://{host}", {"wait_time_seconds": 1, "kafka_common_config": {"log_level": 0}})


@contextmanager
def servicebus(server: AzureServer) -> Iterator[Transport]:
    """On a client of the stand-in, which Kombu uses meanwhile.

    Of its URL, Kombu makes a connection string that leads to Azure alone. The stand-in makes a queue when it is first
    named, and has no management over HTTP.
    """
    kind = azureservicebus.Channel
    with (
        ServiceBusClient.from_connection_string(server.connection_string, retry_total=0) as client,
        patch.object(kind, "queue_service", client),
        patch.object(kind, "queue_mgmt_service", Mock()),
    ):
        url = "azureservicebus://name:a2V5@namespace"
        yield Transport(url, {"wait_time_seconds": 1, "polling_interval": 0.1})


@contextmanager
def pubsub(server: PubSubServer) -> Iterator[Transport]:
    """On google-cloud-pubsub, which uses the fake meanwhile.

    Kombu leaves it to the garbage collector to close its clients and its pools of threads.
    """
    with patch.dict(os.environ, {"PUBSUB_EMULATOR_HOST": server.address}):
        yield Transport(f"gcpubsub://projects/{name()}", {"wait_time_seconds": 1, "polling_interval": 0.1})
    gc.collect()
