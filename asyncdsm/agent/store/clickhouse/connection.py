"""The connection to ClickHouse: statements over HTTP, tables as Arrow."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.summary import QuerySummary

from asyncdsm.agent.store.clickhouse.address import Address
from asyncdsm.agent.store.clickhouse.hang_guard import HangGuard
from asyncdsm.errors import StoreFullError, StoreLimitError, StoreUnavailableError

CONNECT_SECONDS, ANSWER_SECONDS = 5, 30
"""How long a statement may wait for a connection, and for its answer, while ClickHouse answers pings."""
QUERY_SECONDS = 12
"""How long a query may take: then ClickHouse itself ends it, and says so, before the page stops waiting."""
# NOT_ENOUGH_SPACE
_FULL_CODES = {"243"}
# TOO_MANY_ROWS, TIMEOUT_EXCEEDED, TOO_SLOW, CANNOT_ALLOCATE_MEMORY, MEMORY_LIMIT_EXCEEDED, TOO_MANY_BYTES,
# TOO_MANY_ROWS_OR_BYTES
_LIMIT_CODES = {"158", "159", "160", "173", "241", "307", "396"}
# It logs each error that it raises, which the agent reports on its own.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
_CODE = re.compile(r"code: (\d+)")
_READ_SETTINGS = {"do_not_merge_across_partitions_select_final": 1, "max_execution_time": QUERY_SECONDS}
# Where a server collects inserts, or passes them on to the shards of a cluster, an answer means: it is written there.
_INSERT_SETTINGS = {"wait_for_async_insert": 1, "distributed_foreground_insert": 1}


class Connection(Protocol):
    """Runs statements. Any thread may use it.

    Raises StoreUnavailableError, which is a StoreLimitError if the statement is too large, and StoreFullError for want
    of disk.
    """

    def command(self, statement: str, seconds: int | None = None) -> None:
        """Run a statement that returns nothing; when this returns, ClickHouse has run it.

        It fails if it takes longer than some seconds. ClickHouse itself ends it then.
        """

    def insert(self, table: str, rows: pa.Table) -> None:
        """Insert rows; when this returns, ClickHouse has written them."""

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Return the result of a query, in which `%(name)s` stands for the parameter `name`."""
        ...

    def close(self) -> None:
        """Close the connection."""


class HTTPConnection:
    """ClickHouse's HTTP interface."""

    def __init__(self, address: Address) -> None:
        """Connect. Raises StoreUnavailableError."""
        self._database, self._name = address.database, str(address)
        self._guard = HangGuard(self._ping)
        with self._translate_errors():
            self._client = clickhouse_connect.get_client(
                host=address.host,
                port=address.port,
                username=address.user,
                password=address.password,
                secure=address.secure,
                connect_timeout=CONNECT_SECONDS,
                send_receive_timeout=ANSWER_SECONDS,
                autogenerate_session_id=False,  # several threads may use the client at once
                client_name="asyncdsm",
            )

    def command(self, statement: str, seconds: int | None = None) -> None:
        """Run a statement that returns nothing, in some seconds at most; when this returns, ClickHouse has run it."""
        settings = {**_INSERT_SETTINGS, **({} if seconds is None else {"max_execution_time": seconds})}
        with self._translate_errors():
            summary = self._guard.run_statement(lambda: self._client.command(statement, settings=settings))
        # ClickHouse names each statement, and says nothing else: otherwise a proxy between has answered.
        if not isinstance(summary, QuerySummary) or not summary.query_id():
            raise StoreUnavailableError(f"{self._name}: its answer to a statement is not one of ClickHouse")

    def insert(self, table: str, rows: pa.Table) -> None:
        """Insert rows; when this returns, ClickHouse has written them."""
        if rows.num_rows:
            with self._translate_errors():
                summary = self._guard.run_statement(
                    lambda: self._client.insert_arrow(table, rows, self._database, settings=_INSERT_SETTINGS)
                )
            if not summary.query_id():  # ClickHouse names each statement: a proxy between has answered
                raise StoreUnavailableError(f"{self._name}: its answer to rows of {table} is not one of ClickHouse")

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Return the result of a query."""
        with self._translate_errors():
            return self._guard.run_statement(
                lambda: self._client.query_arrow(statement, dict(parameters or {}), settings=_READ_SETTINGS)
            )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _ping(self) -> bool:
        return self._client.ping()

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        self._guard.check()
        try:
            yield
        except (ClickHouseError, TimeoutError) as error:
            if _has_timed_out(error):
                problem = f"{self._name}: it does not answer in time"
                self._guard.note_hang(problem)
                raise StoreUnavailableError(problem) from None
            self._guard.note_answer()
            raise _error_class(error)(f"{self._name}: {_describe_cause(error)}") from None
        except (pa.ArrowInvalid, OSError) as error:  # a proxy between has answered
            self._guard.note_answer()
            raise StoreUnavailableError(f"{self._name}: its answer is not one of ClickHouse: {error}") from None
        self._guard.note_answer()


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _has_timed_out(error: BaseException) -> bool:
    return any(isinstance(cause, TimeoutError) for cause in _causes(error))


def _error_class(error: BaseException) -> type[StoreFullError | StoreUnavailableError]:
    found = _CODE.search(str(error))
    code = found[1] if found else ""
    if code in _FULL_CODES:
        return StoreFullError
    return StoreLimitError if code in _LIMIT_CODES else StoreUnavailableError


def _describe_cause(error: BaseException) -> str:
    """Return what went wrong: the answer of ClickHouse, or why there is none."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return f"it cannot be reached: {cause.strerror}"
    return str(error).partition(" (for url")[0].replace("\n", " ")[:300]
