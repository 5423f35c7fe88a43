"""The page and its map over HTTP. All of the page's files are in memory: nothing is looked for on a disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.core.edge import MOST_PATHWAYS
from asyncdsm.map.graph import Graph, Node, graph_of
from asyncdsm.map.layout import FLOWS, SIZES, Layout, layout_of
from asyncdsm.map.naming import label_of, qualifiers
from asyncdsm.map.words import plain

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"


FILES = {file.name: file.read_bytes() for file in files("asyncdsm.agent").joinpath("page").iterdir()}


def page_routes(answer_map: Callable[[Request, str], Awaitable[Response]]) -> list[Route]:
    """Return the routes of the page; `answer_map` answers with the map of a request's range, which flows that way."""

    async def show_map(request: Request) -> Response:
        flow = request.query_params.get("flow", "right")
        if flow not in FLOWS:
            raise IntakeError("flow", f"{flow[:40]!r} is not one of {', '.join(FLOWS)}")
        return await answer_map(request, flow)

    return [Route("/", show_page), Route("/page/{file}", show_file), Route("/api/map", show_map)]


async def show_page(_: Request) -> Response:
    """Answer with the page."""
    return _file(INDEX)


async def show_file(request: Request) -> Response:
    """Answer with a file that belongs to the page."""
    name = request.path_params["file"]
    if name not in FILES:
        raise IntakeError("file", f"{name[:40]!r} is no file of the page", 404)
    return _file(name)


def _file(name: str) -> Response:
    kind = TYPES[name[name.rindex(".") :]]
    return Response(FILES[name], headers={"Content-Type": kind, "Cache-Control": "no-cache"})


def drawn(topology: dict[str, Any], flow: str) -> dict[str, Any]:
    """Return a topology with its layout, without single points of pathways: `/api/pathways` has whole ones."""
    graph = graph_of(topology)
    layout = layout_of(graph, flow)
    return {
        **{name: value for name, value in topology.items() if name != "pathways"},
        "flow": flow,
        "width": layout.width,
        "height": layout.height,
        "left_out": graph.left_out,
        "most_pathways": MOST_PATHWAYS,
        "nodes": [_node(node, qualifier, layout) for node, qualifier in qualifiers(graph.nodes).items()],
        "links": _links(graph, layout),
    }


def _node(node: Node, qualifier: str, layout: Layout) -> dict[str, Any]:
    (x, y), (width, height) = layout.nodes[node], SIZES[node.kind]
    return {
        "id": node.id,
        "kind": node.kind,
        "name": node.name,
        "where": node.where,
        "cluster": node.cluster or None,
        "label": label_of(node, qualifier),
        "qualifier": plain(qualifier),
        "x": round(x, 1),
        "y": round(y, 1),
        "width": width,
        "height": height,
    }


def _links(graph: Graph, layout: Layout) -> list[dict[str, Any]]:
    return [
        {
            "edge": None if link.edge is None else link.edge["id"],
            "from": link.source.id,
            "to": link.target.id,
            "points": [[round(x, 1), round(y, 1)] for x, y in points],
            "label": {**label._asdict(), "x": round(label.x, 1), "y": round(label.y, 1)},
        }
        for link, points, label in zip(graph.links, layout.links, layout.labels, strict=True)
    ]
