"""How large the tables are, as it was read last: who asks waits for nothing, also while ClickHouse does not answer."""

from __future__ import annotations

from asyncdsm.agent.store.clickhouse.connection import Connection


class Sizes:
    """The rows of histograms, and the bytes of all tables on the server that answered."""

    def __init__(self, connection: Connection, database: str) -> None:
        """Read them. Raises what a Connection raises."""
        self._connection, self._db = connection, database
        self.rows: int = 0
        self.used_bytes: int = 0
        self.read_sizes()

    def read_sizes(self) -> None:
        """Read them again. Raises what a Connection raises."""
        self.rows = self._read_number(f"SELECT toInt64(count()) AS n FROM {self._db}.sketches")
        size = f"SELECT toInt64(sum(bytes_on_disk)) AS n FROM system.parts WHERE database = '{self._db}' AND active"
        self.used_bytes = self._read_number(size)

    def _read_number(self, query: str) -> int:
        number: int = self._connection.query(query).to_pylist()[0]["n"]
        return number
