"""A service on confluent-kafka under ddtrace: steps as JSON on stdin, ddtrace's pathways as JSON on stdout.

{"bootstrap", "group", "steps": [["produce", topic], ["poll", topic], ["consume", topic]]} is answered by `hashes`, of
the pathway that is current behind each step, the `cluster` that ddtrace found, and its `version`.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any

MOST_TRIES = 60


def main() -> None:
    """Make the steps in their order. A message that is sent first begins a pathway of its own."""
    ddtrace: Any = import_module("ddtrace")
    ddtrace.patch(kafka=True)
    processor: Any = import_module("ddtrace.internal.datastreams").data_streams_processor()
    kafka: Any = import_module("confluent_kafka")
    asked = json.load(sys.stdin)
    bootstrap = {"bootstrap.servers": asked["bootstrap"]}
    producer = kafka.Producer(bootstrap)
    consumer = kafka.Consumer({**bootstrap, "group.id": asked["group"], "enable.auto.commit": False})
    hashes = list[int | None]()
    for what, topic in asked["steps"]:
        if what == "produce":
            producer.produce(topic, b"v", headers={"given": b"1"})
            producer.flush()
        else:
            consumer.assign([kafka.TopicPartition(topic, 0, 0)])
            received(consumer, what)
        current = getattr(processor._current_context, "value", None)
        hashes.append(None if current is None else current.hash)
    consumer.close()
    cluster = getattr(producer, "_dd_cluster_id", None)
    json.dump({"version": ddtrace.__version__, "cluster": cluster, "hashes": hashes}, sys.stdout)


def received(consumer: Any, what: str) -> None:
    """Wait for the one message that there is."""
    for _ in range(MOST_TRIES):
        if consumer.consume(1, 1.0) if what == "consume" else consumer.poll(1.0):
            return
    raise RuntimeError("nothing came")


if __name__ == "__main__":
    main()
