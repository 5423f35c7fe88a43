"""Apache Kafka, one node with KRaft. Java runs it, Maven brings it: `apt-get install default-jre-headless maven`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import which

from tests.brokers.cache import cached
from tests.brokers.kafka import Kafka
from tests.brokers.process import BrokerError, free_port, serving

VERSION = "4.4.0"
HERE = Path(__file__).parent / "kafka_server"
CLUSTER_ID = "asyncdsm-tests-kafka-A"
START_SECONDS = 90.0
JAVA_OPTIONS = ["-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
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


@contextmanager
def apache_kafka(properties: Mapping[str, str] | None = None, version: str = VERSION) -> Iterator[Kafka]:
    """Run Apache Kafka for as long as the block lasts. `properties` are added to those of its configuration."""
    command = partial(_command, find_jars(version), {**PROPERTIES, **(properties or {})})
    with serving(command, patience=START_SECONDS) as port:
        yield Kafka(f"127.0.0.1:{port}")


def find_jars(version: str) -> Path:
    """Return the folder with the server's jars; Maven copies them into the user's cache the first time."""
    return cached(f"kafka-{version}", partial(_copy_jars, version))


def _copy_jars(version: str, jars: Path) -> None:
    for program in ("java", "mvn"):
        if which(program) is None:
            raise BrokerError(f"{program} is missing: apt-get install -y default-jre-headless maven")
    goal = "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies"
    properties = [f"-Dkafka={version}", f"-DoutputDirectory={jars}"]
    maven = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), *properties, goal]
    done = subprocess.run(maven, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise BrokerError(f"Maven cannot copy Apache Kafka {version}:\n{done.stdout[-2000:]}")


def _command(jars: Path, properties: Mapping[str, str], port: int) -> list[str]:
    """Return what writes the configuration for a port, formats the storage and starts the server, in a fresh folder."""
    controller = free_port()
    addresses = {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
    }
    java = " ".join(["java", *JAVA_OPTIONS, f"-Dlog4j2.configurationFile='{HERE / 'log4j2.yaml'}'", f"-cp '{jars}/*'"])
    script = f"""
        printf '%s\\n' "$@" > server.properties
        {java} kafka.tools.StorageTool format -t {CLUSTER_ID} -c server.properties > format.log 2>&1 || cat format.log
        exec {java} kafka.Kafka server.properties
    """
    return ["sh", "-c", script, "sh", *(f"{name}={value}" for name, value in {**properties, **addresses}.items())]
