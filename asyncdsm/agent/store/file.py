"""The SQLite file: its tables, and one connection to it. Without a path, the same in memory.

`segments` holds sketches: the points of one service during one stretch of time, whole, as `cells.packed` writes them.
There may be several for the same service and stretch; whoever reads adds them up. `journal` holds payloads that were
acknowledged and are not in `segments` yet, as they came. A file in WAL mode is whole after a kill at any moment.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from msgspec.msgpack import decode, encode

from asyncdsm._internal.log import warn_each_minute
from asyncdsm.agent.store.registry import PointKey, PointRegistry
from asyncdsm.agent.store.resolutions import FOREVER, RESOLUTIONS, Coverage, Slice
from asyncdsm.errors import StoreError, StoreFullError

APPLICATION_ID = 0x64736D31
VERSION = 1
BUSY_SECONDS = 1.0
# How long to wait for another program that writes to the file: tracers wait for an answer for a second or two.
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
"""
_NEXT_SERVICE, _NEXT_POINT = "next_service", "next_point"
# Counters, too: numbers of what was forgotten may still be in segments, and are not given out again.


def translate_error(error: sqlite3.Error) -> Exception:
    """Return what to raise for an error of SQLite: whether the disk is full is worth knowing."""
    return StoreFullError(str(error)) if error.sqlite_errorcode == sqlite3.SQLITE_FULL else error


