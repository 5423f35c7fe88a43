"""noida-db: the Kafka of most tests. A young program: what it does wrong stands below.

Two consumers of one group with auto-commit hang when the group rebalances, `cooperative-sticky` does not
work, and a member that died is not replaced: use tansu for these.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.brokers.kafka import Kafka
from tests.brokers.process import bundled, serving


@contextmanager
def noida() -> Iterator[Kafka]:
    """Run noida-db for as long as the block lasts."""
    # The package's console script starts this program and, when ended, leaves it behind.
    program = bundled("noida_db", "noida-db")

    def command(port: int) -> list[str]:
        return [program, "start", "--only", "kafka", "--kafka-port", str(port), "--data-dir", "data"]

    with serving(command) as port:
        yield Kafka(f"127.0.0.1:{port}")
