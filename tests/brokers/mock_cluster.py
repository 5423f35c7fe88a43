"""librdkafka's mock cluster: a Kafka inside this process that fails when a test tells it to.

A topic that was not created appears with 4 partitions. Restarting a group takes 9 s at the default session
timeout, two aiokafka consumers in one group fail on it, a partition holds 5 MB or 100,000 messages, and a
producer is told that its message was stamped 1234 ms.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes import c_int, create_string_buffer
from dataclasses import dataclass, field

from tests.brokers.kafka import Kafka
from tests.brokers.librdkafka import check, library

PRODUCER = 0
PRODUCE, FETCH, LIST_OFFSETS, METADATA, OFFSET_COMMIT, OFFSET_FETCH = 0, 1, 2, 3, 8, 9
FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP, API_VERSIONS = 10, 11, 12, 13, 14, 18


@dataclass(frozen=True)
class MockCluster(Kafka):
    """The mock cluster at `bootstrap`. Brokers are numbered from 1."""

    handle: int = field(kw_only=True)

    def push_errors(self, api: int, *codes: int) -> None:
        """Answer the next requests of this kind with these errors, one each; 0 is none, -1 is UNKNOWN."""
        answers = (c_int * len(codes))(*codes)
        check(library.rd_kafka_mock_push_request_errors_array(self.handle, api, len(codes), answers))

    def clear_errors(self, api: int) -> None:
        """Forget the errors pushed for this kind of request."""
        library.rd_kafka_mock_clear_request_errors(self.handle, api)

    def down(self, broker: int = 1) -> None:
        """Close the broker's connections and refuse new ones."""
        check(library.rd_kafka_mock_broker_set_down(self.handle, broker))

    def up(self, broker: int = 1) -> None:
        """Let the broker be reached again."""
        check(library.rd_kafka_mock_broker_set_up(self.handle, broker))

    def delay(self, milliseconds: int, broker: int = 1) -> None:
        """Let every answer of the broker take that long."""
        check(library.rd_kafka_mock_broker_set_rtt(self.handle, broker, milliseconds))

    def _create(self, name: str, partitions: int, config: Mapping[str, str]) -> None:
        assert not config, "topics of the mock cluster have no configuration"
        check(library.rd_kafka_mock_topic_create(self.handle, name.encode(), partitions, 1))


@contextmanager
def mock_cluster(brokers: int = 1) -> Iterator[MockCluster]:
    """Run a mock cluster for as long as the block lasts."""
    reason = create_string_buffer(512)
    settings = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(settings, b"log_level", b"4", None, 0)  # it would remark that it has no server
    client = library.rd_kafka_new(PRODUCER, settings, reason, len(reason))
    if not client:
        raise RuntimeError(reason.value.decode())
    handle = library.rd_kafka_mock_cluster_new(client, brokers)
    try:
        if hasattr(library, "rd_kafka_mock_group_initial_rebalance_delay_ms"):  # since confluent-kafka 2.5
            library.rd_kafka_mock_group_initial_rebalance_delay_ms(handle, 0)
        yield MockCluster(library.rd_kafka_mock_cluster_bootstraps(handle).decode(), handle=handle)
    finally:
        library.rd_kafka_mock_cluster_destroy(handle)
        library.rd_kafka_destroy(client)
