"""Runs the containers of a compose file as processes, for there is no Docker here.

A container gets a folder with what its Dockerfile copies, the variables that Dockerfile and compose file set and no
others of the service's, and its command. What a Dockerfile installs is replaced by what the tests run with; the host
names of other containers are replaced by addresses.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

import httpx2
import yaml  # type: ignore[import-untyped]

VARIABLE = re.compile(r"\$\{(\w+)(?::\?[^}]*)?\}")
FOREIGN = ("DD_", "OTEL_", "ASYNCDSM_", "CELERY_")
PATIENCE = 60.0
STOP_SECONDS = 10
"""After SIGTERM, Docker waits this long before it kills."""


class Dockerfile(NamedTuple):
    """What a Dockerfile says."""

    folder: Path
    instructions: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        """Return the arguments of all instructions with this name."""
        return [argument for instruction, argument in self.instructions if instruction == name]

    def command(self, command: list[str] | None = None) -> list[str]:
        """Return what a container runs: the entry point, then the command of the compose file or of the Dockerfile."""
        entry: list[str] = json.loads(self.all("ENTRYPOINT")[-1])
        return [*entry, *(json.loads(self.all("CMD")[-1]) if command is None else command)]

    def environment(self) -> dict[str, str]:
        """Return the variables that the image sets."""
        return dict(pair.split("=", 1) for argument in self.all("ENV") for pair in argument.split())

    def copy_files(self, folder: Path) -> None:
        """Copy what the image copies into its working directory."""
        for argument in self.all("COPY"):
            *names, target = argument.split()
            if target == "./":
                for name in names:
                    shutil.copy(self.folder / name, folder)

    def extras(self) -> list[str]:
        """Return the extras of asyncdsm that the image installs."""
        run = " ".join(self.all("RUN"))
        for argument in self.all("ARG"):
            name, default = argument.split("=")
            run = run.replace(f"${name}", default)
        found = re.search(r"asyncdsm-\*\.whl\)\[([\w,-]+)\]", run)
        assert found
        return found[1].split(",")


def read_dockerfile(path: Path) -> Dockerfile:
    """Read a Dockerfile whose instructions have one line each."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    parts = [line.split(None, 1) for line in lines]
    return Dockerfile(path.parent, [(instruction, argument) for instruction, argument in parts])


class Container(NamedTuple):
    """A service of a compose file as it is run here."""

    name: str
    dockerfile: Dockerfile
    command: list[str]
    environment: dict[str, str]


def read_compose(path: Path, environ: Mapping[str, str], hosts: Mapping[str, str]) -> dict[str, Container]:
    """Return the services that a compose file builds, by name.

    `environ` has what `${NAME}` stands for; `hosts` replaces addresses such as `agent:8126`.
    """
    text = VARIABLE.sub(lambda found: environ[found[1]], path.read_text())
    for name, address in hosts.items():
        text = re.sub(rf"(?<=[/@ ]){re.escape(name)}(?=\W)", address, text)
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return {name: _container(path.parent, name, service) for name, service in services.items() if "build" in service}


def _container(folder: Path, name: str, service: Mapping[str, Any]) -> Container:
    build = service["build"]
    file = build.get("dockerfile", "Dockerfile") if isinstance(build, dict) else "Dockerfile"
    dockerfile = read_dockerfile(folder / file)
    environment = {key: str(value) for key, value in service["environment"].items()}
    return Container(
        name, dockerfile, dockerfile.command(service.get("command")), {**dockerfile.environment(), **environment}
    )


@contextmanager
def running_command(
    command: list[str], environment: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command inside the block. Afterwards it gets SIGTERM, and must end before Docker would kill it.

    What it prints is in the file `log` of the folder.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    kept["PATH"] = f"{Path(sys.executable).parent}:{kept['PATH']}"
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            command, cwd=folder, env={**kept, **environment}, stdout=log, stderr=log, start_new_session=True
        ) as process,
    ):
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            code = process.wait(STOP_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    said = (folder / "log").read_text()
    assert code in {0, -signal.SIGTERM}, said  # uvicorn raises the signal again when it has shut down
    assert "Traceback" not in said, said


@contextmanager
def running_container(container: Container, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a container as a process inside the block."""
    home = folder / container.name
    home.mkdir(parents=True, exist_ok=True)
    container.dockerfile.copy_files(home)
    with running_command(container.command, container.environment, home) as process:
        yield process


def wait_for(url: str) -> None:
    """Wait until a server answers."""
    deadline = monotonic() + PATIENCE
    while True:
        try:
            httpx2.get(url)
        except httpx2.HTTPError:
            assert monotonic() < deadline, f"{url} does not answer"
            sleep(0.1)
        else:
            return


def wait_for_log(path: Path, text: str, count: int = 1) -> None:
    """Wait until a process has printed a string this many times."""
    deadline = monotonic() + PATIENCE
    while not path.exists() or path.read_text().count(text) < count:
        assert monotonic() < deadline, path.read_text()
        sleep(0.05)
