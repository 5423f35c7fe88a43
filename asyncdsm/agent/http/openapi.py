"""The OpenAPI description of the API: its routes are listed here, its answers come from their structs."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

from msgspec import Struct
from msgspec.json import schema_components

from asyncdsm._version import __version__
from asyncdsm.agent.queries.answers import (
    Alerts,
    Changes,
    Downstream,
    DrawnMap,
    ErrorAnswer,
    GraphFields,
    Health,
    LagOverTime,
    LatencyBetween,
    NodeGraph,
    Pathways,
    RuleFields,
    Series,
    Transactions,
    WrittenRules,
)
from asyncdsm.agent.queries.parameters import MOST_FILTER_CHARACTERS, MOST_NODES
from asyncdsm.agent.queries.version_answers import ServiceVersions
from asyncdsm.map.topology import Topology

Schema = dict[str, Any]

ANSWERS: tuple[type[Struct], ...] = (
    Topology,
    DrawnMap,
    Changes,
    Series,
    LagOverTime,
    Pathways,
    Transactions,
    LatencyBetween,
    Downstream,
    ServiceVersions,
    NodeGraph,
    GraphFields,
    Alerts,
    WrittenRules,
    Health,
    ErrorAnswer,
)
TEXT: Schema = {"type": "string"}


def answer_schemas() -> dict[str, Schema]:
    """Return the JSON schemas of all answers, and of what they are made of, by the names of their structs."""
    _, components = schema_components(ANSWERS, ref_template="#/components/schemas/{name}")
    return {
        name: {**schema, "description": cleandoc(schema["description"]), "additionalProperties": False}
        for name, schema in components.items()
    }


def _ref(answer: type[Struct]) -> Schema:
    return {"$ref": f"#/components/schemas/{answer.__name__}"}


def _parameter(name: str, schema: Schema, description: str, *, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "required": required, "description": description, "schema": schema}


_SECONDS: Schema = {"type": "number", "minimum": 0, "maximum": 4_000_000_000}
_TIME_RANGE = [
    _parameter("minutes", {"type": "integer", "minimum": 1}, "The length of the range, up to now; 10 by default."),
    _parameter("from", _SECONDS, "The beginning in seconds since 1970, instead of minutes."),
    _parameter("to", _SECONDS, "The end in seconds since 1970; now by default."),
]
_FILTER: Schema = {"type": "string", "maxLength": MOST_FILTER_CHARACTERS}
_NAME: Schema = {"type": "string", "minLength": 1}
_NODE = "an id of the map, a name, `service:NAME`, `queue:NAME`, or a name with its environment or type in brackets."
_SERVICE = _parameter("service", TEXT, "The service's name. Give either this or a queue.")
_QUEUE = _parameter("queue", TEXT, "The queue's name. Give either this or a service.")
_SERVICE_OR_QUEUE = [_SERVICE, _parameter("env", TEXT, "The service's environment; all by default."), _QUEUE]
_CLUSTER = _parameter("cluster", TEXT, "The id of the queue's cluster; empty for queues without one; all by default.")


def _response(description: str, media: str, schema: Schema) -> Schema:
    return {"description": description, "content": {media: {"schema": schema}}}


def _get(
    summary: str, name: str, answer: Schema, *parameters: Schema, refusals: tuple[int, ...] = (), media: str = ""
) -> Schema:
    responses = {"200": _response("The answer.", media or "application/json", answer)}
    for status in (*refusals, 401, 403):
        responses[str(status)] = _response(_REFUSALS[status], "application/json", _ref(ErrorAnswer))
    return {
        "get": {"summary": summary, "operationId": name, "parameters": list(parameters), "responses": responses},
    }


_VERSION = _parameter(
    "version", TEXT, "The version of the rule that is to be changed. If it has another one by now, nothing is changed."
)


def _write(summary: str, name_of_operation: str, *refusals: int, name: bool = False, has_body: bool = True) -> Schema:
    """Describe a change of a rule, which answers with all rules; `name` is of the rule that is changed."""
    parameters = [_parameter("name", _NAME, "The name of the rule.", required=True), _VERSION] if name else []
    described: Schema = _get(summary, name_of_operation, _ref(WrittenRules), *parameters, refusals=refusals)["get"]
    if has_body:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(RuleFields)}}}
    return described


_REFUSALS = {
    400: "A parameter is wrong.",
    401: "The token is missing or wrong.",
    403: "The request comes from a page of another site, or is for a host name that is not the agent's.",
    404: "There is no such edge, service, queue or rule.",
    409: "Another rule has this name, or is in the file of `--rules`; somebody else has changed the rule; or there are"
    " too many rules.",
    413: "The body is too large.",
    503: "There are too many streams, or the file of the rules cannot be written.",
}

PATHS: dict[str, Schema] = {
    "/api/topology": _get(
        "Services, queues, edges, pathways and lag.", "Topology", _ref(Topology), *_TIME_RANGE, refusals=(400,)
    ),
    "/api/map": _get(
        "The topology without pathways, and where its nodes and links are drawn.",
        "Map",
        _ref(DrawnMap),
        _parameter("flow", {"enum": ["right", "down"]}, "Where messages flow to on the drawing; right by default."),
        _parameter("focus", TEXT, "The id of a node: only it and its neighbors are drawn."),
        _parameter("steps", {"enum": [1, 2, 3]}, "How many links away from the focus a neighbor may be; 1 by default."),
        _parameter("find", _FILTER, "Words: a name that has none of them is not drawn, and none that has a -word."),
        _parameter("hide", _FILTER, "What is not drawn: a list such as env:staging,type:http."),
        _parameter("group", {"enum": ["env", "cluster"]}, "By what nodes are drawn in groups, each with a box."),
        _parameter("fold", _FILTER, "The groups whose nodes are not drawn: a list such as env:staging,shared."),
        _parameter(
            "most",
            {"type": "integer", "minimum": 1, "maximum": MOST_NODES},
            "If there are more nodes, only the most important ones are drawn: what is wrong, and what is busy.",
        ),
        *_TIME_RANGE,
        refusals=(400,),
    ),
    "/api/graph/data": _get(
        "The map for Grafana's panel Node graph, as its data source Node Graph API asks for it.",
        "NodeGraph",
        _ref(NodeGraph),
        *_TIME_RANGE,
        refusals=(400,),
    ),
    "/api/graph/fields": _get("Which fields the nodes and edges for Grafana have.", "GraphFields", _ref(GraphFields)),
    "/api/changes": _get(
        "What changed, what is wrong first: hops, services and versions, each since when.",
        "Changes",
        _ref(Changes),
        *_TIME_RANGE,
        refusals=(400,),
    ),
    "/api/series": _get(
        "One edge over time.",
        "Series",
        _ref(Series),
        _parameter("edge", _NAME, "The id that the topology gives an edge.", required=True),
        _parameter("step", {"type": "integer", "minimum": 10, "multipleOf": 10}, "The length of a step in seconds."),
        *_TIME_RANGE,
        refusals=(400, 404),
    ),
    "/api/lag": _get(
        "How far behind the consumers of a topic are, over time.",
        "LagOverTime",
        _ref(LagOverTime),
        _parameter("topic", TEXT, "The topic.", required=True),
        _parameter("group", TEXT, "A consumer group; all by default."),
        _CLUSTER,
        *_TIME_RANGE,
        refusals=(400,),
    ),
    "/api/pathways": _get(
        "Every pathway through a service, or through a queue, the slowest first.",
        "Pathways",
        _ref(Pathways),
        *_SERVICE_OR_QUEUE,
        _parameter("type", TEXT, "The queue's type, such as kafka."),
        _CLUSTER,
        *_TIME_RANGE,
        refusals=(400,),
    ),
    "/api/transactions": _get(
        "Business transactions: one with its steps, or the latest and the late ones.",
        "Transactions",
        _ref(Transactions),
        _parameter("id", _NAME, "The id of a transaction; without it, the latest and the late ones are listed."),
        refusals=(400,),
    ),
    "/api/latency": _get(
        "How long messages take from one service or queue to another one that is later on their pathways.",
        "LatencyBetween",
        _ref(LatencyBetween),
        _parameter("first", _NAME, f"Where the time begins: {_NODE}", required=True),
        _parameter("last", _NAME, "Where it ends, given in the same form.", required=True),
        _parameter("env", TEXT, "The environment of both: of services, or of services at the queue; all by default."),
        *_TIME_RANGE,
        refusals=(400, 404),
    ),
    "/api/downstream": _get(
        "What messages reach from a service or a queue, and what they come from, on the pathways that they took.",
        "Downstream",
        _ref(Downstream),
        _SERVICE,
        _parameter("env", TEXT, "The environment of the service, or of services at the queue; all by default."),
        _QUEUE,
        _parameter("type", TEXT, "The queue's type, such as kafka; all by default."),
        _CLUSTER,
        *_TIME_RANGE,
        refusals=(400, 404),
    ),
    "/api/versions": _get(
        "Which version of a service is slower: the numbers of each that reported, in all and on each edge.",
        "Versions",
        _ref(ServiceVersions),
        _parameter("service", TEXT, "The service's name.", required=True),
        _parameter("env", TEXT, "The service's environment; it must be given if several have the service."),
        *_TIME_RANGE,
        refusals=(400, 404),
    ),
    "/api/alerts": _get("The rules of alerts and their states, as they are now.", "Alerts", _ref(Alerts)),
    "/api/rules": {
        **_get("The rules of alerts as they are written.", "Rules", _ref(WrittenRules)),
        "post": _write("Add a rule, as the page does.", "AddRule", 400, 409, 413, 503),
        "put": _write("Replace a rule of the page.", "ReplaceRule", 400, 404, 409, 413, 503, name=True),
        "delete": _write("Remove a rule of the page.", "RemoveRule", 400, 404, 409, 503, name=True, has_body=False),
    },
    "/api/health": _get("Whether the agent is well. No token is needed.", "Health", _ref(Health)),
    "/api/metrics": _get(
        "Traffic, lag and the agent's own state, for Prometheus: `Accept` chooses text, OpenMetrics or protobuf.",
        "Metrics",
        TEXT,
        media="text/plain",
    ),
    "/api/live": _get(
        "Server-sent events: `change`, with `payloads` and `now`, at most one per second.",
        "Live",
        TEXT,
        refusals=(503,),
        media="text/event-stream",
    ),
}

DESCRIPTION: Schema = {
    "openapi": "3.1.0",
    "info": {
        "title": "asyncdsm agent",
        "version": __version__,
        "description": "Times are seconds since 1970, latencies seconds, sizes bytes, hashes decimal strings.",
    },
    "paths": PATHS,
    "components": {
        "schemas": answer_schemas(),
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
    "security": [{"token": []}, {}],
}
