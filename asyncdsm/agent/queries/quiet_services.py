"""Services that are quiet stay on the map, with the hops that they had, as long as they are listed as a change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import asdict, replace

from asyncdsm.agent.queries.current_state import IDLE
from asyncdsm.agent.queries.edge_facts import FactsOfEdges, facts_of_edges
from asyncdsm.agent.queries.edge_numbers import EdgeNumbers
from asyncdsm.agent.queries.history_reader import HistoryReader, read_histories
from asyncdsm.agent.queries.kafka_clusters import clusters_of
from asyncdsm.agent.queries.lag import Lags, current_lags
from asyncdsm.agent.queries.late_reports import age_of_reports, read_delays
from asyncdsm.agent.queries.service_changes import find_quiet_services, is_silent
from asyncdsm.agent.queries.time_ranges import settled_until
from asyncdsm.agent.queries.topology import edge_traffic
from asyncdsm.agent.queries.usual_levels import HOUR, MINUTE
from asyncdsm.agent.store.histograms import EDGE
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.registry import EdgeKey, edge_id
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, TimeRange
from asyncdsm.agent.store.versions import ServiceKey
from asyncdsm.map.topology import NO_QUANTILES, Edge, Queue, Service, ServiceVersion, Topology

MOST_SHOWN = 50
"""How many services that are quiet are shown, those that have been for the shortest time."""
MOST_EDGES = 50
"""How many hops of each are shown."""
Quiet = Mapping[ServiceKey, float]
"""Since when services are quiet, in seconds since the epoch."""


def read_quiet_services(reader: HistoryReader, time_range: TimeRange) -> Quiet:
    """Return which services are quiet at the end of a time range: those that `list_changes` lists."""
    store, now = reader.store, reader.store.now()
    if time_range.first >= now:
        return {}
    end, is_live = min(time_range.last, now), time_range.last > now
    settled_at = settled_until(time_range, now) + BUCKET_SECONDS
    if is_live and not any(is_silent(last, end, settled_at) for last in store.services().values()):
        return {}  # so that no history has to be read
    histories = read_histories(reader, end - min(HOUR, store.kept_seconds), end)
    found = find_quiet_services(store, end, histories, is_live=is_live)
    newest = sorted(found, key=lambda change: -change.since)[:MOST_SHOWN]
    return {(change.service, change.env): change.since for change in newest}


def mark_quiet_services(topology: Topology, reader: HistoryReader, time_range: TimeRange) -> Topology:
    """Return a topology with the services that are quiet at the end of its time range, and their hops."""
    quiet = read_quiet_services(reader, time_range)
    return add_quiet_services(topology, reader.store, quiet, time_range) if quiet else topology


def add_quiet_services(topology: Topology, store: Store, quiet: Quiet, time_range: TimeRange) -> Topology:
    """Return a topology with the services that are quiet, and with hops that were passed in the hour before that."""
    services = {(service.name, service.env) for service in topology.services}
    known = {edge.id for edge in topology.edges}
    delays = read_delays(store, settled_until(time_range, store.now()))
    passed = {each: _read_edges(store, each, since - delays.get(each, 0)) for each, since in quiet.items()}
    missing = [edge for edges in passed.values() for edge in edges if edge_id(edge) not in known]
    lags, facts = current_lags(store, time_range).groups, facts_of_edges(store, time_range)
    edges = _idle_edges(store, missing, quiet, lags, facts)
    return replace(
        topology,
        services=[
            *(replace(each, quiet_since=quiet.get((each.name, each.env))) for each in topology.services),
            *(_silent_service(store, each, since) for each, since in quiet.items() if each not in services),
        ],
        edges=[*topology.edges, *edges],
        queues=[*topology.queues, *_queues_of(edges, topology.queues)],
    )


def _read_edges(store: Store, service: ServiceKey, since: float) -> list[EdgeKey]:
    """Return the edges of a service that anything passed in the hour before it was quiet."""
    number, edges = store.points.services.get(service), EdgeNumbers(store)
    if number is not None:
        store.merge_rows(
            TimeRange(since - HOUR, since + MINUTE),
            lambda rows: edges.of_points(rows.points),
            service=number,
            sketch=EDGE,
        )
    return list(edges.edges)[:MOST_EDGES]


def _idle_edges(store: Store, keys: Sequence[EdgeKey], quiet: Quiet, lags: Lags, facts: FactsOfEdges) -> list[Edge]:
    clusters = clusters_of(list(store.points.keys.values())) if keys else {}
    return [
        Edge(
            **asdict(edge_traffic(key, clusters.get(key, ""), 0.0, 0.0, lags)),
            edge_latency=NO_QUANTILES,
            pathway_latency=NO_QUANTILES,
            payload_size=NO_QUANTILES,
            present=replace(IDLE, since=quiet[key.service, key.env]),
            clamped=0.0,
            clocks_disagree=False,
            facts=facts.describe(key, 0.0),
        )
        for key in keys
    ]


def _silent_service(store: Store, service: ServiceKey, since: float) -> Service:
    facts, runs = store.facts.lookup(*service), store.versions().get(service, ())
    return Service(
        name=service[0],
        env=service[1],
        last_seen=since,
        quiet_since=since,
        pathways=0,
        many_pathways=False,
        too_many_pathways=False,
        clocks_disagree=False,
        version=facts.version,
        versions=[ServiceVersion(run.version, run.since) for run in runs if run.since <= since],
        process_tags=list(facts.process_tags),
        lang=facts.lang,
        reports_age=age_of_reports(store, service, store.services().get(service)),
    )


def _queues_of(edges: Iterable[Edge], known: Iterable[Queue]) -> list[Queue]:
    """Return the queues of edges that are not known yet."""
    names = {(queue.type, queue.name, queue.cluster) for queue in known}
    missing = {(edge.type, edge.queue, edge.cluster): None for edge in edges}
    return [Queue(type=each[0], name=each[1], cluster=each[2], unread=False) for each in missing if each not in names]
