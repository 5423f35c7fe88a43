"""ClickHouse's tables of another release: brought up to date where columns suffice, else refused at the start."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import blake2b

import pyarrow as pa
import pytest

from asyncdsm._version import __version__
from asyncdsm.agent.store.clickhouse.address import Address, parse_address
from asyncdsm.agent.store.clickhouse.connection import HTTPConnection
from asyncdsm.agent.store.clickhouse.schema import (
    TABLES,
    VERSION,
    VERSIONS,
    create_statements,
    parse_columns,
    parse_type,
)
from asyncdsm.agent.store.clickhouse.store import ClickHouseStore
from asyncdsm.agent.store.clickhouse.tables import FoundTable, find_problems, upgrade_statements
from asyncdsm.errors import StoreError
from tests.agent.payloads import NOW
from tests.agent.test_clickhouse import accepted
from tests.agent.test_store import kept
from tests.brokers.clickhouse import ClickHouse


@pytest.fixture
def address(clickhouse: ClickHouse) -> Address:
    """The address of a database that is not there yet."""
    return parse_address(clickhouse.address(), {})


@pytest.fixture
def connection(address: Address) -> Iterator[HTTPConnection]:
    with closing(HTTPConnection(address)) as connection:
        yield connection


def open_store(address: Address) -> ClickHouseStore:
    return ClickHouseStore(address, now=lambda: NOW)


def create_tables(address: Address) -> None:
    open_store(address).close()


def versions(connection: HTTPConnection, address: Address) -> list[tuple[int, str]]:
    query = f"SELECT version, asyncdsm FROM {address.database}.schema_versions FINAL ORDER BY 1"  # noqa: S608
    return [(row["version"], row["asyncdsm"]) for row in connection.query(query).to_pylist()]


def note_version(connection: HTTPConnection, version: int, release: str) -> None:
    row = pa.table({"version": pa.array([version], pa.uint32()), "asyncdsm": [release]})
    connection.insert("schema_versions", row)


def expect_payloads_are_taken(address: Address) -> None:
    with closing(open_store(address)) as store:
        store.add_all([accepted(1, 2)])
        assert kept(store) == {1: 4, 2: 4}


def test_new_database_gets_the_version_and_is_opened_again(address: Address, connection: HTTPConnection) -> None:
    create_tables(address)
    expect_payloads_are_taken(address)
    assert versions(connection, address) == [(VERSION, __version__)]


@pytest.mark.parametrize("has_version", [True, False])
def test_missing_columns_and_tables_of_an_older_release_are_added(
    address: Address, connection: HTTPConnection, has_version: bool
) -> None:
    create_tables(address)
    connection.command(f"ALTER TABLE {address.database}.sketches DROP COLUMN size_counts")
    connection.command(f"ALTER TABLE {address.database}.facts DROP COLUMN longest_wait_ns")
    connection.command(f"DROP TABLE {address.database}.schemas")
    if has_version:
        connection.command(f"TRUNCATE TABLE {address.database}.schema_versions")
        note_version(connection, 0, "0.0.1")
    else:
        connection.command(f"DROP TABLE {address.database}.schema_versions")
    expect_payloads_are_taken(address)
    assert versions(connection, address)[-1] == (VERSION, __version__)


def test_tables_of_a_later_release_are_refused_with_both_versions(address: Address, connection: HTTPConnection) -> None:
    create_tables(address)
    note_version(connection, VERSION + 1, "99.0")
    connection.command(f"DROP TABLE {address.database}.steps")
    with pytest.raises(StoreError) as raised:
        open_store(address)
    assert str(raised.value) == (
        f"{address}: its tables are of version {VERSION + 1}, by asyncdsm 99.0, and this is asyncdsm {__version__}, "
        f"which needs version {VERSION}: update this agent, or name another database"
    )
    query = "SELECT count() AS n FROM system.tables WHERE database = %(name)s AND name = 'steps'"
    assert connection.query(query, {"name": address.database}).to_pylist() == [{"n": 0}]  # nothing was changed


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("sketches (width UInt16) {} ORDER BY width", "sketches is sorted by width, not by width, start, service, env"),
        ("payloads (agent UInt64, payloads UInt64) {} ORDER BY agent", "payloads has no column insertion"),
        ("steps (id UInt64, time DateTime64(9, 'UTC')) {} ORDER BY id", "steps.id is UInt64, not String"),
    ],
)
def test_tables_that_further_columns_cannot_mend_are_refused(
    address: Address, connection: HTTPConnection, table: str, said: str
) -> None:
    connection.command(f"CREATE DATABASE {address.database}")
    connection.command(f"CREATE TABLE {address.database}.{table.format('ENGINE = ReplacingMergeTree')}")
    with pytest.raises(StoreError, match="its tables are of version 0, by an older asyncdsm, and this is") as raised:
        open_store(address)
    assert said in str(raised.value)
    assert str(raised.value).endswith("): name another database, or drop them")


def test_table_of_another_engine_is_refused(address: Address, connection: HTTPConnection) -> None:
    create_tables(address)
    connection.command(f"DROP TABLE {address.database}.payloads")
    connection.command(
        f"CREATE TABLE {address.database}.payloads (agent UInt64, insertion UInt64, received DateTime64(3, 'UTC')) "
        "ENGINE = MergeTree ORDER BY agent"
    )
    with pytest.raises(StoreError, match="payloads has the engine MergeTree, not ReplacingMergeTree"):
        open_store(address)


@pytest.mark.parametrize("is_new", [True, False])
def test_many_agents_that_start_at_once_all_find_their_tables(
    address: Address, connection: HTTPConnection, is_new: bool
) -> None:
    if not is_new:
        create_tables(address)
        connection.command(f"ALTER TABLE {address.database}.sketches DROP COLUMN size_bins")
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(open_store, [address] * 4))
    for number, store in enumerate(stores):
        store.add_all([accepted(number)])
        store.close()
    with closing(open_store(address)) as store:
        assert kept(store) == dict.fromkeys(range(4), 4)
    assert versions(connection, address) == [(VERSION, __version__)]


def on_a_cluster() -> dict[str, FoundTable]:
    """Return the tables of a cluster as ClickHouse lists them: no server of the tests has one."""
    found = {}
    for table in (*TABLES, VERSIONS):
        columns = {name: parse_type(definition) for name, definition in parse_columns(table.columns).items()}
        found[table.name] = FoundTable("Distributed", "", columns)
        found[f"{table.name}_local"] = FoundTable(f"Replicated{table.engine}", table.order, columns)
    return found


def test_tables_of_a_cluster_are_known_by_their_engines() -> None:
    assert list(find_problems(on_a_cluster(), is_cluster=True)) == []
    (problem, *_) = find_problems(on_a_cluster(), is_cluster=False)
    assert problem == "schema_versions has the engine Distributed, not ReplacingMergeTree"
    alone = {table.name: FoundTable(table.engine, table.order, {}) for table in TABLES}
    assert "sketches has the engine ReplacingMergeTree, not Distributed" in find_problems(alone, is_cluster=True)


def test_part_of_a_cluster_with_a_column_of_another_type_is_refused() -> None:
    found = on_a_cluster()
    found["sketches_local"].columns["size_counts"] = "Array(Float32)"
    problems = list(find_problems(found, is_cluster=True))
    assert problems[0] == "sketches_local.size_counts is Array(Float32), not Array(Float64)"


def test_column_is_added_to_the_parts_of_a_cluster_before_the_whole(connection: HTTPConnection) -> None:
    found = on_a_cluster()
    for name in ("periods_local", "periods", "sketches_local", "sketches"):
        found[name].columns.pop("size_counts", None)
        found[name].columns.pop("claimed", None)
    assert list(find_problems(found, is_cluster=True)) == []
    statements = list(upgrade_statements(found, "dsm", "metrics"))
    assert statements[0] == (
        "ALTER TABLE dsm.sketches_local ON CLUSTER metrics "
        "ADD COLUMN IF NOT EXISTS size_counts Array(Float64) CODEC(ZSTD)"
    )
    assert [statement.split()[2] for statement in statements] == [
        "dsm.sketches_local",
        "dsm.sketches",
        "dsm.periods_local",
        "dsm.periods",
    ]
    for statement in statements:
        (row,) = connection.query("SELECT formatQuery(%(sql)s) AS text", {"sql": statement}).to_pylist()
        assert "ON CLUSTER metrics" in row["text"]


DIGESTS = {1: "549cea63584d6ee3"}
"""The digest of the statements that create the tables, by the version of the tables."""


def test_tables_change_only_together_with_their_version() -> None:
    statements = "\n".join([*create_statements("dsm", 3600), *create_statements("dsm", 3600, "metrics")])
    digest = blake2b(statements.encode(), digest_size=8).hexdigest()
    assert digest == DIGESTS.get(VERSION), (
        f"the tables have changed: in asyncdsm/agent/store/clickhouse/schema.py set VERSION to {max(DIGESTS) + 1}, "
        f'and here add {max(DIGESTS) + 1}: "{digest}" to DIGESTS. If no release has had version {VERSION} yet, or only '
        "what tables are not compared by has changed (TTL, codecs), replace its digest instead"
    )
