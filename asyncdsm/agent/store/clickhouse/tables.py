"""Creates the tables in ClickHouse, brings those of an older release up to date, and refuses those of another one.

Any number of agents may do so at once: each statement does nothing where another agent was faster.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pyarrow as pa

from asyncdsm._version import __version__
from asyncdsm.agent.store.clickhouse.address import Address
from asyncdsm.agent.store.clickhouse.connection import Connection
from asyncdsm.agent.store.clickhouse.schema import (
    TABLES,
    VERSION,
    VERSIONS,
    Table,
    create_statements,
    parse_columns,
    parse_type,
)
from asyncdsm.errors import StoreError


class FoundTable(NamedTuple):
    """A table that is there."""

    engine: str
    sorting_key: str
    columns: dict[str, str]
    """The types of the columns, by name."""


def prepare_tables(connection: Connection, address: Address, kept_seconds: int) -> None:
    """Create the database and the tables that are missing, and add the columns that are.

    Raises StoreError if the tables are those of another release, and what a Connection raises.
    """
    database, where = address.database, f" ON CLUSTER {address.cluster}" if address.cluster else ""
    query = "SELECT count() AS n FROM system.databases WHERE name = %(name)s"
    if not connection.query(query, {"name": database}).to_pylist()[0]["n"]:
        connection.command(f"CREATE DATABASE IF NOT EXISTS {database}{where}")
    found = _read_tables(connection, database)
    version, writer = _read_version(connection, database, found)
    problems = list(find_problems(found, is_cluster=bool(address.cluster)))
    if version > VERSION or problems:
        raise StoreError(f"{address}: {_explain_refusal(version, writer, problems)}")
    for statement in create_statements(database, kept_seconds, address.cluster):
        connection.command(statement)
    for statement in upgrade_statements(found, database, address.cluster):
        connection.command(statement)
    if version != VERSION or VERSIONS.name not in found:
        row = {"version": pa.array([VERSION], pa.uint32()), "asyncdsm": [__version__]}
        connection.insert(VERSIONS.name, pa.table(row))


def find_problems(found: Mapping[str, FoundTable], *, is_cluster: bool) -> Iterator[str]:
    """Yield what keeps tables from being used, or from being brought up to date by further columns."""
    for table, name in _known_tables():
        present = found.get(name)
        if present is None:
            continue
        if _engine_of(present) != (wanted := "Distributed" if is_cluster and name == table.name else table.engine):
            yield f"{name} has the engine {present.engine}, not {wanted}"
        elif present.engine != "Distributed" and not _is_same(present.sorting_key, table.order):
            yield f"{name} is sorted by {present.sorting_key}, not by {table.order}"
        for column, definition in parse_columns(table.columns).items():
            type_, wanted = present.columns.get(column), parse_type(definition)
            if type_ is None and not _can_be_added(table, column):
                yield f"{name} has no column {column}"
            elif type_ is not None and not _is_same(type_, wanted):
                yield f"{name}.{column} is {type_}, not {wanted}"


def _is_same(found: str, wanted: str) -> bool:
    return found.replace(" ", "") == wanted.replace(" ", "")  # servers may set spaces differently


def _known_tables() -> Iterator[tuple[Table, str]]:
    """Yield each table with its name, and with that of its part on one server of a cluster."""
    for table in (VERSIONS, *TABLES):
        yield table, f"{table.name}_local"
        yield table, table.name


def _engine_of(table: FoundTable) -> str:
    """Return an engine without how it is replicated, which a server may add by itself."""
    return table.engine.removeprefix("Replicated").removeprefix("Shared")


def _can_be_added(table: Table, column: str) -> bool:
    """Return whether a column may come later: rows are not sorted, split, replaced or forgotten by it."""
    used = " ".join((table.order, table.version, table.partition, table.forget_by))
    return column not in re.findall(r"\w+", used)


def upgrade_statements(found: Mapping[str, FoundTable], database: str, cluster: str = "") -> Iterator[str]:
    """Yield the statements that add the columns that are missing, on a cluster if one is named."""
    where = f" ON CLUSTER {cluster}" if cluster else ""
    for table, name in _known_tables():
        if present := found.get(name):
            for column, definition in parse_columns(table.columns).items():
                if column not in present.columns:
                    # What a table that is distributed has besides types is that of its parts.
                    what = parse_type(definition) if present.engine == "Distributed" else definition
                    yield f"ALTER TABLE {database}.{name}{where} ADD COLUMN IF NOT EXISTS {column} {what}"


def _read_tables(connection: Connection, database: str) -> dict[str, FoundTable]:
    asked = {"database": database}
    tables = connection.query(
        "SELECT name, engine, sorting_key FROM system.tables WHERE database = %(database)s", asked
    )
    found = {row["name"]: FoundTable(row["engine"], row["sorting_key"].strip("()"), {}) for row in tables.to_pylist()}
    columns = connection.query("SELECT table, name, type FROM system.columns WHERE database = %(database)s", asked)
    for row in columns.to_pylist():
        if row["table"] in found:  # another agent may have created one meanwhile
            found[row["table"]].columns[row["name"]] = row["type"]
    return {name: table for name, table in found.items() if table.columns}


def _read_version(connection: Connection, database: str, found: Mapping[str, FoundTable]) -> tuple[int, str]:
    """Return the version of the tables and the release that wrote it.

    That is 0 for tables of a release that wrote none, and this one's if there are no tables.
    """
    if VERSIONS.name in found:
        query = f"SELECT version, asyncdsm FROM {database}.{VERSIONS.name} ORDER BY version DESC, since LIMIT 1"
        for row in connection.query(query).to_pylist():
            return row["version"], row["asyncdsm"]
    is_new = not any(table.name in found for table in TABLES)
    return (VERSION, __version__) if is_new else (0, "")


def _explain_refusal(version: int, writer: str, problems: list[str]) -> str:
    """Return why tables are refused, and what to do."""
    whose = f"asyncdsm {writer}" if writer else "an older asyncdsm"
    this = f"this is asyncdsm {__version__}, which needs version {VERSION}"
    said = f"its tables are of version {version}, by {whose}, and {this}"
    if version > VERSION:
        return f"{said}: update this agent, or name another database"
    return f"{said} and cannot bring them up to date ({'; '.join(problems[:3])}): name another database, or drop them"
