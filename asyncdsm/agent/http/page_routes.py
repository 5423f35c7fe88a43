"""The files of the page over HTTP. All of them are in memory, so that no request reads from a disk.

The page loads them from a folder that is named after their content, `page/VERSION/`: a browser keeps these and asks for
none of them again, until an agent with other files names another folder. Elsewhere each one has an entity tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from http import HTTPStatus
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
_KEEP, _ASK_AGAIN = "max-age=31536000, immutable", "no-cache"
# For a year without asking; or with the entity tag each time, which takes a request.


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


def _hash_bytes(*parts: bytes) -> str:
    return blake2b(b"\0".join(parts), digest_size=8).hexdigest()


class PageFiles:
    """The files of a page, and the routes that serve them."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.version: str = _hash_bytes(*(part for name in sorted(files) for part in (name.encode(), files[name])))
        """Names the folder of the files: another one if any of them differs."""
        index = _with_preloads(files).replace(b'="page/', b'="page/%b/' % self.version.encode())
        self.contents: dict[str, bytes] = {**files, INDEX: index}
        self._tags = {name: f'"{_hash_bytes(content)}"' for name, content in self.contents.items()}

    def routes(self) -> list[Route]:
        """Return the routes of the page and of its files."""
        return [
            Route("/", self._show_page),
            Route("/page/{version}/{file}", self._show_file),
            Route("/page/{file}", self._show_file),
        ]

    async def _show_page(self, request: Request) -> Response:
        return self._answer(request, INDEX, _ASK_AGAIN)

    async def _show_file(self, request: Request) -> Response:
        """Answer with a file that belongs to the page. Raises ApiError (404).

        One that is asked for in the folder of another version is the present one, and is not kept: behind a load
        balancer, or while an agent is replaced, the page may come from another agent.
        """
        name = request.path_params["file"]
        if name not in self.contents:
            raise ApiError(404, "file", f"file must be the name of a file of the page, got {name[:40]!r}")
        is_versioned = request.path_params.get("version") == self.version
        return self._answer(request, name, _KEEP if is_versioned else _ASK_AGAIN)

    def _answer(self, request: Request, name: str, cache_control: str) -> Response:
        """Return a file; without its content (304) if the browser has it, as the entity tags that it sends say."""
        headers = {"Cache-Control": cache_control, "ETag": self._tags[name]}
        known = ",".join(request.headers.getlist("If-None-Match")).split(",")
        if self._tags[name] in {tag.strip().removeprefix("W/") for tag in known}:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        kind = TYPES[name[name.rindex(".") :]]
        return Response(self.contents[name], headers={"Content-Type": kind, **headers})


FILES: dict[str, bytes] = {**dict(_read_files()), LEVEL_STYLES: _level_styles().encode()}
PAGE = PageFiles(FILES)
