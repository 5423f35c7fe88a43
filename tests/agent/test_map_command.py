"""`asyncdsm map`: five formats, of what a real agent knows; what names from outside can do to them; clear errors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree

import pytest
from msgspec import to_builtins

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.topology import topology
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.cli import agent_client
from asyncdsm.cli.map import FORMATS
from asyncdsm.core.histogram import bin_index
from asyncdsm.delivery.sketch import encode
from asyncdsm.map.topology import Topology
from tests.agent.maps import HOSTILE, MapStore, slowed
from tests.agent.payloads import NOW, SECOND_NS, bucket, payload, point
from tests.agent.running import agent

NODE = r"[qs][0-9a-f]{12}"
STRING = r'"(?:[^"\\]|\\.)*"'
DOT = re.compile(
    rf'  {NODE} (-> {NODE} )?\[(shape=\w+, )?(style="filled,dashed", )?(label={STRING}|style=dashed)\]'
    r"|  (node|edge|rankdir).*|digraph asyncdsm {|}"
)
MERMAID = re.compile(
    r"flowchart LR|  classDef silent stroke-dasharray: 5 4"
    rf'|  {NODE}(\["[^"<>`]*"\]|\(\["[^"<>`]*"\]\))(:::silent)?|  {NODE} (-->\|"[^"<>`]*"\||-\.->) {NODE}'
)
SVG = "{http://www.w3.org/2000/svg}"


def shop() -> MapStore:
    maps = MapStore()
    maps.passed("shop", "out", "orders", parent=0, seconds=[0.0])
    maps.passed("billing", "in", "orders", group="billing", seconds=[0.007])
    maps.passed("billing", "out", "fanout", kind="rabbitmq", seconds=[0.4])
    maps.passed("shipping", "in", "invoices", kind="rabbitmq", env="prod", seconds=[12.0])
    return maps


def deployed() -> SQLiteStore:
    """Return a store of a service whose second version is three times as slow."""
    store = SQLiteStore(now=lambda: NOW)
    for seconds_ago, version, latency in ((200, "1.0", 0.1), (100, "\x1b[31m2.0", 0.3)):
        counted = encode({bin_index(latency): 400})
        passed = point(EdgeTags=["direction:in", "topic:orders", "type:kafka"], ParentHash=1, EdgeLatency=counted)
        start = int(NOW - seconds_ago) * SECOND_NS
        store.add(read_report(payload(bucket(passed, Start=start), Version=version), ""))
    return store


SLOWER = re.compile(r"orders-of-europe \(kafka\) → billing-of-europe slower since .*\d: 7\.\d+ s, [45][.\d]* ms before")


def test_slower_hop_is_a_line_below_even_where_its_column_has_no_room() -> None:
    with agent(store=slowed().store) as running:
        narrow = map_of("--url", running.url, COLUMNS="80").stdout.decode()
    assert SLOWER.fullmatch(narrow.splitlines()[-1])
    assert "since " not in narrow.splitlines()[1]
    assert max(map(len, narrow.splitlines()[:5])) <= 80


def test_a_pipe_has_room_for_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    with agent(store=slowed().store) as running:
        table = map_of("--url", running.url).stdout.decode()
    assert re.search(r"messages +msg/s +time in +p50 +p99 +end p50 +p99 +since\n", table)
    assert SLOWER.fullmatch(table.splitlines()[-1])


def hostile(name: str) -> Topology:
    maps = MapStore()
    maps.passed(name, "out", name, kind=name, parent=0, env=name)
    maps.passed(name, "in", name, kind=name, group=name, env=name)
    return topology(maps.store, 10)


def map_of(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "asyncdsm", "map", *arguments]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, env={**os.environ, **environment})


def written(url: str, format_: str) -> str:
    done = map_of("--url", url, "--format", format_)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def test_every_format_shows_the_map_of_an_agent() -> None:
    with agent(store=shop().store) as running:
        texts = {format_: written(running.url, format_) for format_ in FORMATS}
    assert "3 services, 3 queues" in texts["text"]
    assert re.search(r"billing +→ +fanout .* 40\d ms", texts["text"])
    assert json.loads(texts["json"])["edges"][0]["service"] == "billing"
    assert len(re.findall(r" -> .*label=", texts["dot"])) == 4
    assert texts["dot"].count("style=dashed") == texts["mermaid"].count("-.->") == 1
    assert 'label="shipping (prod)"' in texts["dot"]
    assert re.search(r'-->\|"[67][.\d]* ms, [\d.]+/s, group billing"\|', texts["mermaid"])
    drawn = ElementTree.fromstring(texts["svg"])  # noqa: S314
    assert len(drawn.findall(f"{SVG}g")) == 6
    assert {path.get("class") for path in drawn.findall(f"{SVG}path")} == {
        "link warm0",
        "link warm1",
        "link warm3",
        "link warm5",
        "link carried",
    }


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_writes_an_empty_map(format_: str) -> None:
    assert FORMATS[format_](topology(MapStore().store, 10))


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_are_escaped_in_dot_and_mermaid(name: str) -> None:
    shown = hostile(name)
    for format_, line in (("dot", DOT), ("mermaid", MERMAID)):
        lines = FORMATS[format_](shown).splitlines()
        assert len(lines) == {"dot": 9, "mermaid": 5}[format_]
        assert [each for each in lines if not line.fullmatch(each)] == []


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_are_escaped_in_svg(name: str) -> None:
    drawn = ElementTree.fromstring(FORMATS["svg"](hostile(name)))  # noqa: S314
    assert {element.tag.removeprefix(SVG) for element in drawn.iter()} == {
        "svg",
        "style",
        "marker",
        "rect",
        "path",
        "title",
        "text",
        "g",
    }
    assert {
        attribute for element in drawn.iter() for attribute in element.attrib if attribute.startswith("on")
    } == set()
    assert len({title.text for title in drawn.iterfind(f"{SVG}g/{SVG}title")}) == 1


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_are_printable_in_text_and_json(name: str) -> None:
    shown = hostile(name)
    assert all(character.isprintable() for line in FORMATS["text"](shown).split("\n") for character in line)
    written = FORMATS["json"](shown)
    assert written.isascii()
    assert all(character.isprintable() for line in written.split("\n") for character in line)
    assert json.loads(written) == to_builtins(shown)


@contextmanager
def answering(status: int, body: str, seen: list[str] | None = None) -> Iterator[str]:
    """Serve one answer to everything; `seen` gets what came as Authorization."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if seen is not None:
                seen.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def failed(url: str) -> str:
    done = map_of("--url", url)
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"asyncdsm map: the agent at {url} ")
    return line


