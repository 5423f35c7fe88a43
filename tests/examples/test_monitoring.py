"""The examples with Prometheus, Grafana and ClickHouse: forms, files, options and variables; and the probes, really."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from time import monotonic, sleep
from typing import Any

import httpx2
import pytest
import yaml  # type: ignore[import-untyped]

from asyncdsm.cli import main
from asyncdsm.settings import SETTINGS
from tests.agent.running import agent as running_agent
from tests.agent.test_prometheus import run_promtool
from tests.brokers.prometheus import prometheus

DEPLOY = Path(__file__).parents[2] / "examples" / "deploy"
DOCKER, KUBERNETES = DEPLOY / "docker", DEPLOY / "kubernetes"
COMPOSE_FILES = ["compose.yaml", "monitoring.yaml", "clickhouse.yaml"]
CONFIGURATIONS = [DOCKER / "prometheus.yml", KUBERNETES / "prometheus.yml"]
TOKEN = "a-token-of-the-tests"  # noqa: S105
OURS = re.compile(r"_?DD_|ASYNCDSM_")


def read_services(*names: str) -> dict[str, dict[str, Any]]:
    """Return the services of compose files by name; a later file adds to what an earlier one says."""
    services: dict[str, dict[str, Any]] = {}
    for name in names:
        for service, content in yaml.safe_load((DOCKER / name).read_text())["services"].items():
            services[service] = {**services.get(service, {}), **content}
    return services


def list_objects() -> Iterator[dict[str, Any]]:
    """Yield what the manifests for Kubernetes declare."""
    for path in sorted(KUBERNETES.glob("*.yaml")):
        yield from yaml.safe_load_all(path.read_text())


def list_containers() -> Iterator[dict[str, Any]]:
    """Yield the containers of the manifests for Kubernetes."""
    for each in list_objects():
        yield from each.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])


def list_agent_options() -> Iterator[list[str]]:
    """Yield the options of each `asyncdsm agent` in the examples."""
    for name in ("compose.yaml", "clickhouse.yaml"):
        for service in read_services(name).values():
            if "--host" in service.get("command", []):
                yield service["command"]
    yield from (each["args"] for each in list_containers() if each.get("command") == ["asyncdsm", "agent"])


def list_variables() -> Iterator[str]:
    """Yield the environment variables that the examples set."""
    for service in read_services(*COMPOSE_FILES).values():
        yield from service.get("environment", {})
    for container in list_containers():
        yield from (each["name"] for each in container.get("env", []))


@pytest.mark.parametrize("name", COMPOSE_FILES)
def test_compose_file_has_the_form_of_the_specification(name: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(DOCKER / name)]
    assert subprocess.run(command, check=False).returncode == 0


def test_every_option_of_an_agent_is_one_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNCDSM_AGENT_TOKEN", TOKEN)
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "secret")
    parsed = [vars(main._make_parser().parse_args(["agent", *options])) for options in list_agent_options()]
    assert [str(each["store"]).partition(":")[0] for each in parsed].count("clickhouse") == 3
    assert [each["host"] for each in parsed] == ["0.0.0.0"] * 4  # noqa: S104
    with pytest.raises(SystemExit):
        main._make_parser().parse_args(["agent", "--stores", "x"])


def test_every_variable_of_asyncdsm_is_one_of_its_settings() -> None:
    known = {name for setting in SETTINGS.values() for name in setting.variables}
    used = {name for name in list_variables() if OURS.match(name)}
    assert {"DD_SERVICE", "DD_TRACE_AGENT_URL", "ASYNCDSM_AGENT_TOKEN"} <= used
    assert used <= known


def test_every_host_name_is_that_of_a_container_or_a_service() -> None:
    services = read_services(*COMPOSE_FILES)
    names = {each["metadata"]["name"] for each in list_objects() if each["kind"] == "Service"}
    aliases = services["second-agent"]["networks"]["default"]["aliases"]
    for path, known in zip(CONFIGURATIONS, ({*services}, names), strict=True):
        (scrape,) = yaml.safe_load(path.read_text())["scrape_configs"]
        (discovery,) = scrape["dns_sd_configs"]
        assert set(discovery["names"]) <= known
    assert aliases == ["agent"]
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in services
    assert {"prometheus", "clickhouse", "asyncdsm"} <= names
    assert all("@clickhouse:8123/" in options[3] for options in list_agent_options() if "clickhouse" in options[3])


def test_every_file_that_is_mounted_exists() -> None:
    mounted = [
        volume.split(":")[0]
        for service in read_services(*COMPOSE_FILES).values()
        for volume in service.get("volumes", [])
        if volume.startswith(".")
    ]
    assert len(mounted) == 4
    assert [path for path in mounted if not (DOCKER / path).exists()] == []
    text = (KUBERNETES / "monitoring.yaml").read_text()
    files = re.findall(r"--from-file=(\S+)", text)
    assert [path for path in files if not (KUBERNETES / path).exists()] == []
    keys = {Path(path).name for path in files}
    assert set(re.findall(r"subPath: (\S+)", text)) <= keys
    assert keys == {"prometheus.yml", "rules.yml", "dashboard.json", "asyncdsm.yml"}


def test_image_of_agents_installs_the_extras_that_the_compose_file_names() -> None:
    dockerfile = (DOCKER / "agent.Dockerfile").read_text()
    assert "ARG EXTRAS=agent\n" in dockerfile
    assert "asyncdsm-*.whl)[$EXTRAS]" in dockerfile
    services = read_services("clickhouse.yaml")
    assert {services[name]["build"]["args"]["EXTRAS"] for name in ("agent", "second-agent")} == {"agent,clickhouse"}


def make_configuration(path: Path, folder: Path, target: str) -> Path:
    """Copy a configuration, with this target, its rules and a token of the tests."""
    copy(DEPLOY / "prometheus" / "rules.yml", folder)
    (folder / "token").write_text(TOKEN)
    configuration = yaml.safe_load(path.read_text())
    (scrape,) = configuration["scrape_configs"]
    assert scrape.pop("dns_sd_configs")[0]["port"] == 8126
    scrape["static_configs"] = [{"targets": [target]}]
    scrape["authorization"]["credentials_file"] = str(folder / "token")
    configuration["global"]["scrape_interval"] = "500ms"
    copied = folder / "prometheus.yml"
    copied.write_text(yaml.safe_dump(configuration))
    return copied


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.parent.name)
def test_configuration_is_one_of_prometheus(path: Path, tmp_path: Path) -> None:
    run_promtool("check", "config", "--syntax-only", str(path))
    run_promtool("check", "config", str(make_configuration(path, tmp_path, "agent:8126")))


def read_probes() -> set[str]:
    """Return the paths that the probes of Prometheus ask for."""
    (manifest,) = [each for each in list_containers() if each["name"] == "prometheus"]
    checked = read_services("monitoring.yaml")["prometheus"]["healthcheck"]["test"][-1]
    return {manifest["readinessProbe"]["httpGet"]["path"], checked.removeprefix("http://localhost:9090")}


def test_prometheus_of_the_compose_file_is_ready_and_scrapes_an_agent_with_a_token(tmp_path: Path) -> None:
    with running_agent(token=TOKEN) as agent:
        path = make_configuration(CONFIGURATIONS[0], tmp_path, agent.url.removeprefix("http://"))
        with prometheus(path) as address, httpx2.Client(base_url=address, timeout=20) as http:
            deadline = monotonic() + 60
            while (found := http.get("/api/v1/query", params={"query": "up"}).json()["data"]["result"]) == []:
                assert monotonic() < deadline
                sleep(0.1)
            assert found[0]["value"][1] == "1"
            assert read_probes() == {"/-/ready"}
            assert http.get("/-/ready").status_code == 200
