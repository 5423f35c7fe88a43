"""Services of the tests: processes that read messages when they are told to, and send metrics to a receiver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

from tests.brokers.receivers import Receiver

PATIENCE_SECONDS = 30.0
QUEUE = "asyncdsm_queue_duration_seconds"
CONSUMED = "messaging_client_consumed_messages_total"
ORDERS = "{messaging_destination_name='orders'}"


class Service:
    """A process of `tests.receivers.service`."""

    def __init__(self, receiver: Receiver, seed: int) -> None:
        environ = {"DD_SERVICE": "billing", "DD_ENV": "prod", "ASYNCDSM_DESTINATIONS": "otlp"}
        environ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] = receiver.endpoint
        environ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"] = receiver.temporality
        self.waited: list[float] = []
        """How long each message waited that was read, in seconds."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.receivers.service", str(seed)],
            env={**os.environ, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self, count: int, seconds: float | str = "") -> None:
        """Let it read messages, all of which waited for so long if that is given, and deliver what it measured."""
        self.waited += json.loads(self.tell(f"{count} {seconds}"))

    def tell(self, line: str) -> str:
        """Give it a line; return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def end(self) -> str:
        """Let it deliver the rest and end; return its statistics."""
        said, _ = self._process.communicate(timeout=90)
        assert self._process.returncode == 0
        return said.strip()

    def kill(self) -> None:
        """Kill it, if it runs."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def serve(receiver: Receiver, *seeds: int) -> Iterator[list[Service]]:
    """Run a service for each seed for as long as the block lasts."""
    services = [Service(receiver, seed) for seed in seeds]
    try:
        yield services
    finally:
        for each in services:
            each.kill()


def wait_for_messages(receiver: Receiver, count: int) -> None:
    """Wait until the receiver has at least so many messages; check that it has no more."""
    query, deadline = receiver.dialect.counter % (CONSUMED + ORDERS), monotonic() + PATIENCE_SECONDS
    while (found := receiver.value_of(query) or 0) < count:
        assert monotonic() < deadline, f"{found} messages have arrived, in {list_metrics(receiver)}"
        sleep(0.1)
    assert found == count


def list_metrics(receiver: Receiver) -> list[Any]:
    """Return the labels of some series, for a look at what is wrong."""
    return [each["metric"] for each in receiver.ask("{__name__=~'asyncdsm.*|messaging.*'}")][:5]
