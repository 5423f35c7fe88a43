"""A program that uses Kombu under ddtrace: steps as JSON on stdin, ddtrace's pathways as JSON on stdout.

Each step is `["publish", exchange, routing key]`, `["consume", queue]`, or `["forward", queue, next queue]`, which
publishes a message within the callback that got one. Back come `hashes`, of the pathway that is current after each
step, and ddtrace's `version`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
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
            STEPS[what](kombu, connection, *where)
            hashes.append(processor._current_context.value.hash)
    json.dump({"version": ddtrace.__version__, "hashes": hashes}, sys.stdout)


def publish(kombu: Any, connection: Any, exchange: str, routing_key: str) -> None:
    """Publish one message."""
    kombu.Producer(connection.default_channel).publish({"order": 1}, exchange=exchange, routing_key=routing_key)


def consume(kombu: Any, connection: Any, queue: str, call: Callable[[], object] = lambda: None) -> None:
    """Consume one message, and call `call` in the callback: ddtrace counts the message after it."""
    taken = list[Any]()

    def callback(_: Any, message: Any) -> None:
        taken.append(message)
        call()

    consumer = kombu.Consumer(connection.default_channel, kombu.Queue(queue, no_declare=True))
    consumer.register_callback(callback)
    consumer.qos(prefetch_count=1)
    with consumer:
        while not taken:
            connection.drain_events(timeout=30)
    taken[0].ack()


def forward(kombu: Any, connection: Any, queue: str, onward: str) -> None:
    """Consume one message, and publish one in the callback."""
    consume(kombu, connection, queue, lambda: publish(kombu, connection, "", onward))


STEPS: dict[str, Callable[..., None]] = {"publish": publish, "consume": consume, "forward": forward}

if __name__ == "__main__":
    main()
