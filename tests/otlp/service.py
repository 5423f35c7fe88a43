"""A service that reads messages which waited for a random time: `python -m tests.otlp.service SEED COUNT`.

Its settings are those of its environment. It prints how long each message waited, in seconds, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from random import Random
from time import time_ns

import asyncdsm
from asyncdsm.core import checkpoint
from asyncdsm.core.edge import Edge


def main() -> None:
    """Read the messages, and end."""
    waited = draw_waits(Random(int(sys.argv[1])), int(sys.argv[2]))
    # On a busy machine, what encodes takes seconds to import.
    with asyncdsm.DataStreams(asyncdsm.Settings.from_environ(os.environ, shutdown_seconds=60)):
        read_messages(waited)
    json.dump(waited, sys.stdout)


def draw_waits(random: Random, count: int) -> list[float]:
    """Return how long messages wait, in seconds."""
    return [random.lognormvariate(-1.0, 1.5) + 0.01 for _ in range(count)]


def read_messages(waited: list[float]) -> None:
    """Read messages that waited for so many seconds."""
    edge = Edge("direction:in", "topic:orders", "group:billing", "type:kafka")
    for seconds in waited:
        checkpoint.consume(edge, None, 200, time_ns() - round(seconds * 1e9))


if __name__ == "__main__":
    main()
