"""What ddtrace does with asyncdsm's messages in programs as its users run them, beyond the pipelines.

`tests/differential` asks it hop by hop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from boto3.session import Session

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.brokers.kafka import Kafka
from tests.integrations.kafka.admin import group_lag
from tests.interop.python import RELAY
from tests.interop.relays import ASYNCDSM
from tests.interop.watched import watched


def test_lag_of_a_ddtrace_group_that_does_not_know_its_cluster_is_what_the_admin_client_says(
    kafka: Kafka, topic: Callable[..., str]
) -> None:
    """ddtrace learns a cluster's id only from its producers: what a program that only reads commits has none."""
    name = topic()
    with watched({"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "AMQP_URL": ""}) as watch:
        watch.relay(ASYNCDSM, "-", f"kafka:{name}", 8, "shop")
        watch.relay(RELAY, f"kafka:{name}", "-", 5, "billing")
        watch.settle()
        answer = watch.answer("topology")
        ((_, cluster),) = {(queue["name"], queue["cluster"]) for queue in answer["queues"]}
        read = [edge for edge in answer["edges"] if edge["direction"] == "in"]
        assert cluster
        assert watch.lags() == [("relay-billing", name, cluster, group_lag(kafka, "relay-billing", name))]
        assert [(edge["tags"], edge["count"], edge["lag"]) for edge in read] == [
            (["direction:in", "group:relay-billing", f"topic:{name}", "type:kafka"], 5, 3)
        ]


def test_what_ddtrace_sends_after_it_received_several_messages_continues_the_last(
    ministack: Aws, captured_streams: Captured
) -> None:
    source, target = ministack.queue(), ministack.queue()
    session: Any = asyncdsm.wrap(Session())
    sqs = session.client("sqs", **ministack.options)
    for number in range(1, 4):
        current.set_current(Pathway(number, 1_790_000_000_000_000_000, 1_790_000_000_000_000_000))
        sqs.send_message(QueueUrl=source, MessageBody="v")
    with watched({"AWS_ENDPOINT_URL": ministack.endpoint}) as watch:
        watch.relay(RELAY, f"sqs-batch:{source}", f"sqs:{target}", 3)
        received, sent = watch.points("direction:in"), watch.points("direction:out")
    written = [made.hash for made in captured_streams.produced()]
    assert sorted((point.parent, point.count) for point in received) == sorted((hash_, 1) for hash_ in written)
    (last,) = [point.hash for point in received if point.parent == written[-1]]
    assert [(point.parent, point.count) for point in sent] == [(last, 3)]
