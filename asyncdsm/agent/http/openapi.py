"""The description of the API, as OpenAPI has it: what may be asked, and what the answers look like."""

from __future__ import annotations

from typing import Any

from asyncdsm._version import __version__
from asyncdsm.agent.queries.changes import LEVELS

Schema = dict[str, Any]

NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "number", "minimum": 0}
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
OPTIONAL_TEXT: Schema = {"type": ["string", "null"]}
OPTIONAL_COUNT: Schema = {"type": ["number", "null"], "minimum": 0}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**members: Schema) -> Schema:
    named = {name.removesuffix("_"): schema for name, schema in members.items()}
    return {"type": "object", "properties": named, "required": list(named), "additionalProperties": False}


def _may_be_cut(schema: Schema) -> Schema:
    """Return an object that says in `cut`, where something is left out for want of room, how much of which list."""
    cut = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}}
    return {**schema, "properties": {**schema["properties"], "cut": cut}}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


_STATS = {"edge_latency": _ref("Stats"), "pathway_latency": _ref("Stats"), "payload_size": _ref("Stats")}
_NAMED = {
    "id": TEXT,
    "service": TEXT,
    "env": TEXT,
    "direction": TEXT,
    "type_": TEXT,
    "cluster": OPTIONAL_TEXT,
    "queue": TEXT,
    "group": OPTIONAL_TEXT,
    "tags": _list(TEXT),
    "count": COUNT,
    "rate": COUNT,
    "lag": OPTIONAL_COUNT,
}
_LEVEL: Schema = {"type": "integer", "minimum": 0, "maximum": LEVELS - 1}
_LAG = {"group": TEXT, "topic": TEXT, "partition": TEXT, "cluster_id": OPTIONAL_TEXT}
_BEHIND = _object(start=NUMBER, behind={"type": "integer", "minimum": 0})

SCHEMAS: dict[str, Schema] = {
    "Stats": _object(p50=OPTIONAL_COUNT, p95=OPTIONAL_COUNT, p99=OPTIONAL_COUNT, max=OPTIONAL_COUNT),
    "Error": _object(error=_object(path=TEXT, problem=TEXT)),
    "Edge": _object(
        **_NAMED, **_STATS, present=_ref("Present"), clamped={"type": "number", "minimum": 0, "maximum": 1}
    ),
    "Present": {
        **_object(
            from_={"type": ["number", "null"]},
            count=COUNT,
            rate=COUNT,
            **_STATS,
            slowness=COUNT,
            level=_LEVEL,
            label=TEXT,
            tail=OPTIONAL_TEXT,
            state={"enum": ["steady", "slower", "faster", "idle"]},
            since={"type": ["number", "null"]},
            before=OPTIONAL_COUNT,
        ),
        "description": (
            "What a hop is like now (at the end of the range), whichever range is asked for. The figures are those of "
            "the last minute that the service has reported, or of the time since the hop changed if that is less. "
            "`slowness` is the median in seconds, or a tenth of the 99th percentile if that is more; `level`, which "
            "is the colour, is 0 below 1 ms, and one more for each power of ten up to 5 from 10 s on. `label` is the "
            "median, `tail` the 99th percentile where that is two levels above it. `state` and `since` say "
            "whether and when the hop became slower or faster by a factor of three or more within the last ten "
            "minutes, or idle: nothing passed for a minute; `before` is the median before that change."
        ),
    },
    "Service": _object(
        name=TEXT,
        env=TEXT,
        last_seen={"type": ["number", "null"]},
        pathways=COUNT,
        too_many_pathways=FLAG,
        clocks_disagree=FLAG,
        version=TEXT,
        process_tags=_list(TEXT),
        lang=TEXT,
    ),
    "Point": _object(
        service=TEXT,
        env=TEXT,
        tags=_list(TEXT),
        hash=TEXT,
        parent=TEXT,
        count=COUNT,
        edge_latency=_ref("Stats"),
        pathway_latency=_ref("Stats"),
    ),
    "Topology": _may_be_cut(
        _object(
            from_=NUMBER,
            to=NUMBER,
            minutes=COUNT,
            seconds=COUNT,
            services=_list(_ref("Service")),
            queues=_list(_object(type_=TEXT, name=TEXT, cluster=OPTIONAL_TEXT)),
            edges=_list(_ref("Edge")),
            pathways=_list(_ref("Point")),
            lag=_list(_object(**_LAG, behind={"type": "integer", "minimum": 0}, unit=TEXT)),
        )
    ),
    "Series": _object(
        edge=_object(**_NAMED),
        step={"type": "integer", "minimum": 10},
        points=_list(_object(start=NUMBER, count=COUNT, rate=COUNT, **_STATS)),
    ),
    "LagOverTime": _may_be_cut(_object(series=_list(_object(**_LAG, points=_list(_BEHIND))))),
    "Hop": _object(
        service=TEXT,
        env=TEXT,
        edge=TEXT,
        direction=TEXT,
        type_=TEXT,
        cluster=OPTIONAL_TEXT,
        queue=TEXT,
        group=OPTIONAL_TEXT,
        edge_latency=_ref("Stats"),
        level=_LEVEL,
        share={"type": "number", "minimum": 0, "maximum": 1},
    ),
    "Pathways": _may_be_cut(
        _object(
            pathways=_list(
                _object(hash=TEXT, count=COUNT, rate=COUNT, end_to_end=_ref("Stats"), hops=_list(_ref("Hop"))),
            )
        )
    ),
    "Problem": _object(name=TEXT, problem=TEXT, since=NUMBER, last=NUMBER, count={"type": "integer", "minimum": 1}),
    "Health": {
        "type": "object",
        "properties": {
            "status": {"enum": ["ok", "degraded"]},
            "payloads": COUNT,
            "problems": _list(_ref("Problem")),
        },
        "required": ["status", "payloads"],
    },
}


