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
    random, count = Random(int(sys.argv[1])), int(sys.argv[2])
    edge = Edge("direction:in", "topic:orders", "group:billing", "type:kafka")
    waited = [random.lognormvariate(-1.0, 1.5) + 0.01 for _ in range(count)]
    # On a busy machine, what encodes takes seconds to import.
    with asyncdsm.DataStreams(asyncdsm.Settings.from_environ(os.environ, shutdown_seconds=60)):
        for seconds in waited:
            checkpoint.consume(edge, None, 200, time_ns() - round(seconds * 1e9))
    json.dump(waited, sys.stdout)


if __name__ == "__main__":
    main()
