"""Which library on which other: a row each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from tests.integrations.pipelines.layers import aws, celery, confluent, dramatiq, faststream, kombu, taskiq
from tests.integrations.pipelines.layers.log import Follow, Log

WAYS = ("wrap", "wrap, on an instrumented one", "instrument from above", "instrument from below", "instrument all")
"""How both libraries can be followed. The last three differ only in which class is replaced first."""
SLOW_WAYS = ("wrap, on an instrumented one", "instrument all")
"""For a pair that takes seconds each time: its worker joins a consumer group, and leaves it."""


class Row(NamedTuple):
    """Two libraries: which program sends and receives through them."""

    upper: str
    lower: str | None
    """The integrations' names; None for a lower one that nothing follows."""
    fixture: str | None
    program: Callable[[Any, Follow], Log | Awaitable[Log]]
    ways: tuple[str, ...] = WAYS


ROWS: list[Row] = [
    Row("kombu", "botocore", "ministack", kombu.kombu_on_sqs),
    Row("kombu", "botocore", "ministack", kombu.kombu_on_sqs_by_get),
    Row("kombu", "botocore", "ministack", kombu.kombu_on_sqs_with_hub),
    Row("kombu", "confluent_kafka", "kafka", kombu.kombu_on_kafka),
    Row("kombu", "azure.servicebus", "servicebus", kombu.kombu_on_servicebus),
    Row("kombu", "google.cloud.pubsub_v1", "pubsub", kombu.kombu_on_pubsub),
    Row("kombu", "redis", "redis", kombu.kombu_on_redis),
    Row("kombu", None, "rabbitmq", kombu.kombu_on_pyamqp),
    Row("celery", "kombu", None, celery.celery_on_memory),
    Row("celery", "kombu", "redis", celery.celery_on_redis),
    Row("celery", "confluent_kafka", "kafka", celery.celery_on_kafka, SLOW_WAYS),
    Row("celery", "botocore", "ministack", celery.celery_on_sqs),
    Row("celery", "azure.servicebus", "servicebus", celery.celery_on_servicebus),
    Row("celery", "google.cloud.pubsub_v1", "pubsub", celery.celery_on_pubsub),
    Row("faststream", "aiokafka", "kafka", faststream.faststream_on_aiokafka),
    Row("faststream", "aiokafka", "kafka", faststream.faststream_twice),
    Row("faststream", "confluent_kafka", "kafka", faststream.faststream_on_confluent),
    Row("faststream", "aio_pika", "rabbitmq", faststream.faststream_on_aio_pika),
    Row("faststream", "nats", "nats", faststream.faststream_on_nats),
    Row("faststream", "redis", "redis", faststream.faststream_on_redis),
    Row("dramatiq", "redis", "redis", dramatiq.dramatiq_on_redis),
    Row("dramatiq", None, "rabbitmq", dramatiq.dramatiq_on_rabbitmq),
    Row("taskiq", "aio_pika", "rabbitmq", taskiq.taskiq_on_aio_pika),
    Row("taskiq", "aio_pika", "rabbitmq", taskiq.taskiq_on_aio_pika_with_callbacks),
    Row("taskiq", "aio_pika", "rabbitmq", taskiq.taskiq_twice),
    Row("taskiq", "aiokafka", "kafka", taskiq.taskiq_on_aiokafka),
    Row("taskiq", "botocore", "ministack", taskiq.taskiq_on_aiobotocore),
    Row("confluent_kafka", None, "kafka", confluent.confluent_asyncio),
    Row("botocore", None, "ministack", aws.aiobotocore),
    Row("botocore", None, "ministack", aws.aiobotocore_on_httpx),
    Row("botocore", None, "ministack", aws.boto3_resource),
]