def test_map_without_agent_fails_with_one_line() -> None:
    assert "does not answer" in failed("http://127.0.0.1:1")


def test_password_in_the_url_is_not_shown() -> None:
    seen: list[str] = []
    with answering(503, "{}", seen) as url:
        done = map_of("--url", url.replace("//", "//agent:secret@"))
    assert seen == ["Basic YWdlbnQ6c2VjcmV0"]
    assert done.stderr.decode() == f"asyncdsm map: the agent at {url} has an error (HTTP status 503)\n"


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, "<html>", "is not an asyncdsm agent: its answer is not a map"),
        (200, "[]", "is not an asyncdsm agent: its answer is not a map"),
        (200, '{"services": 1, "edges": 2}', "is not an asyncdsm agent: its answer is not a map"),
        (200, "[" * 100_000, "is not an asyncdsm agent: its answer is not a map"),
        (200, '{"services": [], "edges": [{}]}', "is of another version of asyncdsm than this one"),
        (302, "", "answers with HTTP status 302"),
        (404, "no such path", "is not an asyncdsm agent: it has no map (HTTP status 404)"),
        (503, json.dumps({"error": {"problem": "busy\x1b[31m"}}), "has an error (HTTP status 503): busy[31m"),
        (401, "{}", "requires its token: give it by --token, or in ASYNCDSM_AGENT_TOKEN"),
    ],
)
def test_wrong_answer_is_one_line_on_stderr(status: int, body: str, says: str) -> None:
    with answering(status, body) as url:
        assert says in failed(url)


def test_answer_that_is_too_long_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_client, "MAX_ANSWER_BYTES", 1_000)
    with (
        answering(200, " " * 1_001) as url,
        agent_client.open_client(url, None) as client,
        pytest.raises(agent_client.NoAnswerError, match="more than 1000 bytes"),
    ):
        agent_client.fetch_topology(client, 10)


def test_wrong_token_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    says = "was started with another token than the one given by --token, in ASYNCDSM_AGENT_TOKEN, or in the URL"
    with answering(401, "{}") as url:
        monkeypatch.setenv("ASYNCDSM_AGENT_TOKEN", "wrong-token-of-16-characters")
        said = failed(url)
    assert says in said
    assert "wrong-token" not in said


def test_token_is_read_from_option_or_environment() -> None:
    seen: list[str] = []

    with answering(401, "{}", seen) as url:
        map_of("--url", url)
        map_of("--url", url, "--token", "t-1")
        map_of("--url", url, ASYNCDSM_AGENT_TOKEN="t-2")  # noqa: S106
    assert seen == ["", "Bearer t-1", "Bearer t-2"]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("--url", "ftp://x"),
        ("--url", "127.0.0.1:8126"),
        ("--url", "http://a:99999"),
        ("--minutes", "0"),
        ("--minutes", "x"),
        ("--format", "png"),
    ],
)
def test_wrong_arguments_exit_with_2(argument: str, value: str) -> None:
    done = map_of(f"{argument}={value}")
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"argument {argument}: " in done.stderr.decode()
    assert value in done.stderr.decode()


def test_versions_of_a_service_are_side_by_side() -> None:
    with agent(store=deployed()) as running:
        done = map_of("--url", running.url, "--versions", "foreign", COLUMNS="100")
        answer = json.loads(map_of("--url", running.url, "--versions", "foreign", "--format", "json").stdout)
        wrong = map_of("--url", running.url, "--versions", "orders")
        drawn = map_of("--url", running.url, "--versions", "foreign", "--format", "svg")
    text = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert text.count("versions of service foreign\n") == text.count("orders → foreign\n") == 1
    assert text.count("time in queue, p99 3 times as long since �[31m2.0\n") == 2
    assert re.search(r"time in queue p99 +\d\d\.?\d* ms +\d{3} ms\n", text)
    assert [each["versions"] for each in answer["versions"]] == [["1.0"], ["\x1b[31m2.0"]]
    assert (wrong.returncode, drawn.returncode) == (1, 2)
    assert b"no service is named 'orders' on the map of the last 10 minutes" in wrong.stderr
    assert b"--versions prints text or json, not svg" in drawn.stderr
