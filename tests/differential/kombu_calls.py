"""A program that uses Kombu under ddtrace: steps as JSON on stdin, ddtrace's pathways as JSON on stdout.

Each step is `["publish", exchange, routing key]` or `["consume", queue]`. Back come `hashes`, of the pathway that is
current behind each step, and ddtrace's `version`.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any


def main() -> None:
    """Make the steps in their order."""
    ddtrace: Any = import_module("ddtrace")
    ddtrace.patch(kombu=True)
    processor: Any = import_module("ddtrace.internal.datastreams").data_streams_processor()
    kombu: Any = import_module("kombu")
    hashes = list[int]()
    with kombu.Connection(os.environ["BROKER"]) as connection:
        for what, *where in json.load(sys.stdin):
            (publish if what == "publish" else consume)(kombu, connection, *where)
            hashes.append(processor._current_context.value.hash)
    json.dump({"version": ddtrace.__version__, "hashes": hashes}, sys.stdout)


def publish(kombu: Any, connection: Any, exchange: str, routing_key: str) -> None:
    """Publish one message."""
    kombu.Producer(connection.default_channel).publish({"order": 1}, exchange=exchange, routing_key=routing_key)


def consume(kombu: Any, connection: Any, queue: str) -> None:
    """Consume one message: ddtrace counts it behind the callbacks."""
    taken = list[Any]()
    consumer = kombu.Consumer(connection.default_channel, kombu.Queue(queue, no_declare=True))
    consumer.register_callback(lambda body, message: taken.append(message))
    consumer.qos(prefetch_count=1)
    with consumer:
        while not taken:
            connection.drain_events(timeout=30)
    taken[0].ack()


if __name__ == "__main__":
    main()
