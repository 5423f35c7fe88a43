"""The files of the page over HTTP. All of them are in memory, so that no request reads from a disk."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncdsm.agent.queries.parameters import ApiError
from asyncdsm.map.levels import LEVELS

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
INDEX = "index.html"
LEVEL_STYLES = "levels.css"
"""The colors of the levels, as CSS variables `--warm-0` to `--warm-5`. It is no file: `LEVELS` has the colors."""


def _read_files() -> Iterator[tuple[str, bytes]]:
    for file in files("asyncdsm.agent").joinpath("page").iterdir():
        if file.name.endswith(tuple(TYPES)):  # type declarations are for developers, not for browsers
            yield file.name, file.read_bytes()


def _level_styles() -> str:
    variables = (
        f"  --warm-{number}: light-dark({level.light}, {level.dark});\n" for number, level in enumerate(LEVELS)
    )
    return f":root {{\n{''.join(variables)}}}\n"


def _with_preloads(files: Mapping[str, bytes]) -> bytes:
    """Return the page with links to all modules that it imports, so that a browser requests them at once.

    Without them, it knows of a module only when it has read the one that imports it.
    """
    page = files[INDEX]
    modules: dict[bytes, None] = {}
    for script in _SCRIPTS.findall(page):
        _add_module(script, files, modules)
    links = b"".join(
        b'    <link rel="modulepreload" fetchpriority="low" href="page/%b" />\n' % module for module in modules
    )
    return page.replace(b"  </head>", links + b"  </head>", 1)


def _add_module(module: bytes, files: Mapping[str, bytes], modules: dict[bytes, None]) -> None:
    """Add a module and all that it imports, in the order in which they are needed."""
    if module not in modules:
        modules[module] = None
        for imported in _IMPORTS.findall(files[module.decode()]):
            _add_module(imported, files, modules)


_SCRIPTS = re.compile(rb'<script type="module"[^>]* src="page/([^"]+)"')
_IMPORTS = re.compile(rb'^(?:import|export) [^;]*?"\./([^"]+)";', re.MULTILINE)
FILES = {**dict(_read_files()), LEVEL_STYLES: _level_styles().encode()}
FILES[INDEX] = _with_preloads(FILES)


async def show_page(_: Request) -> Response:
    """Answer with the page."""
    return _file_response(INDEX)


async def show_file(request: Request) -> Response:
    """Answer with a file that belongs to the page. Raises ApiError (404)."""
    name = request.path_params["file"]
    if name not in FILES:
        raise ApiError(404, "file", f"file must be the name of a file of the page, got {name[:40]!r}")
    return _file_response(name)


def _file_response(name: str) -> Response:
    kind = TYPES[name[name.rindex(".") :]]
    return Response(FILES[name], headers={"Content-Type": kind, "Cache-Control": "no-cache"})


PAGE_ROUTES = [Route("/", show_page), Route("/page/{file}", show_file)]