class StoreFile:
    """One store's tables. One thread at a time may write; `reading` gives readers connections of their own."""

    def __init__(self, path: Path | None) -> None:
        """Open the file, or make it. Raises StoreError."""
        self.path: Path | None = path
        self._lock = _locked(path) if path else None
        try:
            if path:
                _keep_private(path)
            self._connection = self._open()
        except (sqlite3.Error, OSError) as error:
            self._unlock()
            raise StoreError(f"{path}: {error.strerror if isinstance(error, OSError) else error}") from None
        try:
            self._prepare()
        except (sqlite3.Error, StoreError) as error:
            self.close()
            raise StoreError(f"{path}: {error}") from None

    def close(self) -> None:
        """Close the file; what is committed is in it."""
        self._connection.close()
        self._unlock()

    @property
    def connection(self) -> sqlite3.Connection:
        """What the store's threads share, one at a time."""
        return self._connection

    @property
    def lock_file(self) -> int | None:
        """The descriptor of the file that only one agent has open, until the store is closed; None in memory."""
        return self._lock

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what is done inside the block, or nothing of it. Raises sqlite3.Error."""
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
        """Give a connection that sees what is committed now, whatever is written meanwhile.

        In memory there is one connection: keep others from writing until the block ends.
        """
        if self.path is None:
            yield self._connection
            return
        with closing(self._open()) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM levels").fetchone()
            yield connection

    def used_bytes(self) -> int:
        """Return how many bytes are in use; what was deleted does not count."""
        names = "page_count", "freelist_count", "page_size"
        pages, free, size = (self._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
        return int((pages - free) * size)

    def load_points(self, points: PointRegistry) -> None:
        """Hand over all services and points with their numbers, those seen longest ago first."""
        counters = self.counters()
        points.next_service, points.next_point = counters.get(_NEXT_SERVICE, 1), counters.get(_NEXT_POINT, 1)
        names = dict[int, tuple[str, str]]()
        for number, name, env in self._connection.execute("SELECT id, name, env FROM services ORDER BY last_seen"):
            points.put_service(number, name, env)
            names[number] = name, env
        query = "SELECT id, service, tags, hash, parent FROM points ORDER BY last, id"
        for number, service, tags, hash_, parent in self._connection.execute(query):
            if service in names and names[service] in points.services:
                key = PointKey(*names[service], tuple(decode(tags)), int(hash_), int(parent))
                points.put_point(number, key, service)

    def last_seen(self) -> dict[tuple[str, str], float]:
        """Return when each (service, env) last reported."""
        query = "SELECT name, env, last_seen FROM services ORDER BY last_seen"
        return {(name, env): seen for name, env, seen in self._connection.execute(query)}

    def extents(self) -> dict[int, Coverage]:
        """Return from when to when each level has everything."""
        query = "SELECT width, since, until FROM levels"
        return {width: Coverage(since, until) for width, since, until in self._connection.execute(query)}

    def counters(self) -> dict[str, int]:
        """Return the counters by name."""
        return dict(self._connection.execute("SELECT name, value FROM counters"))

    def journal(self) -> Iterator[tuple[float, str, bytes]]:
        """Return what was acknowledged and is not in `segments` yet: when it came, its encoding, its body."""
        return iter(self._connection.execute("SELECT received, encoding, body FROM journal ORDER BY id"))

    def last_in_journal(self) -> int:
        """Return the number of the journal's last entry; 0 without one."""
        return int(self._connection.execute("SELECT coalesce(max(id), 0) FROM journal").fetchone()[0])

    def shares(self) -> dict[int, int]:
        """Return how many rows each service has, by its number; what an earlier version wrote is not counted."""
        return dict(self._connection.execute("SELECT service, rows FROM shares"))

    def last_start(self) -> int:
        """Return when the newest row starts; 0 without one."""
        query = "SELECT max(start) FROM segments WHERE width = ?"
        return max(self._connection.execute(query, (width,)).fetchone()[0] or 0 for width in RESOLUTIONS)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path or ":memory:",
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
        try:
            connection.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing; a power cut some seconds
            connection.execute("PRAGMA cache_size = -16000")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _prepare(self) -> None:
        run = self._connection.execute
        (application,), (version,) = run("PRAGMA application_id").fetchone(), run("PRAGMA user_version").fetchone()
        if not run("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self._create()
        elif application != APPLICATION_ID:
            raise StoreError("a database of another program")
        elif version != VERSION:
            raise StoreError(f"written by another version of asyncdsm (format {version}, this one reads {VERSION})")
        else:
            self._add_what_is_new()

    def _add_what_is_new(self) -> None:
        """Add what an earlier version's file lacks; that version still reads the file."""
        run = self._connection.execute
        run("CREATE TABLE IF NOT EXISTS shares (service INTEGER PRIMARY KEY, rows INTEGER)")
        if "service" not in [column[1] for column in run("PRAGMA table_info(backlogs)")]:
            run("ALTER TABLE backlogs ADD COLUMN service INTEGER")

    def _create(self) -> None:
        run = self._connection.execute
        if self.path:
            run("PRAGMA journal_mode = WAL")
            run("PRAGMA journal_size_limit = 67108864")
        with self.transaction():
            for statement in _SCHEMA.split(";")[:-1]:
                run(statement)
            rows = [(width, 0, FOREVER if width == RESOLUTIONS[0] else 0) for width in RESOLUTIONS]
            self._connection.executemany("INSERT INTO levels VALUES (?, ?, ?)", rows)
            run(f"PRAGMA application_id = {APPLICATION_ID}")
            run(f"PRAGMA user_version = {VERSION}")

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _locked(path: Path) -> int:
    """Keep a second agent from the same file: its pending payloads would be taken twice."""
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise StoreError(f"{path}: another agent has it open") from None
    return lock


def _keep_private(path: Path) -> None:
    """Make the file, and what SQLite keeps beside it, readable by its owner only. Raises OSError where it cannot be."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for suffix in ("", "-wal", "-shm", ".lock"):  # SQLite gives the two that it makes the permissions of the file
        with suppress(FileNotFoundError):
            _chmod(f"{path}{suffix}")


def _chmod(path: str) -> None:
    try:
        if os.stat(path).st_mode & 0o077:
            os.chmod(path, 0o600)
    except PermissionError:
        warn_each_minute("private", "%s belongs to somebody else, and others may read what is in it", path)


def read_segments(
    connection: sqlite3.Connection, slices: Iterable[Slice], service: int | None
) -> Iterator[tuple[int, bytes]]:
    """Yield the start and the data of the segments of some plan_slices, of all services or one."""
    query = "SELECT start, data FROM segments WHERE width = ? AND start >= ? AND start < ?"
    for piece in slices:
        if service is None:
            yield from connection.execute(query, piece)
        else:
            yield from connection.execute(f"{query} AND service = ?", (*piece, service))


def put_in_journal(connection: sqlite3.Connection, entries: Iterable[tuple[float, str, bytes]]) -> None:
    """Note what was taken: when it came, its encoding, its body."""
    connection.executemany("INSERT INTO journal (received, encoding, body) VALUES (?, ?, ?)", entries)


def put_points(connection: sqlite3.Connection, points: PointRegistry, last: Iterable[tuple[int, int]]) -> None:
    """Note points by number, and when each was last seen; those that were forgotten meanwhile are left out."""
    rows = [
        (number, service, encode(key.tags), str(key.hash), str(key.parent), start)
        for number, start in last
        if (service := points.service_of(number)) is not None
        for key in [points.keys[number]]
    ]
    query = (
        "INSERT INTO points VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET last = max(last, excluded.last)"
    )
    connection.executemany(query, rows)


def put_services(
    connection: sqlite3.Connection, points: PointRegistry, last_seen: Iterable[tuple[tuple[str, str], float]]
) -> None:
    """Note services, and when each last reported; those that were forgotten meanwhile are left out."""
    rows = [(points.services[service], *service, seen) for service, seen in last_seen if service in points.services]
    query = "INSERT INTO services VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET last_seen = excluded.last_seen"
    connection.executemany(query, rows)


def put_next_numbers(connection: sqlite3.Connection, points: PointRegistry) -> None:
    """Note which numbers were given out."""
    rows = [(_NEXT_SERVICE, points.next_service), (_NEXT_POINT, points.next_point)]
    connection.executemany("INSERT OR REPLACE INTO counters VALUES (?, ?)", rows)


def add_to_counters(connection: sqlite3.Connection, counted: Mapping[str, int]) -> None:
    """Count."""
    query = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
    connection.executemany(query, [(name, value) for name, value in counted.items() if value])


def add_to_shares(connection: sqlite3.Connection, rows: Mapping[int, int]) -> None:
    """Add how many rows each service has more, or fewer."""
    query = "INSERT INTO shares VALUES (?, ?) ON CONFLICT (service) DO UPDATE SET rows = rows + excluded.rows"
    connection.executemany(query, rows.items())


def oldest_starts(connection: sqlite3.Connection) -> dict[int, int]:
    """Return when the oldest row of each level starts, by width, for levels that have any."""
    query = "SELECT min(start) FROM segments WHERE width = ?"
    found = ((width, connection.execute(query, (width,)).fetchone()[0]) for width in RESOLUTIONS)
    return {width: start for width, start in found if start is not None}


def oldest_start(connection: sqlite3.Connection) -> int | None:
    """Return since when there is something; a wide row that has finer ones in it may start earlier."""
    first: int | None = None
    for width, start in oldest_starts(connection).items():
        if first is None or start + width <= first:
            first = start
    return first


def forget_points(connection: sqlite3.Connection, oldest: int) -> tuple[list[int], list[tuple[str, str]]]:
    """Let go of points that have no rows any more, and of services without points; return which (name, env)."""
    first = min(oldest_starts(connection).values(), default=oldest)
    query = "DELETE FROM points WHERE last < ? RETURNING id"
    points = [number for (number,) in connection.execute(query, (first,))]
    query = "DELETE FROM services WHERE last_seen < ? AND id NOT IN (SELECT service FROM points) RETURNING name, env"
    return points, list(connection.execute(query, (oldest,)))


def delete_names(connection: sqlite3.Connection, points: Iterable[int], services: Iterable[int]) -> None:
    """Delete points and services by number."""
    connection.executemany("DELETE FROM points WHERE id = ?", [(number,) for number in points])
    connection.executemany("DELETE FROM services WHERE id = ?", [(number,) for number in services])
