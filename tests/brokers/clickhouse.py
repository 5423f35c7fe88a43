"""ClickHouse's engine, chdb, behind an HTTP server of the tests: see `clickhouse_engine.py` for what that is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from tests.brokers.process import serving

ROOT = Path(__file__).parents[2]


class ClickHouse:
    """A server that knows no users, and an address for each database on it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._numbers = count(1)

    def address(self) -> str:
        """Return the address of a database that is not there yet."""
        return f"clickhouse://user:secret@127.0.0.1:{self.port}/dsm_{next(self._numbers)}"


def _command(port: int) -> Sequence[str]:
    return [sys.executable, "-m", "tests.brokers.clickhouse_engine", str(port)]


@contextmanager
def clickhouse() -> Iterator[ClickHouse]:
    """Run the engine for as long as the block lasts."""
    with serving(_command, {"PYTHONPATH": str(ROOT)}, patience=60) as port:
        yield ClickHouse(port)
