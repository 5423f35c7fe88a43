"""Apache Kafka with several nodes, each a broker and a controller, which are killed and come back one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from confluent_kafka.admin import AdminClient

from tests.brokers.kafka import Kafka, make_coordinator
from tests.brokers.kafka_program import PROPERTIES, START_SECONDS, make_addresses, make_command
from tests.brokers.process import BrokerError, free_port, memory, serving

HEAP_MB = 256
REPLICATED = {
    "min.insync.replicas": "2",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.min.isr": "2",
    # A node that dies is missed after three seconds, and its partitions get other leaders.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
}


@dataclass
class Node:
    """One server: a process of its own, with a folder and a port that it keeps."""

    number: int
    port: int
    folder: str
    properties: Mapping[str, str]
    _process: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        Path(self.folder).mkdir(exist_ok=True)
        command = make_command(self.properties, heap_mb=HEAP_MB)
        self._process.enter_context(
            serving(lambda _: command, patience=START_SECONDS, folder=self.folder, port=self.port)
        )

    def kill(self) -> None:
        """Kill the server with SIGKILL. Its storage stays for the next start."""
        self._process.close()


@dataclass(frozen=True)
class KafkaCluster(Kafka):
    """Several nodes, numbered from 1. Topics have a replica on each, and two must have a message to accept it."""

    nodes: dict[int, Node] = field(kw_only=True)


@contextmanager
def kafka_cluster(nodes: int = 3) -> Iterator[KafkaCluster]:
    """Run a cluster for as long as the block lasts."""
    with TemporaryDirectory(prefix="asyncdsm-", dir=memory()) as folder, ExitStack() as ending:
        made = {node.number: node for node in _make_nodes(nodes, folder)}
        with ThreadPoolExecutor(nodes) as threads:  # none of them answers before most of them are there
            for node in made.values():
                ending.callback(node.kill)
            list(threads.map(Node.start, made.values()))
        _wait_for_nodes(made)
        bootstrap = ",".join(f"127.0.0.1:{node.port}" for node in made.values())
        make_coordinator(bootstrap)
        yield KafkaCluster(bootstrap, replicas=nodes, nodes=made)


def _wait_for_nodes(nodes: Mapping[int, Node]) -> None:
    """Wait until each node knows all of them: a topic that is made before that has its leaders on fewer."""
    deadline = monotonic() + START_SECONDS
    for node in nodes.values():
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{node.port}", "log_level": 0})
        while set(admin.list_topics(timeout=START_SECONDS).brokers) != set(nodes):
            if monotonic() > deadline:
                raise BrokerError(f"node {node.number} does not find the other ones")
            sleep(0.05)


def _make_nodes(count: int, folder: str) -> Iterator[Node]:
    replicas = {name: str(count) for name in PROPERTIES if name.endswith("replication.factor")}
    shared = {**PROPERTIES, **replicas, **REPLICATED}
    ports = {number: {"PLAINTEXT": free_port(), "CONTROLLER": free_port()} for number in range(1, count + 1)}
    voters = ",".join(f"{number}@127.0.0.1:{own['CONTROLLER']}" for number, own in ports.items())
    for number, own in ports.items():
        addresses = {**make_addresses(own, number), "node.id": str(number), "controller.quorum.voters": voters}
        yield Node(number, own["PLAINTEXT"], f"{folder}/{number}", {**shared, **addresses})
