"""The page and its map over HTTP. All of the page's files are in memory: nothing is looked for on a disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncdsm.agent.queries.parameters import ApiError
from asyncdsm.map.layout import FLOWS, FlowName
from asyncdsm.map.levels import LEVELS

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"
LEVEL_STYLES = "levels.css"
"""The colours of the levels, as CSS variables `--warm-0` to `--warm-5`. Not a file: generated from `LEVELS`."""


def _level_variables() -> Iterator[str]:
    for number, level in enumerate(LEVELS):
        yield f" --warm-{number}: light-dark({level.light}, {level.dark});"


FILES = {
    file.name: file.read_bytes()
    for file in files("asyncdsm.agent").joinpath("page").iterdir()
    if file.name.endswith(tuple(TYPES))  # not the type declarations, which browsers do not read
}
FILES[LEVEL_STYLES] = f":root {{{''.join(_level_variables())}}}\n".encode()


def page_routes(answer_map: Callable[[Request, FlowName], Awaitable[Response]]) -> list[Route]:
    """Return the routes of the page; `answer_map` answers with the map of a request's range, which flows that way."""

    async def show_map(request: Request) -> Response:
        flow = request.query_params.get("flow", "right")
        if flow not in FLOWS:
            raise ApiError(400, "flow", f"must be one of {', '.join(FLOWS)}, got {flow[:40]!r}")
        return await answer_map(request, FLOWS[flow].name)

    return [Route("/", show_page), Route("/page/{file}", show_file), Route("/api/map", show_map)]


async def show_page(_: Request) -> Response:
    """Answer with the page."""
    return _file(INDEX)


async def show_file(request: Request) -> Response:
    """Answer with a file that belongs to the page."""
    name = request.path_params["file"]
    if name not in FILES:
        raise ApiError(404, "file", f"must be a file of the page, got {name[:40]!r}")
    return _file(name)


def _file(name: str) -> Response:
    kind = TYPES[name[name.rindex(".") :]]
    return Response(FILES[name], headers={"Content-Type": kind, "Cache-Control": "no-cache"})
