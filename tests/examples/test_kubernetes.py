"""The manifests for Kubernetes: they are valid, and what they run and set leads to an agent that accepts payloads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import kubernetes_validate
import pytest
import yaml  # type: ignore[import-untyped]

from tests.agent.running import agent as running_agent
from tests.brokers.process import free_port
from tests.docs.page import read_blocks
from tests.examples.containers import running_command, wait_for

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "deploy" / "kubernetes"
MANIFESTS = sorted(FOLDER.glob("*.yaml"))
VERSIONS = ["1.30", "1.34"]
TOKEN = "a-token-of-the-tests"  # noqa: S105


def read_manifest(name: str) -> list[dict[str, Any]]:
    """Return the objects of a manifest."""
    return list(yaml.safe_load_all(FOLDER.joinpath(name).read_text()))


def read_container(name: str) -> dict[str, Any]:
    """Return the one container of the Deployment in a manifest."""
    (deployment,) = [each for each in read_manifest(name) if each["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = container
    return found


def environment_of(container: dict[str, Any]) -> dict[str, str]:
    """Return what the container finds in its environment, with the token of the tests and a node on this machine."""
    sources = {"secretKeyRef": TOKEN, "fieldRef": "127.0.0.1"}
    return {
        each["name"]: each["value"] if "value" in each else sources[next(iter(each["valueFrom"]))]
        for each in container["env"]
    }


def ask_doctor(environment: dict[str, str]) -> dict[str, Any]:
    """Return the report of `asyncdsm doctor` in such a container."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DD_", "ASYNCDSM_", "OTEL_"))}
    command = [sys.executable, "-m", "asyncdsm", "doctor", "--json"]
    done = subprocess.run(command, env={**kept, **environment}, capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifest_has_the_form_of_the_api(path: Path, version: str) -> None:
    for each in read_manifest(path.name):
        kubernetes_validate.validate(each, version, strict=True)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Run the agent of the manifest, with a folder of this machine as its volume; yield its URL and the folder."""
    container, port = read_container("agent.yaml"), free_port()
    arguments = [each.replace("/data", str(tmp_path)).replace("0.0.0.0", "127.0.0.1") for each in container["args"]]  # noqa: S104
    command = [*container["command"], *arguments, "--port", str(port)]
    with running_command(command, environment_of(container), tmp_path):
        wait_for(f"http://127.0.0.1:{port}/api/health")
        yield f"http://127.0.0.1:{port}", tmp_path


def test_agent_of_the_manifest_answers_its_probes_and_keeps_its_data(served: tuple[str, Path]) -> None:
    url, folder = served
    container = read_container("agent.yaml")
    assert folder.joinpath("dsm.db").exists()
    for probe in ("readinessProbe", "livenessProbe"):
        path = container[probe]["httpGet"]["path"]
        assert httpx2.get(f"{url}{path}", headers={"Host": "10.1.2.3:8126"}).status_code == 200


def test_service_of_the_manifest_is_accepted_by_the_agent(served: tuple[str, Path]) -> None:
    (service,) = [each for each in read_manifest("agent.yaml") if each["kind"] == "Service"]
    environment = environment_of(read_container("shop.yaml"))
    address = f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert environment["DD_TRACE_AGENT_URL"] == address
    report = ask_doctor({**environment, "DD_TRACE_AGENT_URL": served[0]})
    assert (report["agent"]["lists_endpoint"], report["agent"]["problem"]) == (True, None)
    report = ask_doctor({**environment, "DD_TRACE_AGENT_URL": served[0], "ASYNCDSM_AGENT_TOKEN": ""})
    assert report["agent"]["problem"].endswith("the agent requires its token; set ASYNCDSM_AGENT_TOKEN to it")


def test_service_reaches_the_socket_of_its_node(socket_path: Path) -> None:
    container = read_container("shop-datadog-socket.yaml")
    environment, (mount,) = environment_of(container), container["volumeMounts"]
    socket = environment["DD_TRACE_AGENT_URL"].removeprefix("unix://")
    assert Path(socket).parent == Path(mount["mountPath"])
    with running_agent(unix_socket=socket_path):
        report = ask_doctor({**environment, "DD_TRACE_AGENT_URL": f"unix://{socket_path}"})
    assert report["agent"]["lists_endpoint"] is True


def test_service_reaches_the_address_of_its_node() -> None:
    environment = environment_of(read_container("shop-datadog-host.yaml"))
    with running_agent() as agent:
        report = ask_doctor({**environment, "DD_TRACE_AGENT_PORT": agent.url.rpartition(":")[2]})
    assert report["agent"]["lists_endpoint"] is True
    assert report["settings"]["agent_url"]["value"].startswith("http://127.0.0.1:")


def test_service_link_of_kubernetes_is_named_as_the_wrong_setting() -> None:
    """A Service called dd-agent puts DD_AGENT_PORT into the environment of every Pod."""
    report = ask_doctor(
        {**environment_of(read_container("shop-datadog-host.yaml")), "DD_AGENT_PORT": "tcp://10.0.0.1:80"}
    )
    assert report["problem"] == "DD_AGENT_PORT must be a port from 1 to 65535, got 'tcp://10.0.0.1:80'"


def test_page_quotes_the_manifests() -> None:
    files = [path.read_text() for path in MANIFESTS]
    blocks = [block for block in read_blocks(ROOT / "docs" / "deploy" / "kubernetes.md") if block.language == "yaml"]
    assert len(blocks) == 3
    assert [block.code for block in blocks if not any(block.code in text for text in files)] == []
