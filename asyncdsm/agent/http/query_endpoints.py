"""The endpoints that answer questions about the store: topology, map, changes, series, lag and pathways."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

from msgspec import Struct
from msgspec.json import encode
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncdsm.agent.http.body_response import body_response
from asyncdsm.agent.http.shared_answers import SharedAnswers
from asyncdsm.agent.queries.answers import DrawnMap
from asyncdsm.agent.queries.between import latency_between
from asyncdsm.agent.queries.changes import list_changes
from asyncdsm.agent.queries.downstream import IsNode, downstream_of, queue_node, service_node
from asyncdsm.agent.queries.drawn_map import draw_range
from asyncdsm.agent.queries.history_reader import HistoryReader
from asyncdsm.agent.queries.lag_over_time import lag_over_time
from asyncdsm.agent.queries.left_queues import add_left_queues
from asyncdsm.agent.queries.node_graph import build_node_graph, list_graph_fields
from asyncdsm.agent.queries.parameters import (
    ApiError,
    read_map_filter,
    read_step,
    read_time_range,
    required_parameter,
    unique_parameters,
)
from asyncdsm.agent.queries.pathways import NodeFilter, pathways_through, queue_filter, service_filter
from asyncdsm.agent.queries.quiet_services import mark_quiet_services
from asyncdsm.agent.queries.series import edge_series
from asyncdsm.agent.queries.topology import topology_of
from asyncdsm.agent.queries.transactions import find_transactions
from asyncdsm.agent.queries.version_numbers import compare_versions, find_service
from asyncdsm.agent.store.protocol import Store
from asyncdsm.map.layout import FLOWS
from asyncdsm.map.topology import Topology

_NODE_PARAMETERS = "service", "env", "queue", "type", "cluster"


class QueryEndpoints:
    """Reads the parameters of requests, and answers from the store. Equal questions share an answer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._histories = HistoryReader(store)
        self._shared = SharedAnswers(store)

    def routes(self) -> list[Route]:
        """Return the routes of these endpoints."""
        return [
            Route("/api/topology", self.answer_topology),
            Route("/api/map", self.answer_map),
            Route("/api/graph/data", self.answer_node_graph),
            Route("/api/graph/fields", self.answer_node_graph_fields),
            Route("/api/changes", self.answer_changes),
            Route("/api/series", self.answer_series),
            Route("/api/lag", self.answer_lag),
            Route("/api/pathways", self.answer_pathways),
            Route("/api/transactions", self.answer_transactions),
            Route("/api/latency", self.answer_latency),
            Route("/api/downstream", self.answer_downstream),
            Route("/api/versions", self.answer_versions),
        ]

    async def answer_topology(self, request: Request) -> Response:
        """Answer with the topology of a time range. Raises ApiError."""
        time_range = read_time_range(self._store, _parameters(request))

        def answer() -> Topology:
            topology = add_left_queues(topology_of(self._store, time_range), self._store, time_range)
            return mark_quiet_services(topology, self._histories, time_range)

        return await self._answer(request, ("topology", time_range), answer)

    async def answer_map(self, request: Request) -> Response:
        """Answer with the drawn map of a time range. Raises ApiError."""
        name = request.query_params.get("flow", "right")
        if name not in FLOWS:
            raise ApiError(400, "flow", f"flow must be one of {', '.join(FLOWS)}, got {name[:40]!r}")
        flow, parameters = FLOWS[name].name, _parameters(request)
        time_range, wanted = read_time_range(self._store, parameters), read_map_filter(parameters)

        def draw() -> DrawnMap:
            topology = topology_of(self._store, time_range, pathway_latencies=False)
            return draw_range(topology, self._histories, time_range, flow, wanted)

        return await self._answer(request, ("map", time_range, flow, wanted), draw)

    async def answer_node_graph(self, request: Request) -> Response:
        """Answer with the map of a time range for Grafana. Raises ApiError."""
        time_range = read_time_range(self._store, _parameters(request))
        return await self._answer(
            request, ("node graph", time_range), lambda: build_node_graph(topology_of(self._store, time_range))
        )

    async def answer_node_graph_fields(self, _: Request) -> Response:
        """Answer with the fields of the nodes and edges for Grafana."""
        return Response(encode(list_graph_fields()), media_type="application/json")

    async def answer_changes(self, request: Request) -> Response:
        """Answer with what changed in a time range. Raises ApiError."""
        time_range = read_time_range(self._store, _parameters(request))
        return await self._answer(request, ("changes", time_range), lambda: list_changes(self._histories, time_range))

    async def answer_series(self, request: Request) -> Response:
        """Answer with an edge over time. Raises ApiError."""
        parameters = _parameters(request)
        time_range = read_time_range(self._store, parameters)
        edge, step = required_parameter(parameters, "edge"), read_step(self._store, parameters, time_range)
        return await self._answer(
            request, ("series", time_range, edge, step), lambda: edge_series(self._store, edge, time_range, step)
        )

    async def answer_lag(self, request: Request) -> Response:
        """Answer with the lag in a topic over time. Raises ApiError."""
        parameters = _parameters(request)
        time_range, topic = read_time_range(self._store, parameters), required_parameter(parameters, "topic")
        group, cluster = parameters.get("group"), parameters.get("cluster")
        question = "lag", time_range, topic, group, cluster
        return await self._answer(
            request, question, lambda: lag_over_time(self._store, time_range, topic, group, cluster)
        )

    async def answer_pathways(self, request: Request) -> Response:
        """Answer with the pathways through a service or a queue. Raises ApiError."""
        parameters = _parameters(request)
        time_range, is_at_node = read_time_range(self._store, parameters), _node_filter(parameters)
        question = "pathways", time_range, *(parameters.get(name) for name in _NODE_PARAMETERS)
        return await self._answer(request, question, lambda: pathways_through(self._store, is_at_node, time_range))

    async def answer_transactions(self, request: Request) -> Response:
        """Answer with one business transaction, or with the latest and the late ones. Raises ApiError."""
        transaction_id = _parameters(request).get("id")
        if transaction_id == "":
            raise ApiError(400, "id", "id must not be empty")
        return await self._answer(
            request, ("transactions", transaction_id), lambda: find_transactions(self._store, transaction_id)
        )

    async def answer_latency(self, request: Request) -> Response:
        """Answer with how long messages take from one node to another one. Raises ApiError."""
        parameters = _parameters(request)
        time_range = read_time_range(self._store, parameters)
        first, last = (required_parameter(parameters, name) for name in ("first", "last"))
        env = parameters.get("env")
        question = "latency", time_range, first, last, env
        return await self._answer(request, question, lambda: latency_between(self._store, first, last, time_range, env))

    async def answer_downstream(self, request: Request) -> Response:
        """Answer with what messages reach from a service or a queue, and what they come from. Raises ApiError."""
        parameters = _parameters(request)
        time_range, (name, is_node) = read_time_range(self._store, parameters), _node_choice(parameters)
        question = "downstream", time_range, *(parameters.get(each) for each in _NODE_PARAMETERS)
        env = parameters.get("env")
        return await self._answer(request, question, lambda: downstream_of(self._store, name, is_node, time_range, env))

    async def answer_versions(self, request: Request) -> Response:
        """Answer with the versions of a service, side by side. Raises ApiError."""
        parameters = _parameters(request)
        time_range = read_time_range(self._store, parameters)
        service = find_service(self._store, required_parameter(parameters, "service"), parameters.get("env"))
        question = "versions", time_range, service
        return await self._answer(request, question, lambda: compare_versions(self._store, service, time_range))

    async def _answer(self, request: Request, question: Hashable, compute: Callable[[], Struct]) -> Response:
        return body_response(request, await self._shared.get(question, lambda: encode(compute())))


def _parameters(request: Request) -> dict[str, str]:
    return unique_parameters(request.query_params.multi_items())


def _node_filter(parameters: Mapping[str, str]) -> NodeFilter:
    _require_one_node(parameters)
    if "service" in parameters:
        return service_filter(parameters["service"], parameters.get("env"))
    # A queue may have an empty name, as that of HTTP has.
    return queue_filter(parameters.get("type", ""), parameters["queue"], parameters.get("cluster"))


def _node_choice(parameters: Mapping[str, str]) -> tuple[str, IsNode]:
    """Return the parameter that names a node, and what tells whether a node is the one."""
    _require_one_node(parameters)
    if "service" in parameters:
        return "service", service_node(parameters["service"], parameters.get("env"))
    return "queue", queue_node(parameters["queue"], parameters.get("type"), parameters.get("cluster"))


def _require_one_node(parameters: Mapping[str, str]) -> None:
    if ("service" in parameters) == ("queue" in parameters):
        raise ApiError(400, "service", "either service or queue must be given")
