"""Opens stores of each kind: a test of the store's contract runs with all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.clickhouse.address import parse_address
from asyncdsm.agent.store.clickhouse.store import ClickHouseStore
from asyncdsm.agent.store.sqlite.store import SQLiteStore

KINDS = ("memory", "clickhouse")
KEPT_KINDS = ("file", "clickhouse")
"""Those whose data is there when they are opened again."""
AnyStore = SQLiteStore | ClickHouseStore
OpenStore = Callable[..., AnyStore]
"""Opens a store, or the same one again; the options are those of `Store` that all kinds have."""


class Opener:
    """Opens one store, again and again, also several times at once if it is a ClickHouse."""

    def __init__(self, kind: str, folder: Path, clickhouse: Callable[[], str]) -> None:
        """`clickhouse` returns the address of a new database."""
        self.kind, self._path = kind, folder / "store.db"
        self._address = parse_address(clickhouse(), {}) if kind == "clickhouse" else None
        self._opened: list[AnyStore] = []

    def __call__(self, **options: Any) -> AnyStore:
        """Open it."""
        if self._address is not None:
            options.setdefault("ticks", options.get("now", monotonic))  # time passes as the test says
            store: AnyStore = ClickHouseStore(self._address, **options)
        elif self.kind == "file":
            store = SQLiteStore(self._path, decode=read_report, **options)
        else:
            store = SQLiteStore(**options)
        self._opened.append(store)
        return store

    def close(self) -> None:
        """Close all that were opened."""
        for store in self._opened:
            store.close()
