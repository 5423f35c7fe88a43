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

from asyncdsm.agent.store.clickhouse.address import Address
from asyncdsm.errors import StoreFullError, StoreUnavailableError

CONNECT_SECONDS, ANSWER_SECONDS = 5, 30
_FULL_CODES = {"243"}  # NOT_ENOUGH_SPACE
# It logs each error that it raises, which the agent reports on its own.
logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
_CODE = re.compile(r"code: (\d+)")
_READ_SETTINGS = {"do_not_merge_across_partitions_select_final": 1}
_INSERT_SETTINGS = {"wait_for_async_insert": 1}  # where the server collects inserts, an answer means: it is written


class Connection(Protocol):
    """Runs statements. Any thread may use it. Raises StoreUnavailableError, and StoreFullError for want of disk."""

    def command(self, statement: str) -> None:
        """Run a statement that returns nothing."""

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
        self._database = address.database
        with _translate_errors(str(address)):
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
        self._name = str(address)

    def command(self, statement: str) -> None:
        """Run a statement that returns nothing."""
        with _translate_errors(self._name):
            self._client.command(statement)

    def insert(self, table: str, rows: pa.Table) -> None:
        """Insert rows; when this returns, ClickHouse has written them."""
        if rows.num_rows:
            with _translate_errors(self._name):
                summary = self._client.insert_arrow(table, rows, self._database, settings=_INSERT_SETTINGS)
            if not summary.query_id():  # ClickHouse names each statement: a proxy between has answered
                raise StoreUnavailableError(f"{self._name}: its answer to rows of {table} is not one of ClickHouse")

    def query(self, statement: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Return the result of a query."""
        with _translate_errors(self._name):
            return self._client.query_arrow(statement, dict(parameters or {}), settings=_READ_SETTINGS)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


@contextmanager
def _translate_errors(address: str) -> Iterator[None]:
    try:
        yield
    except ClickHouseError as error:
        code = _CODE.search(str(error))
        kind = StoreFullError if code and code[1] in _FULL_CODES else StoreUnavailableError
        raise kind(f"{address}: {_describe_cause(error)}") from None
    except pa.ArrowInvalid as error:  # a proxy between has answered
        raise StoreUnavailableError(f"{address}: its answer is not one of ClickHouse: {error}") from None


def _describe_cause(error: BaseException) -> str:
    """Return what went wrong: the answer of ClickHouse, or why there is none."""
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.strerror):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, OSError):
        return f"it cannot be reached: {cause.strerror}"
    return str(error).partition(" (for url")[0].replace("\n", " ")[:300]