def _parameter(name: str, schema: Schema, what: str, *, required: bool = False) -> Schema:
    return {"name": name, "in": "query", "required": required, "description": what, "schema": schema}


_SECONDS: Schema = {"type": "number", "minimum": 0, "maximum": 4_000_000_000}
_RANGE = [
    _parameter("minutes", {"type": "integer", "minimum": 1}, "The last so many minutes; ten unless said."),
    _parameter("from", _SECONDS, "Seconds since 1970, in place of minutes."),
    _parameter("to", _SECONDS, "Seconds since 1970; now unless said."),
]
_NAME: Schema = {"type": "string", "minLength": 1}
_CLUSTER = _parameter("cluster", TEXT, "The id of the queue's cluster; empty for none, all of them unless said.")


def _answer(what: str, media: str, schema: Schema) -> Schema:
    return {"description": what, "content": {media: {"schema": schema}}}


def _get(what: str, answer: str, *parameters: Schema, refusals: tuple[int, ...] = ()) -> Schema:
    return {
        "get": {
            "summary": what,
            "operationId": answer,
            "parameters": list(parameters),
            "responses": {
                "200": _answer("The answer.", "application/json", _ref(answer)),
                **{
                    str(status): _answer("What is wrong.", "application/json", _ref("Error"))
                    for status in (*refusals, 401, 403)
                },
            },
        }
    }


PATHS: dict[str, Schema] = {
    "/api/topology": _get("Services, queues, edges, pathways and lag.", "Topology", *_RANGE, refusals=(400,)),
    "/api/series": _get(
        "One edge over time.",
        "Series",
        _parameter("edge", _NAME, "The id that the topology gives an edge.", required=True),
        _parameter("step", {"type": "integer", "minimum": 10, "multipleOf": 10}, "Seconds."),
        *_RANGE,
        refusals=(400, 404),
    ),
    "/api/lag": _get(
        "How far behind consumers of a topic are, over time.",
        "LagOverTime",
        _parameter("topic", TEXT, "The topic.", required=True),
        _parameter("group", TEXT, "One group only."),
        _CLUSTER,
        *_RANGE,
        refusals=(400,),
    ),
    "/api/pathways": _get(
        "Every pathway through a service, or a queue, the slowest first.",
        "Pathways",
        _parameter("service", TEXT, "The service's name; this, or a queue."),
        _parameter("env", TEXT, "The service's env; all of them unless said."),
        _parameter("queue", TEXT, "The queue's name; this, or a service."),
        _parameter("type", TEXT, "The queue's type, such as kafka."),
        _CLUSTER,
        *_RANGE,
        refusals=(400,),
    ),
    "/api/health": _get("Whether the agent is well; needs no token.", "Health"),
    "/api/metrics": {
        "get": {
            "summary": "What Prometheus wants to know of the agent.",
            "operationId": "Metrics",
            "responses": {
                "200": _answer("Metrics.", "text/plain", TEXT),
                "401": _answer("No token.", "application/json", _ref("Error")),
                "403": _answer("A foreign page or name.", "application/json", _ref("Error")),
            },
        }
    },
    "/api/live": {
        "get": {
            "summary": "Server-sent events: `change`, with `payloads` and `now`, at most one a second.",
            "operationId": "Live",
            "responses": {
                "200": _answer("Events, until the client leaves.", "text/event-stream", TEXT),
                "503": _answer("Too many streams.", "application/json", _ref("Error")),
                "401": _answer("No token.", "application/json", _ref("Error")),
                "403": _answer("A foreign page or name.", "application/json", _ref("Error")),
            },
        }
    },
}

DESCRIPTION: Schema = {
    "openapi": "3.1.0",
    "info": {
        "title": "asyncdsm agent",
        "version": __version__,
        "description": "Times are seconds since 1970, latencies seconds, sizes bytes, hashes decimal text.",
    },
    "paths": PATHS,
    "components": {
        "schemas": SCHEMAS,
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    },
    "security": [{"token": []}, {}],
}
