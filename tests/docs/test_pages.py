"""All code of the README and the manual runs: Python blocks, files and commands, in order, page by page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import copy

import pytest

from tests.brokers.apache_kafka import apache_kafka
from tests.brokers.azure import azure_server
from tests.brokers.clickhouse import clickhouse
from tests.brokers.mosquitto import run_mosquitto
from tests.brokers.nats import nats_server
from tests.brokers.process import free_port
from tests.brokers.pubsub import pubsub_server
from tests.brokers.rabbitmq import rabbitmq
from tests.brokers.redis import redis
from tests.docs.page import find_manual_pages, read_blocks
from tests.docs.run_page import ADDRESSES
from tests.intake import running_intake

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *find_manual_pages()]
RUN_ELSEWHERE = {"docs/testing.md", "docs/develop/integrations.md"}
"""Pages that have a test module of their own."""
NOT_RUN = {
    "not run, needs Docker",
    "not run, needs Kubernetes",
    "not run, needs AWS",
    "not run, needs Datadog",
    "not run, downloads packages",
    "not run, the tests themselves",
    "not run, for another machine",
    "not run, needs a terminal",
    "not run, has tests of its own",
}
"""Why a block is not run: what the machine of the tests does not have, or what would take it too long."""
EXAMPLES = [
    path.read_text("utf-8")
    for path in ROOT.joinpath("examples").rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
]
"""What the tests of the examples run or check: a page that shows a part of it need not run that again."""
AWS = re.compile(r"boto")
FROM_CHECKOUT = re.compile(r"pip install .*'\.\[")
"""What a page says that begins in a checkout; other pages begin in an empty folder."""


def name_of(page: Path) -> str:
    """Return the path of a page as it is written in links."""
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize(
    "page", [page for page in PAGES if name_of(page) not in RUN_ELSEWHERE and read_blocks(page)], ids=name_of
)
def test_code_of_page_runs(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    code = "".join(block.code for block in read_blocks(page))
    variables = {variable for address, variable in ADDRESSES.items() if address in code}
    if re.search("^asyncdsm agent", code, re.MULTILINE):
        variables.add("TEST_AGENT_PORT")
    if FROM_CHECKOUT.search(code):
        copy_checkout(tmp_path)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DD_", "AWS_", "OTEL_"))}
    with ExitStack() as stack:
        intake = stack.enter_context(running_intake())
        servers = {variable: stack.enter_context(server_for(variable)) for variable in variables}
        if AWS.search(code):
            servers |= {"AWS_ENDPOINT_URL": request.getfixturevalue("ministack").endpoint}
            servers |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
        port = servers.get("TEST_AGENT_PORT")
        agent = {"DD_TRACE_AGENT_URL": f"http://127.0.0.1:{port}" if port else intake.url}
        agent["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        agent["UVICORN_PORT"] = servers.get("TEST_HTTP_PORT", "0")
        done = subprocess.run(
            [sys.executable, "-W", "error::RuntimeWarning", "-m", "tests.docs.run_page", str(page)],
            cwd=tmp_path,
            env={**kept, **agent, **servers, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=280,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-8000:]


def copy_checkout(folder: Path) -> None:
    """Copy what is in the checkout, but for what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if ROOT.joinpath(name).is_file():
            folder.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / name, folder / name)


@contextmanager
def server_for(variable: str) -> Iterator[str]:
    """Run a server for one page and return its address, or a free port for a server that the page runs itself.

    Pages do not share brokers: they use the same names of topics and queues, and must find them empty.
    """
    if variable == "TEST_KAFKA":
        with apache_kafka() as kafka:
            yield kafka.bootstrap
    elif variable == "TEST_RABBITMQ":
        with rabbitmq() as broker:
            yield broker.url.rstrip("/")
    elif variable == "TEST_MQTT_PORT":
        with run_mosquitto() as mosquitto:
            yield str(mosquitto.port)
    elif variable == "TEST_NATS":
        with nats_server() as server:
            yield server.url
    elif variable == "TEST_EVENTHUBS":
        with azure_server("eventhubs") as server:
            yield server.address
    elif variable == "TEST_SERVICEBUS":
        with azure_server() as server:
            yield server.address
    elif variable == "TEST_PUBSUB":
        with pubsub_server() as fake:
            yield fake.address
    elif variable == "TEST_CLICKHOUSE":
        with clickhouse() as server:
            yield f"127.0.0.1:{server.port}"
    elif variable == "TEST_REDIS":
        with redis() as url:
            yield url.removeprefix("redis://").split("/")[0]
    else:
        yield str(free_port())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_that_are_not_run_say_why(page: Path) -> None:
    said = {block.instruction for block in read_blocks(page) if block.instruction.startswith("not run")}
    assert said <= NOT_RUN


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_a_page_shows_are_used_by_its_commands(page: Path) -> None:
    blocks = read_blocks(page)
    run = [block for block in blocks if not block.instruction.startswith("not run")]
    commands = "".join(block.code for block in run if block.language != "python" or not block.file_name)
    shown = [Path(block.file_name) for block in run if block.file_name]
    assert [str(path) for path in shown if not re.search(rf"(?<!DD_SERVICE=)\b{path.stem}\b", commands)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_that_is_not_run_is_a_command_or_part_of_an_example(page: Path) -> None:
    hidden = [block for block in read_blocks(page) if block.instruction.startswith("not run")]
    shown = [block.code for block in hidden if block.language not in {"sh", "nginx", "sql"}]
    assert [code for code in shown if not any(code in example for example in EXAMPLES)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_extras_that_a_page_installs_exist(page: Path) -> None:
    named = re.findall(r"asyncdsm(?:-\*\.whl\))?\"?\[([\w,-]+)\]", page.read_text("utf-8"))
    extras = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert {extra for names in named for extra in names.split(",")} <= extras.keys()
