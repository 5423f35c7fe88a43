"""The Docker example: its compose file is valid, and its containers' processes draw one pathway on an agent's map."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from tests.brokers.apache_kafka import apache_kafka
from tests.brokers.process import free_port
from tests.brokers.rabbitmq import rabbitmq as run_rabbitmq
from tests.docs.page import read_blocks
from tests.examples.containers import (
    Container,
    read_compose,
    read_dockerfile,
    running_container,
    wait_for,
    wait_for_log,
)

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "deploy" / "docker"
TOKEN = "a-token-of-the-tests"  # noqa: S105
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ORDERS = 20


class Compose(NamedTuple):
    """The containers of the compose file, and where their ports are on this machine."""

    containers: dict[str, Container]
    agent: str
    shop: str
    folder: Path


def on_loopback(command: list[str], port: int) -> list[str]:
    """Return a command that listens on a port of this machine, not on every address it has."""
    replaced = {"0.0.0.0": "127.0.0.1", "8000": str(port)}  # noqa: S104
    return [replaced.get(each, each) for each in command]


@pytest.fixture
def compose(tmp_path: Path) -> Iterator[Compose]:
    """Return the containers with brokers of their own: the names of topics and queues are those of other examples."""
    agent, shop = free_port(), free_port()
    with apache_kafka() as kafka, run_rabbitmq() as broker:
        hosts = {
            "agent:8126": f"127.0.0.1:{agent}",
            "kafka:9092": kafka.bootstrap,
            "rabbitmq:5672": broker.url.split("@")[1].rstrip("/"),
            "/data": str(tmp_path),
        }
        found = read_compose(FOLDER / "compose.yaml", {"ASYNCDSM_AGENT_TOKEN": TOKEN}, hosts)
        commands = {name: on_loopback(container.command, shop) for name, container in found.items()}
        commands["agent"] = [
            *(each.replace("/data", str(tmp_path)) for each in commands["agent"]),
            *("--port", str(agent)),
        ]
        containers = {name: each._replace(command=commands[name]) for name, each in found.items()}
        yield Compose(containers, f"http://127.0.0.1:{agent}", f"http://127.0.0.1:{shop}", tmp_path)


def follow_pathway(topology: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the hops of the one pathway of the map: service, direction, queue."""
    hops = {point["parent"]: point for point in topology["pathways"]}
    assert len(hops) == len(topology["pathways"]), "it forks"
    found, parent = list[tuple[str, str, str]](), "0"
    while parent in hops:
        point = hops[parent]
        tags = dict(tag.split(":", 1) for tag in point["tags"])
        found.append((point["service"], tags["direction"], tags["topic"]))
        parent = point["hash"]
    return found


def test_containers_deliver_one_pathway_to_the_agent_with_a_token(compose: Compose) -> None:
    with ExitStack() as services:
        agent = services.enter_context(ExitStack())
        agent.enter_context(running_container(compose.containers["agent"], compose.folder))
        wait_for(f"{compose.agent}/api/health")
        assert httpx2.get(f"{compose.agent}/api/topology").status_code == 401
        with ExitStack() as others:
            for name in ("shop", "billing", "worker"):
                others.enter_context(running_container(compose.containers[name], compose.folder))
            wait_for(f"{compose.shop}/docs")
            for number in range(ORDERS):
                assert httpx2.post(f"{compose.shop}/orders/{number}").status_code == 202
            wait_for_log(compose.folder / "worker" / "log", "shipped order", ORDERS)
        topology = httpx2.get(f"{compose.agent}/api/topology", headers=BEARER).json()
        assert [edge["count"] for edge in topology["edges"]] == [ORDERS] * 4
        assert follow_pathway(topology) == [
            ("shop", "out", "orders"),
            ("billing", "in", "orders"),
            ("billing", "out", "celery"),
            ("shipping", "in", "celery"),
        ]
        check = compose.containers["agent"].dockerfile.all("HEALTHCHECK")[0].removeprefix("CMD ")
        checked = check.replace("127.0.0.1:8126", compose.agent.removeprefix("http://"))
        subprocess.run([sys.executable, *json.loads(checked)[1:]], check=True)


def test_agent_keeps_its_map_when_its_container_is_replaced(compose: Compose) -> None:
    for _ in range(2):
        with running_container(compose.containers["agent"], compose.folder):
            wait_for(f"{compose.agent}/api/health")
    assert compose.folder.joinpath("dsm.db").exists()


def test_compose_file_has_the_form_of_the_compose_specification() -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(FOLDER / "compose.yaml"),
    ]
    done = subprocess.run(command, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("name", ["Dockerfile", "agent.Dockerfile"])
def test_image_installs_extras_that_exist(name: str) -> None:
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text())["project"]
    assert set(read_dockerfile(FOLDER / name).extras()) <= set(project["optional-dependencies"])


def test_page_quotes_the_files_of_the_example() -> None:
    files = [path.read_text() for path in FOLDER.iterdir() if path.is_file()]
    blocks = read_blocks(ROOT / "docs" / "deploy" / "docker.md")
    quoted = [block.code for block in blocks if block.language in {"dockerfile", "yaml"}]
    assert len(quoted) == 5
    assert [code for code in quoted if not any(code in text for text in files)] == []
