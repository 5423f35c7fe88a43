"""The program of Apache Kafka. Java runs it, Maven brings it: `apt-get install default-jre-headless maven`.

Its classes are archived the first time it runs, which takes some 15 seconds: loaded one by one from the jars, they make
every later start, of which a run of the tests has dozens, several times as slow.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from shutil import which
from socket import create_connection
from tempfile import TemporaryDirectory

from tests.brokers.cache import cached
from tests.brokers.process import free_port, memory
from tests.brokers.tools import copy_jars

VERSION = "4.4.0"
CLUSTER_ID = "asyncdsm-tests-kafka-A"
START_SECONDS = 90.0
HERE = Path(__file__).parent / "kafka_server"
JAVA = ["java", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
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
    """Return what writes the configuration, formats the storage unless there is one, and starts the server.

    All of it happens in the folder in which the command runs.
    """
    jars = find_jars(version)
    options = [f"-Xmx{heap_mb}m", f"-XX:SharedArchiveFile={_find_archive(version, jars)}"]
    return _write_command(jars, properties, cluster_id, options)


def find_jars(version: str) -> Path:
    """Return the folder with the server's jars; Maven copies them into the user's cache the first time."""
    return cached(f"kafka-{version}", partial(_copy_jars, version))


def _copy_jars(version: str, jars: Path) -> None:
    copy_jars(HERE / "pom.xml", jars, {"kafka": version}, f"Maven cannot copy Apache Kafka {version}")


def _write_command(jars: Path, properties: Mapping[str, str], cluster_id: str, options: Sequence[str]) -> list[str]:
    log4j = f"-Dlog4j2.configurationFile='{HERE / 'log4j2.yaml'}'"
    java = " ".join([*JAVA, *options, log4j, f"-cp '{jars}/*'"])
    storage = f"{java} kafka.tools.StorageTool format -t {cluster_id} -c server.properties"
    script = f"""
        printf '%s\\n' "$@" > server.properties
        [ -e data/meta.properties ] || {storage} > format.log 2>&1 || cat format.log
        exec {java} kafka.Kafka server.properties
    """
    return ["sh", "-c", script, "sh", *(f"{name}={value}" for name, value in properties.items())]


def _find_archive(version: str, jars: Path) -> Path:
    """Return the archive of the server's classes. Another Java would ignore it, and so has one of its own."""
    java = Path(which("java") or "java").resolve()
    name = f"kafka-{version}-classes-{java.parent.parent.name}-{int(java.stat().st_mtime)}"
    return cached(name, partial(_archive_classes, jars)) / "classes.jsa"


def _archive_classes(jars: Path, folder: Path) -> None:
    """Run the server once, until it answers, and have Java archive the classes it has loaded by then."""
    ports = {"PLAINTEXT": free_port(), "CONTROLLER": free_port()}
    command = _write_command(
        jars, {**PROPERTIES, **make_addresses(ports)}, CLUSTER_ID, [f"-XX:ArchiveClassesAtExit={folder}/classes.jsa"]
    )
    with (
        TemporaryDirectory(dir=memory()) as storage,
        subprocess.Popen(command, cwd=storage, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server,
    ):
        try:
            while server.poll() is None:
                with suppress(OSError), create_connection(("127.0.0.1", ports["PLAINTEXT"]), timeout=1):
                    break
                with suppress(subprocess.TimeoutExpired):
                    server.wait(0.02)
            server.terminate()
            server.wait(START_SECONDS)
        finally:
            server.kill()
