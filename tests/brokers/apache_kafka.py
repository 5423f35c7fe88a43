"""Apache Kafka with one node, which is its own controller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.brokers.kafka import Kafka, make_coordinator
from tests.brokers.kafka_program import CLUSTER_ID, PROPERTIES, START_SECONDS, VERSION, make_addresses, make_command
from tests.brokers.process import free_port, serving


@contextmanager
def apache_kafka(
    properties: Mapping[str, str] | None = None,
    version: str = VERSION,
    *,
    cluster_id: str = CLUSTER_ID,
    port: int | None = None,
) -> Iterator[Kafka]:
    """Run Apache Kafka for as long as the block lasts. `properties` are added to those of its configuration.

    The port is a free one unless it is given; the storage is always a fresh one.
    """

    def command(port: int) -> list[str]:
        addresses = make_addresses({"PLAINTEXT": port, "CONTROLLER": free_port()})
        return make_command({**PROPERTIES, **addresses, **(properties or {})}, version, cluster_id)

    with serving(command, patience=START_SECONDS, port=port) as own_port:
        bootstrap = f"127.0.0.1:{own_port}"
        make_coordinator(bootstrap)
        yield Kafka(bootstrap)
