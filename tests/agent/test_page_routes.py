"""The page and its map as the agent serves them: whole, by themselves, and with nothing that runs from a name."""

from __future__ import annotations

import re

import pytest

from asyncdsm.agent.http.page_routes import FILES, PAGE, TYPES, PageFiles
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.map.levels import stroke_width
from tests.agent.maps import HOSTILE, MapStore
from tests.agent.payloads import Client

LOADS = re.compile(r"""(?<!["'])(?:src|href|from|import)\s*=?\s*["']([^"']+)["']""")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
KEPT = "max-age=31536000, immutable"


async def test_every_page_file_is_served_with_its_type(client: Client) -> None:
    for name, content in PAGE.contents.items():
        for folder, kept in (("", "no-cache"), (f"{PAGE.version}/", KEPT), ("0123456789abcdef/", "no-cache")):
            response = await client.get(f"/page/{folder}{name}")
            assert (response.status_code, response.content) == (200, content)
            assert response.headers["Content-Type"] == TYPES[name[name.rindex(".") :]]
            assert response.headers["Cache-Control"] == kept
            assert "script-src 'self';" in response.headers["Content-Security-Policy"]
    page = await client.get("/")
    assert (page.content, page.headers["Cache-Control"]) == (PAGE.contents["index.html"], "no-cache")


async def test_browser_that_has_a_file_gets_304(client: Client) -> None:
    for path in ("/", "/page/main.js", f"/page/{PAGE.version}/main.js"):
        whole = await client.get(path)
        tag = whole.headers["ETag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}'):
            again = await client.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
            assert again.headers["Cache-Control"] == whole.headers["Cache-Control"]
            assert "script-src 'self';" in again.headers["Content-Security-Policy"]
        other = await client.get(path, headers={"If-None-Match": '"other", W/"another"'})
        assert (other.status_code, other.content) == (200, whole.content)


@pytest.mark.parametrize("changed", [{"main.js": b"other"}, {"base.css": b""}, {"new.js": b""}])
def test_folder_is_another_one_if_any_file_differs(changed: dict[str, bytes]) -> None:
    assert PageFiles(dict(reversed(FILES.items()))).version == PAGE.version
    assert PageFiles({**FILES, **changed}).version != PAGE.version


def test_page_loads_everything_from_its_folder() -> None:
    loaded = LOADS.findall(PAGE.contents["index.html"].decode())
    assert len(loaded) > 50
    assert [path for path in loaded if not path.startswith(f"page/{PAGE.version}/")] == []


def test_every_file_that_the_page_loads_exists() -> None:
    for name, content in FILES.items():
        for loaded in LOADS.findall(COMMENT.sub("", content.decode())):
            assert loaded.removeprefix("page/").removeprefix("./") in FILES, f"{name} loads {loaded}"


def test_page_preloads_every_module_that_it_imports() -> None:
    preloaded = re.findall(r'rel="modulepreload"[^>]* href="page/\w+/([^"]+)"', PAGE.contents["index.html"].decode())
    assert preloaded[0] == "first_request.js"
    assert sorted(preloaded) == sorted(name for name in FILES if name.endswith(".js") and name != "reload.js")


def test_page_has_no_inline_code_and_writes_no_html() -> None:
    index = PAGE.contents["index.html"].decode()
    assert re.findall(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", index) == []
    scripts = "\n".join(content.decode() for name, content in FILES.items() if name.endswith(".js"))
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", scripts) == []


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fapp.py", "%2e%2e%2fapp.py", "index.html%00.js", "x" * 500])
async def test_other_files_are_not_served(client: Client, name: str) -> None:
    response = await client.get(f"/page/{name}")
    assert response.status_code == 404
    assert b"import" not in response.content


async def test_map_has_nodes_and_links_for_every_edge(client: Client, store: SQLiteStore) -> None:
    maps = MapStore(store)
    maps.passed("shop", "out", "orders", parent=0)
    maps.passed("billing", "in", "orders", group="billing")
    right, down = [(await client.get("/api/map", params={"flow": flow})).json() for flow in ("right", "down")]
    assert (right["width"] > right["height"], down["height"] > down["width"]) == (True, True)
    assert [(node["kind"], node["name"]) for node in right["nodes"]] == [
        ("queue", "orders"),
        ("service", "billing"),
        ("service", "shop"),
    ]
    ids = {edge["id"] for edge in right["edges"]}
    nodes = {node["id"] for node in right["nodes"]}
    assert {link["edge"] for link in right["links"]} == ids
    assert all({link["from"], link["to"]} <= nodes and len(link["points"]) >= 2 for link in right["links"])
    assert "pathways" not in right
    widths = {edge["id"]: round(stroke_width(edge["present"]["rate"]), 1) for edge in right["edges"]}
    assert {link["edge"]: link["width"] for link in right["links"]} == widths
    assert right["levels"] == ["< 1 ms", "1 ms", "10 ms", "100 ms", "1 s", "≥ 10 s"]


async def test_wrong_map_parameters_are_rejected_with_400(client: Client) -> None:
    for query, path in (("flow=up", "flow"), ("minutes=0", "minutes"), ("from=2&to=1", "from")):
        response = await client.get(f"/api/map?{query}")
        assert (response.status_code, response.json()["error"]["path"]) == (400, path)


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
async def test_map_has_hostile_names_unchanged(client: Client, store: SQLiteStore, name: str) -> None:
    MapStore(store).passed(name, "out", name, kind=name, parent=0)
    shown = (await client.get("/api/map")).json()
    assert {node["name"] for node in shown["nodes"]} == {name}
