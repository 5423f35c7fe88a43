"""The SQLite file of the store, or the same tables in memory: opening it, its transactions, journal and counters.

`segments` holds the rows (see `segments.py`). `journal` holds payloads that were acknowledged and are not in `segments`
yet, as they came. `accepted_bodies` holds digests of payloads that may be sent again. The file is in WAL mode, so that
it is consistent after a kill at any moment.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from asyncdsm.agent.store.edge_facts import FACT_TABLES
from asyncdsm.agent.store.resolutions import FOREVER, RESOLUTIONS
from asyncdsm.agent.store.schemas import SCHEMA_TABLE
from asyncdsm.agent.store.sqlite.accepted_bodies import BODY_TABLE
from asyncdsm.agent.store.sqlite.file_lock import lock_store_file, restrict_permissions
from asyncdsm.agent.store.transactions import TRANSACTION_TABLES
from asyncdsm.errors import StoreError, StoreFullError

APPLICATION_ID = 0x64736D31
VERSION = 2
READABLE_VERSIONS = frozenset({1, 2})
"""Format 1 has other segments (see `packed_histograms`). They can still be read: its files become those of format 2."""
_ADDED_TABLES = (*TRANSACTION_TABLES, *FACT_TABLES, SCHEMA_TABLE, BODY_TABLE)
# What files of earlier versions may lack.
BUSY_SECONDS = 1.0
"""How long to wait for another program that writes to the file. Tracers wait a second or two for an answer."""
_SCHEMA = """
CREATE TABLE services (id INTEGER PRIMARY KEY, name TEXT, env TEXT, last_seen REAL);
CREATE TABLE points (id INTEGER PRIMARY KEY, service INTEGER, tags BLOB, hash TEXT, parent TEXT, last INTEGER);
CREATE TABLE segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, width INTEGER, start INTEGER, service INTEGER, points INTEGER, data BLOB
);
CREATE INDEX segments_by_time ON segments (width, start);
CREATE INDEX segments_by_service ON segments (service, width, start);
CREATE TABLE levels (width INTEGER PRIMARY KEY, since INTEGER, until INTEGER) WITHOUT ROWID;
CREATE TABLE backlogs (id INTEGER PRIMARY KEY, tags BLOB UNIQUE, service INTEGER);
CREATE TABLE offsets (backlog INTEGER, start INTEGER, value INTEGER, PRIMARY KEY (backlog, start)) WITHOUT ROWID;
CREATE INDEX offsets_by_time ON offsets (start);
CREATE TABLE journal (id INTEGER PRIMARY KEY, received REAL, encoding TEXT, body BLOB);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
CREATE TABLE shares (service INTEGER PRIMARY KEY, rows INTEGER);
CREATE TABLE versions (service INTEGER, version TEXT, since REAL, last REAL);
"""


def translate_error(error: sqlite3.Error) -> Exception:
    """Return a StoreFullError if SQLite had no room, and otherwise the error itself."""
    return StoreFullError(str(error)) if error.sqlite_errorcode == sqlite3.SQLITE_FULL else error


class StoreFile:
    """The tables of one store. One thread at a time may write; `snapshot` gives each reader its own connection."""

    def __init__(self, path: Path | None) -> None:
        """Open the file, or create it; without a path, create the tables in memory. Raises StoreError."""
        self.path: Path | None = path
        self._lock: int | None = None
        try:
            if path:
                self._lock = lock_store_file(path)
                restrict_permissions(path)
            self._connection = self._connect()
        except (sqlite3.Error, OSError) as error:
            self._unlock()
            raise StoreError(f"{path}: {error.strerror if isinstance(error, OSError) else error}") from None
        try:
            self._prepare()
        except (sqlite3.Error, StoreError) as error:
            self.close()
            raise StoreError(f"{path}: {error}") from None

    def close(self) -> None:
        """Close the file. Everything that was committed is in it."""
        self._connection.close()
        self._unlock()

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection that the threads of the store share. One thread at a time may use it."""
        return self._connection

    @property
    def lock_file(self) -> int | None:
        """The descriptor of `PATH.lock`, which no other agent has open, until the store is closed; None in memory."""
        return self._lock

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what is written inside the block, or nothing of it if the block raises. Raises sqlite3.Error."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that sees what is committed now, whatever is written inside the block.

        In memory, it is the only connection: the caller has to keep others from writing until the block ends.
        """
        if self.path is None:
            yield self._connection
            return
        with closing(self._connect()) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM levels").fetchone()
            yield connection

    def used_bytes(self) -> int:
        """Return how many bytes are in use. Room of deleted rows does not count."""
        names = "page_count", "freelist_count", "page_size"
        pages, free, size = (self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
        return int((pages - free) * size)

    def counters(self) -> dict[str, int]:
        """Return the counters by name."""
        return dict(self._connection.execute("SELECT name, value FROM counters"))

    def row_counts(self) -> dict[int, int]:
        """Return how many rows each service has, by its number. Rows that earlier versions wrote are not counted."""
        return dict(self._connection.execute("SELECT service, rows FROM shares"))

    def journal(self) -> Iterator[tuple[float, str, bytes]]:
        """Yield the payloads of the journal: when each was received, its encoding and its body."""
        return iter(self._connection.execute("SELECT received, encoding, body FROM journal ORDER BY id"))

    def last_journal_id(self) -> int:
        """Return the id of the last payload in the journal, or 0 if it is empty."""
        return int(self._connection.execute("SELECT coalesce(max(id), 0) FROM journal").fetchone()[0])

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path or ":memory:",
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
        try:
            connection.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing; a power cut loses some seconds
            connection.execute("PRAGMA cache_size = -16000")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _prepare(self) -> None:
        run = self._connection.execute
        (application,), (version,) = run("PRAGMA application_id").fetchone(), run("PRAGMA user_version").fetchone()
        if not run("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self._create_tables()
        elif application != APPLICATION_ID:
            raise StoreError("it is the database of another program")
        elif version not in READABLE_VERSIONS:
            raise StoreError(f"another version of asyncdsm wrote it (format {version}; this version reads {VERSION})")
        else:
            self._add_missing_tables()
            run(f"PRAGMA user_version = {VERSION}")

    def _add_missing_tables(self) -> None:
        """Add what the file of an earlier version lacks."""
        run = self._connection.execute
        run("CREATE TABLE IF NOT EXISTS shares (service INTEGER PRIMARY KEY, rows INTEGER)")
        run("CREATE TABLE IF NOT EXISTS versions (service INTEGER, version TEXT, since REAL, last REAL)")
        if "service" not in [column[1] for column in run("PRAGMA table_info(backlogs)")]:
            run("ALTER TABLE backlogs ADD COLUMN service INTEGER")
        for statement in _ADDED_TABLES:
            run(statement)

    def _create_tables(self) -> None:
        run = self._connection.execute
        if self.path:
            run("PRAGMA journal_mode = WAL")
            run("PRAGMA journal_size_limit = 67108864")
        with self.transaction():
            for statement in (*_SCHEMA.split(";")[:-1], *_ADDED_TABLES):
                run(statement)
            rows = [(width, 0, FOREVER if width == RESOLUTIONS[0] else 0) for width in RESOLUTIONS]
            self._connection.executemany("INSERT INTO levels VALUES (?, ?, ?)", rows)
            run(f"PRAGMA application_id = {APPLICATION_ID}")
            run(f"PRAGMA user_version = {VERSION}")

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def append_to_journal(connection: sqlite3.Connection, payloads: Iterable[tuple[float, str, bytes]]) -> None:
    """Write payloads to the journal: when each was received, its encoding and its body."""
    connection.executemany("INSERT INTO journal (received, encoding, body) VALUES (?, ?, ?)", payloads)


def trim_journal(connection: sqlite3.Connection, last_id: int) -> None:
    """Delete the payloads of the journal up to an id."""
    connection.execute("DELETE FROM journal WHERE id <= ?", (last_id,))


def add_to_counters(connection: sqlite3.Connection, changes: Mapping[str, int]) -> None:
    """Add to the counters by name."""
    query = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
    connection.executemany(query, [(name, value) for name, value in changes.items() if value])


def add_to_row_counts(connection: sqlite3.Connection, changes: Mapping[int, int]) -> None:
    """Add to the number of rows of each service, by the number of the service."""
    query = "INSERT INTO shares VALUES (?, ?) ON CONFLICT (service) DO UPDATE SET rows = rows + excluded.rows"
    connection.executemany(query, changes.items())
