"""What an agent knows in memory: names, latest offsets, facts, schemas. It is read from ClickHouse at the start, and
again and again, since other agents take payloads too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import inf
from secrets import randbits
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asyncdsm.agent.store.clickhouse.connection import Connection
from asyncdsm.agent.store.clickhouse.identities import backlog_id
from asyncdsm.agent.store.clickhouse.names import NAMES_SECONDS, PointNames
from asyncdsm.agent.store.clickhouse.periods import Days
from asyncdsm.agent.store.histograms import Ints
from asyncdsm.agent.store.offsets import RECENT_SECONDS, Backlog, LatestOffsets, Tags
from asyncdsm.agent.store.registry import EdgeKey, PointKey, PointRegistry
from asyncdsm.agent.store.schemas import SchemaHistory
from asyncdsm.agent.store.services import Facts, ServiceFacts
from asyncdsm.agent.store.versions import VersionRun

OVERLAP_SECONDS = 60
"""How far a refresh reads back before the last one: insertions take a while, and clocks differ a little."""
COUNTED = ("payloads", "ignored_rows", "clamped_buckets")
"""What is counted in the table `payloads`, which has the latest counts of each agent."""
_IDS_AT_ONCE = 5_000


class SharedState:
    """The memory of one agent. Hold `lock` to change anything, or to read more than one thing."""

    def __init__(
        self, connection: Connection, database: str, registry: PointRegistry, latest: LatestOffsets, facts: ServiceFacts
    ) -> None:
        """Nothing is loaded yet."""
        self.lock: RLock = RLock()
        self.agent: int = randbits(63)
        """Which of the agents this is, from its start to its end."""
        self.registry: PointRegistry = registry
        self.names: PointNames = PointNames(registry)
        self.latest: LatestOffsets = latest
        self.facts: ServiceFacts = facts
        self.schemas: SchemaHistory = SchemaHistory()
        self.newest: int = 0
        """The start of the newest row."""
        self.days: Days = Days()
        self.server_now: float = 0.0
        """ClickHouse's time when `days` was read."""
        self._own, self._others = Counter[str](), Counter[str]()
        self._connection, self._db = connection, database
        self._tags: dict[int, Tags] = {}
        self._owners: dict[int, tuple[str, str]] = {}
        self._cursor = 0.0

    def load(self, oldest: float) -> None:
        """Read everything that was reported since a time in seconds."""
        others = self._count_others()
        since = f"toDateTime({max(0, int(oldest))}, 'UTC')"
        points = f"SELECT {_POINT} FROM {self._db}.points FINAL WHERE last >= {since} ORDER BY last, written"
        offsets = f"{self._db}.offsets WHERE start >= {since}"
        joined = (
            f"(SELECT backlog, start, value FROM {offsets}) AS each GLOBAL JOIN "
            f"(SELECT backlog, max(start) AS newest FROM {offsets} GROUP BY backlog) AS latest USING (backlog)"
        )
        before = (
            "SELECT backlog, toUnixTimestamp(max(start)) AS at, argMax(value, (start, value)) AS value "
            f"FROM {joined} WHERE start <= newest - {RECENT_SECONDS} GROUP BY backlog ORDER BY at"
        )
        recent = (
            f"SELECT backlog, toUnixTimestamp(start) AS at, max(value) AS value FROM {joined} "
            f"WHERE start > newest - {RECENT_SECONDS} GROUP BY backlog, start ORDER BY start"
        )
        schemas = f"SELECT {_SCHEMA} FROM {self._db}.schemas FINAL WHERE last >= {since} ORDER BY end"
        self._read(since, points, schemas, [before, recent])
        self._others = others

    def counted(self, name: str) -> int:
        """Return how many of `COUNTED` all agents counted, as far as this one knows."""
        return self._own[name] + self._others[name]

    def own_counts(self, added: Mapping[str, int]) -> list[int]:
        """Return what this agent counted since its start, in the order of `COUNTED`, together with what is added."""
        with self.lock:
            return [self._own[name] + added.get(name, 0) for name in COUNTED]

    def count_own(self, payloads: int, counters: Mapping[str, int]) -> None:
        """Count payloads that this agent wrote."""
        with self.lock:
            self._own.update({**counters, "payloads": payloads})

    def refresh(self) -> None:
        """Read what other agents wrote since the last time, if they took any payload."""
        self.read_days()
        others = self._count_others()
        if others == self._others:
            return
        # Times of the server decide what was written, times of the agents what was seen.
        written = f"fromUnixTimestamp64Milli({int((self._cursor - OVERLAP_SECONDS) * 1000)})"
        newest = min(self.newest, int(self.server_now))  # a row may be of a clock that is ahead
        since = f"toDateTime({max(0, newest - 3600)}, 'UTC')"
        points = f"SELECT {_POINT} FROM {self._db}.points WHERE written >= {written}"
        offsets = (
            f"SELECT backlog, toUnixTimestamp(start) AS at, max(value) AS value FROM {self._db}.offsets "
            f"WHERE start >= {since} AND written >= {written} GROUP BY backlog, start ORDER BY start"
        )
        schemas = f"SELECT {_SCHEMA} FROM {self._db}.schemas WHERE written >= {written} ORDER BY end"
        self._read(since, points, schemas, [offsets])
        self._others = others

    def read_days(self) -> None:
        """Read `days` and `server_now`."""
        query = (
            "SELECT toFloat64(now64(3)) AS now, toUnixTimestamp(max(start)) AS detail, "
            f"toUnixTimestamp(maxIf(start, rolled > 0)) AS dropped FROM {self._db}.periods WHERE width = 10"
        )
        (row,) = self._query(query)
        self.days, self.server_now = Days(row["detail"], row["dropped"]), row["now"]

    def numbers_of(self, ids: NDArray[np.uint64]) -> Ints:
        """Return the number of each point by its id; -1 for those that are forgotten.

        If there are points that are not in memory, what other agents wrote is read at once.
        """
        with self.lock:
            numbers, unknown = self.names.numbers_of(ids)
        if not unknown:
            return numbers
        self.refresh()  # points that another agent has just written come with their services
        with self.lock:
            numbers, unknown = self.names.numbers_of(ids)
        for begin in range(0, len(unknown), _IDS_AT_ONCE):
            asked = ", ".join(map(str, unknown[begin : begin + _IDS_AT_ONCE]))
            rows = self._query(f"SELECT {_POINT} FROM {self._db}.points FINAL WHERE point IN ({asked})")
            with self.lock:
                self._add_points(rows)
        with self.lock:
            numbers, unknown = self.names.numbers_of(ids)
            self.names.ignore(unknown)
        return numbers

    def known_tags(self, backlogs: Iterable[int]) -> dict[int, Tags]:
        """Return the tags of backlogs by their ids, without those that are evicted."""
        with self.lock:
            return {each: tags for each in set(backlogs) if (tags := self._tags.get(each)) is not None}

    def record_offset(self, tags: Tags, backlog: Backlog, owner: tuple[str, str], latest: float = inf) -> None:
        """Record an offset that a service reported; `latest` is that of `LatestOffsets.record`.

        Of too many backlogs, some are evicted.
        """
        number = backlog_id(tags)
        self._tags[number] = tags
        owner = self._owners.setdefault(number, owner)
        self.latest.record(tags, backlog, self.registry.services.get(owner, 0), latest)
        for evicted in self.latest.evicted:
            self._tags.pop(backlog_id(evicted), None)
            self._owners.pop(backlog_id(evicted), None)
        self.latest.evicted.clear()

    def _read(self, since: str, points: str, schemas: str, offsets: list[str]) -> None:
        self.read_days()
        cursor = self.server_now
        new_points = self._query(points)  # before the services: each point that is known then has its service
        services = self._query(
            f"SELECT {_SERVICE} FROM {self._db}.services FINAL WHERE last_seen >= {since} ORDER BY at"
        )
        versions = self._query(f"SELECT {_VERSION} FROM {self._db}.versions FINAL WHERE last >= {since}")
        new_schemas = self._query(schemas)
        # Only minutes of now are of use: a later mark is of a clock that is ahead.
        newest = self._query(f"SELECT toUnixTimestamp(max(start)) AS at FROM {self._db}.periods")[0]
        new_offsets = [row for query in offsets for row in self._query(query)]
        backlogs = self._read_backlogs({row["backlog"] for row in new_offsets})
        with self.lock:
            self._add_services(services, versions)
            self._add_points(new_points)
            for row in new_schemas:
                run = VersionRun(row["schema"], row["begin"], row["end"])
                self.schemas.combine(EdgeKey(row["service"], row["env"], tuple(row["tags"])), [run])
            self.newest = max(self.newest, newest["at"])
            for row in new_offsets:
                if row["backlog"] in backlogs:
                    tags, owner = backlogs[row["backlog"]]
                    self.record_offset(tags, Backlog(row["at"], row["value"]), owner)
        self._cursor = cursor

    def _read_backlogs(self, wanted: set[int]) -> dict[int, tuple[Tags, tuple[str, str]]]:
        """Return the tags and the owners of backlogs by their ids; those that are not in memory are read."""
        with self.lock:
            found = {each: (self._tags[each], self._owners.get(each, ("", ""))) for each in wanted & self._tags.keys()}
        unknown = sorted(wanted - found.keys())
        for begin in range(0, len(unknown), _IDS_AT_ONCE):
            asked = ", ".join(map(str, unknown[begin : begin + _IDS_AT_ONCE]))
            for row in self._query(
                f"SELECT backlog, tags, service, env FROM {self._db}.backlogs FINAL WHERE backlog IN ({asked})"
            ):
                found[row["backlog"]] = tuple(row["tags"]), (row["service"], row["env"])
        return found

    def _add_services(self, services: list[dict[str, Any]], versions: list[dict[str, Any]]) -> None:
        for row in services:
            key = row["service"], row["env"]
            self.registry.number_service(*key)
            facts = Facts(row["version"], tuple(row["process_tags"]), row["lang"], row["negatives"])
            self.facts.combine(key, facts, row["at"])
        known = self.facts.last_seen()  # those beyond the bound are not
        for row in versions:
            run, key = VersionRun(row["version"], row["begin"], row["end"]), (row["service"], row["env"])
            if key in known:
                self.facts.versions.combine(key, [run])

    def _add_points(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            key = PointKey(row["service"], row["env"], tuple(row["tags"]), row["hash"], row["parent"])
            number = self.names.add(key)
            if number is not None:
                self.names.note_last(number, row["at"] + NAMES_SECONDS)

    def _count_others(self) -> Counter[str]:
        sums = ", ".join(f"toInt64(sum({name})) AS {name}_sum" for name in COUNTED)
        (row,) = self._query(f"SELECT {sums} FROM {self._db}.payloads FINAL WHERE agent != {self.agent}")
        return Counter({name: row[f"{name}_sum"] for name in COUNTED})

    def _query(self, query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._connection.query(query).to_pylist()
        return rows


_POINT = "service, env, tags, hash, parent, toUnixTimestamp(last) AS at"
_SERVICE = "service, env, toFloat64(last_seen) AS at, version, process_tags, lang, toFloat64(negatives_at) AS negatives"
_VERSION = "service, env, version, toFloat64(since) AS begin, toFloat64(last) AS end"
_SCHEMA = "service, env, tags, schema, toFloat64(since) AS begin, toFloat64(last) AS end"
