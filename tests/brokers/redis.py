"""Redis, as Debian packages it: `apt-get install redis-server`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.brokers.process import BrokerError, serving


def command(port: int) -> Sequence[str]:
    """Return how it is started: on loopback, in memory only."""
    server = shutil.which("redis-server")
    if server is None:
        raise BrokerError("Redis is missing: apt-get install -y --no-install-recommends redis-server")
    return [server, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]


@contextmanager
def redis() -> Iterator[str]:
    """Run a Redis for as long as the block lasts; yield its address."""
    with serving(command) as port:
        yield f"redis://127.0.0.1:{port}/0"
