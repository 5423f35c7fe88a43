"""The tables in ClickHouse. `docs/deploy/clickhouse.md` explains them, with queries.

Whatever is written twice counts once: rows have ids that follow from what they are about, which are the same in every
agent, and the engines keep one row of each id. So an agent that cannot tell whether ClickHouse has taken something
writes it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from asyncdsm.agent.store.clickhouse.names import NAMES_SECONDS

_NAMES = "service LowCardinality(String), env LowCardinality(String)"
_WRITTEN = "written DateTime64(6, 'UTC') DEFAULT now64(6)"
_BINS = "Array(Int32) CODEC(Delta, ZSTD)"
_COUNTS = "Array(Float64) CODEC(ZSTD)"


class Table(NamedTuple):
    """A table: its columns, how it is sorted, split and forgotten, and its engine with the column of versions."""

    name: str
    columns: str
    order: str
    forget_by: str = ""
    engine: str = "ReplacingMergeTree"
    version: str = ""
    partition: str = ""
    shard_by: str = "rand()"
    """Where rows with the same id have to be on the same shard, what decides about it."""
    kept_longer: int = 0
    """For how many seconds more rows are kept: those of names for as long as the last row that has the name."""


TABLES = (
    Table(
        "sketches",
        f"width UInt16, start DateTime('UTC') CODEC(Delta, ZSTD), {_NAMES}, point UInt64, payload UInt64, "
        f"edge_bins {_BINS}, edge_counts {_COUNTS}, pathway_bins {_BINS}, pathway_counts {_COUNTS}, "
        f"size_bins {_BINS}, size_counts {_COUNTS}, marks UInt64",
        "width, start, service, env, point, payload",
        "start",
        version="marks",  # that a roll-up has
        partition="width, toDate(start)",
        shard_by="point",
    ),
    Table(
        "periods",
        "width UInt16, start DateTime('UTC'), marks SimpleAggregateFunction(sum, UInt64), "
        "rolled SimpleAggregateFunction(max, UInt64), claimed SimpleAggregateFunction(max, DateTime64(3, 'UTC'))",
        "width, start",
        "start",
        engine="AggregatingMergeTree",
        shard_by="width",
    ),
    Table(
        "points",
        f"point UInt64, {_NAMES}, tags Array(String), hash UInt64, parent UInt64, last DateTime('UTC'), {_WRITTEN}",
        "service, env, point",
        "last",
        version="last",
        shard_by="point",
        kept_longer=NAMES_SECONDS,
    ),
    Table(
        "backlogs",
        f"backlog UInt64, tags Array(String), {_NAMES}, last DateTime('UTC'), {_WRITTEN}",
        "backlog",
        "last",
        version="last",
        shard_by="backlog",
        kept_longer=NAMES_SECONDS,
    ),
    Table(
        "offsets",
        "start DateTime('UTC') CODEC(Delta, ZSTD), backlog UInt64, value Int64 CODEC(Delta, ZSTD), "
        f"{_WRITTEN}, PROJECTION by_backlog (SELECT * ORDER BY backlog, start)",
        "start, backlog",
        "start",
        engine="MergeTree",
        partition="toDate(start)",
        shard_by="backlog",
    ),
    Table(
        "services",
        f"{_NAMES}, last_seen DateTime64(3, 'UTC'), version String, process_tags Array(String), lang String, "
        "negatives_at DateTime64(3, 'UTC')",
        "service, env",
        "last_seen",
        version="last_seen",
        shard_by="cityHash64(service, env)",
    ),
    Table(
        "versions",
        f"{_NAMES}, version String, since DateTime64(3, 'UTC'), last DateTime64(3, 'UTC')",
        "service, env, version, since",
        "last",
        version="last",
        shard_by="cityHash64(service, env)",
    ),
    Table(
        "facts",
        f"start DateTime('UTC') CODEC(Delta, ZSTD), {_NAMES}, tags Array(String), payload UInt64, redelivered UInt64, "
        f"dead_lettered UInt64, waits UInt64, wait_ns UInt64, longest_wait_ns UInt64, {_WRITTEN}",
        "start, service, env, tags, payload",
        "start",
        version="written",
        partition="toDate(start)",
        shard_by="payload",
    ),
    Table(
        "schemas",
        f"{_NAMES}, tags Array(String), schema String, since DateTime64(3, 'UTC'), last DateTime64(3, 'UTC'), "
        f"{_WRITTEN}",
        "service, env, tags, schema, since",
        "last",
        version="last",
        shard_by="cityHash64(service, env)",
    ),
    Table(
        "payloads",
        "agent UInt64, insertion UInt64, received DateTime64(3, 'UTC'), payloads UInt64, ignored_rows UInt64, "
        "clamped_buckets UInt64",
        "agent",
        "received",
        version="insertion",
        shard_by="agent",
    ),
    Table(
        "steps",
        f"id String, time DateTime64(9, 'UTC'), {_NAMES}, checkpoint LowCardinality(String)",
        "id, time, service, env, checkpoint",
        "time",
        shard_by="cityHash64(id)",
    ),
)


VERSION = 1
"""The version of the tables: one more with each release that changes them. They are compared when an agent starts."""
VERSIONS = Table(
    "schema_versions",
    "version UInt32, asyncdsm String, since DateTime64(3, 'UTC') DEFAULT now64(3)",
    "version",
    shard_by="version",
)
"""The table with the versions that the tables have had, and the releases of asyncdsm that wrote them."""


def parse_columns(columns: str) -> dict[str, str]:
    """Return the definitions of columns by name: type, default and codec. Projections are left out."""
    parts, depth = [""], 0
    for character in columns:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    named = (part.strip().split(" ", 1) for part in parts)
    return {name: definition for name, definition in named if name != "PROJECTION"}


def parse_type(definition: str) -> str:
    """Return the type in the definition of a column."""
    return re.split(" (?:DEFAULT|CODEC)", definition)[0]


def create_statements(database: str, kept_seconds: int, cluster: str = "") -> Iterator[str]:
    """Yield the statements that create the tables in a database, those of a cluster if one is named."""
    where = f" ON CLUSTER {cluster}" if cluster else ""
    for table in (*TABLES, VERSIONS):
        local = f"{database}.{table.name}_local" if cluster else f"{database}.{table.name}"
        partition = f" PARTITION BY ({table.partition})" if table.partition else ""
        kept = kept_seconds + table.kept_longer
        ttl = f" TTL toDateTime({table.forget_by}) + INTERVAL {kept} SECOND" if table.forget_by else ""
        yield (
            f"CREATE TABLE IF NOT EXISTS {local}{where} ({table.columns}) "
            f"ENGINE = {_engine(table, database, cluster)}{partition} ORDER BY ({table.order}){ttl}"
        )
        if cluster:
            yield (
                f"CREATE TABLE IF NOT EXISTS {database}.{table.name}{where} AS {local} "
                f"ENGINE = Distributed({cluster}, {database}, {table.name}_local, {table.shard_by})"
            )


def _engine(table: Table, database: str, cluster: str) -> str:
    replicated = [f"'/clickhouse/tables/{{shard}}/{database}/{table.name}'", "'{replica}'"] if cluster else []
    arguments = ", ".join([*replicated, *filter(None, [table.version])])
    return f"{'Replicated' if cluster else ''}{table.engine}({arguments})"
