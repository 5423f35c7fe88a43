"""Prometheus and promtool, as Debian packages them: `apt-get install prometheus`; or those of `nox -s receivers`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.brokers.process import BrokerError, serving
from tests.brokers.receivers import FOLDER, find_built

PROMETHEUS_3 = bool(FOLDER)
"""Whether Prometheus 3 is to be run instead of Debian's, as `nox -s receivers` does."""


def find_program(name: str) -> str:
    """Return the path of `prometheus` or `promtool`. Raises BrokerError if it is missing."""
    if PROMETHEUS_3:
        return find_built(name)
    program = shutil.which(name)
    if program is None:
        raise BrokerError(f"{name} is missing: apt-get install -y --no-install-recommends prometheus")
    return program


@contextmanager
def prometheus(configuration: Path, *options: str) -> Iterator[str]:
    """Run a Prometheus with this file, and further options, for as long as the block lasts; yield its address."""
    program = find_program("prometheus")

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
