"""The program of Apache Kafka. Java runs it, Maven brings it: `apt-get install default-jre-headless maven`.

The first time, a storage is formatted to be copied, and the classes are archived: some 15 seconds. A formatter for each
start, and classes loaded one by one from the jars, make every later start, of which a run of the tests has dozens,
several times as slow.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from shutil import copytree
from socket import create_connection
from tempfile import TemporaryDirectory
from time import monotonic

from tests.brokers.cache import cached
from tests.brokers.process import BrokerError, free_port, memory
from tests.brokers.tools import copy_jars, find_java, run_tool

VERSION = "4.4.0"
CLUSTER_ID = "asyncdsm-tests-kafka-A"
START_SECONDS = 90.0
HERE = Path(__file__).parent / "kafka_server"
OPTIONS = ["-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
CLASSES, STORAGE = "classes.jsa", "data"
PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "log.dirs": "data",
    # One node cannot replicate, and one partition of each is enough.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # Tests do not wait for further members, and members that die are missed within a second.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "100",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.cleaner.dedupe.buffer.size": "2097152",
}


def make_addresses(ports: Mapping[str, int], node: int = 1) -> dict[str, str]:
    """Return the properties of a node that is its own controller and listens on these ports, by listener."""
    listeners = {name: f"{name}://127.0.0.1:{port}" for name, port in ports.items()}
    return {
        "listeners": ",".join(listeners.values()),
        "advertised.listeners": ",".join(each for name, each in listeners.items() if name != "CONTROLLER"),
        "controller.quorum.voters": f"{node}@127.0.0.1:{ports['CONTROLLER']}",
    }


def make_command(
    properties: Mapping[str, str], version: str = VERSION, cluster_id: str = CLUSTER_ID, heap_mb: int = 512
) -> list[str]:
    """Return what writes the configuration, makes a storage unless there is one, and starts the server.

    All of it happens in the folder in which the command runs. Raises BrokerError if Java or Kafka cannot be had.
    """
    jars = find_jars(version)
    prepared = _find_prepared(version, jars)
    java = _make_java(jars, f"-Xmx{heap_mb}m", f"-XX:SharedArchiveFile={prepared / CLASSES}")
    script = f"""
        printf '%s\\n' "$@" > server.properties
        if ! [ -e data ]; then
            cp -r '{prepared / STORAGE}' data
            printf 'version=1\\nnode.id={properties["node.id"]}\\ncluster.id={cluster_id}\\n' > data/meta.properties
        fi
        exec "$0" {" ".join(f"'{each}'" for each in java[1:])} kafka.Kafka server.properties
    """
    return ["sh", "-c", script, java[0], *_write_lines(properties)]


def find_jars(version: str) -> Path:
    """Return the folder with the server's jars; Maven copies them into the user's cache the first time."""
    return cached(f"kafka-{version}", partial(_copy_jars, version))


def _copy_jars(version: str, jars: Path) -> None:
    copy_jars(HERE / "pom.xml", jars, {"kafka": version}, f"Maven cannot copy Apache Kafka {version}")


def _make_java(jars: Path, *options: str) -> list[str]:
    log4j = f"-Dlog4j2.configurationFile={HERE / 'log4j2.yaml'}"
    return [find_java(), *OPTIONS, *options, log4j, "-cp", f"{jars}/*"]


def _write_lines(properties: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in properties.items()]


def _find_prepared(version: str, jars: Path) -> Path:
    """Return the folder with a storage and an archive of classes. Another Java would ignore the archive."""
    java = Path(find_java()).resolve()
    name = f"kafka-{version}-prepared-{java.parent.parent.name}-{int(java.stat().st_mtime)}"
    return cached(name, partial(_prepare, jars))


def _prepare(jars: Path, folder: Path) -> None:
    """Format a storage and keep it; run the server on it until it answers, and archive the classes it has loaded."""
    port = free_port()
    properties = {**PROPERTIES, **make_addresses({"PLAINTEXT": port, "CONTROLLER": free_port()})}
    with TemporaryDirectory(dir=memory()) as here:
        Path(here, "server.properties").write_text("\n".join(_write_lines(properties)))
        formatting = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", "server.properties"]
        run_tool([*_make_java(jars), *formatting], "Kafka cannot format its storage", cwd=Path(here))
        copytree(Path(here, "data"), folder / STORAGE)
        archive = f"-XX:ArchiveClassesAtExit={folder / CLASSES}"
        _run_until_it_answers([*_make_java(jars, archive), "kafka.Kafka", "server.properties"], here, port)
    if not (folder / CLASSES).exists():
        raise BrokerError("Java has not archived the classes of Kafka")


def _run_until_it_answers(command: list[str], folder: str, port: int) -> None:
    """Start a server, and end it by SIGTERM as soon as it answers. Raises BrokerError if it does not."""
    deadline = monotonic() + START_SECONDS
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while True:
                with suppress(OSError), create_connection(("127.0.0.1", port), timeout=1):
                    break
                with suppress(subprocess.TimeoutExpired):
                    server.wait(0.02)
                if server.returncode is not None or monotonic() > deadline:
                    raise BrokerError(f"Kafka does not answer, or has ended with {server.returncode}")
            server.terminate()
            server.wait(START_SECONDS)
        finally:
            server.kill()
