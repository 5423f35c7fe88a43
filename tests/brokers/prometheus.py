"""Prometheus and promtool, as Debian packages them: `apt-get install prometheus`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.brokers.process import BrokerError, serving

PROMETHEUS_3 = os.environ.get("PROMETHEUS_3", "")
"""The path of a Prometheus 3 that is to be run instead of Debian's, as `nox -s prometheus3` does."""


def find_program(name: str) -> str:
    """Return the path of `prometheus` or `promtool`. Raises BrokerError if it is missing."""
    program = shutil.which(name)
    if program is None:
        raise BrokerError(f"{name} is missing: apt-get install -y --no-install-recommends prometheus")
    return program


@contextmanager
def prometheus(configuration: Path, *options: str) -> Iterator[str]:
    """Run a Prometheus with this file, and further options, for as long as the block lasts; yield its address."""
    program = PROMETHEUS_3 or find_program("prometheus")

    def command(port: int) -> list[str]:
        return [
            program,
            f"--config.file={configuration}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--storage.tsdb.path=data",
            *options,
        ]

    with serving(command) as port:
        yield f"http://127.0.0.1:{port}"
