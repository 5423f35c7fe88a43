"""Fixtures of all tests: the brokers, and the watch over what a test blocks or leaves behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

from asyncdsm.core import current
from tests.brokers.apache_kafka import apache_kafka
from tests.brokers.aws import Aws
from tests.brokers.aws import users_own as users_own_aws
from tests.brokers.azure import AzureServer, azure_server
from tests.brokers.clickhouse import ClickHouse
from tests.brokers.clickhouse import clickhouse as run_clickhouse
from tests.brokers.kafka import Kafka, users_own
from tests.brokers.ministack import ministack as run_ministack
from tests.brokers.mock_cluster import MockCluster, mock_cluster
from tests.brokers.mosquitto import Mosquitto, run_mosquitto
from tests.brokers.moto import moto as run_moto
from tests.brokers.nats import NatsServer, nats_server
from tests.brokers.process import memory, running
from tests.brokers.pubsub import PubSubServer, pubsub_server
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.rabbitmq import rabbitmq as run_rabbitmq
from tests.brokers.redis import redis as run_redis
from tests.cancellable import pytest_fixture_setup, pytest_pyfunc_call  # noqa: F401 - hooks
from tests.crashes import pytest_testnodedown  # noqa: F401 - a hook
from tests.hangs import (
    LONGEST,
    child_processes,
    pytest_enter_pdb,  # noqa: F401 - this hook and the next ones
    pytest_exception_interact,  # noqa: F401
    pytest_runtest_call,  # noqa: F401
    pytest_runtest_setup,  # noqa: F401
    pytest_runtest_teardown,  # noqa: F401
    pytest_unconfigure,  # noqa: F401
)
from tests.loops import LOOPS, use

# Brokers that a test starts take as long as they take; in CI, every run tries the same examples.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

PATIENCE_SECONDS = 30.0
"""A thread that ends may have to wait for its turn, on a busy machine."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run be on another event loop."""
    parser.addoption("--loop", choices=LOOPS, help="run asyncio on another event loop")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the files that take longest begin first, where several processes run the tests.

    Raises UsageError for a test whose name has an address: these processes must find the same tests.
    """
    if named := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"a test is named by an address, which differs by process: {named[0]}")
    items.sort(
        key=lambda item: next((at for at, path in enumerate(LONGEST) if item.nodeid.startswith(path)), len(LONGEST))
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take the event loop that was asked for."""
    if loop := config.getoption("--loop"):
        use(loop)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """The Kafka of the tests: the one at KAFKA_BOOTSTRAP_SERVERS where that is set, else Apache Kafka."""
    bootstrap = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    with users_own(bootstrap) if bootstrap else apache_kafka() as kafka:
        yield kafka


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """The RabbitMQ of the tests."""
    with run_rabbitmq() as broker:
        yield broker


@pytest.fixture(scope="session")
def redis() -> Iterator[str]:
    """The address of the tests' Redis."""
    with run_redis() as url:
        yield url


@pytest.fixture(scope="session")
def mosquitto() -> Iterator[Mosquitto]:
    """The MQTT broker of the tests."""
    with run_mosquitto() as broker:
        yield broker


@pytest.fixture(scope="session")
def nats() -> Iterator[NatsServer]:
    """The NATS server of the tests."""
    with nats_server() as server:
        yield server


@pytest.fixture(scope="session")
def servicebus() -> Iterator[AzureServer]:
    """The Service Bus of the tests."""
    with azure_server() as server:
        yield server


@pytest.fixture(scope="session")
def pubsub() -> Iterator[PubSubServer]:
    """The fake of Google Pub/Sub."""
    with pubsub_server() as server:
        yield server


@pytest.fixture(scope="session")
def eventhubs() -> Iterator[AzureServer]:
    """The Event Hubs of the tests."""
    with azure_server("eventhubs") as server:
        yield server


@pytest.fixture(scope="session")
def clickhouse() -> Iterator[ClickHouse]:
    """The tests' ClickHouse."""
    with run_clickhouse() as server:
        yield server


@pytest.fixture
def mock_kafka() -> Iterator[MockCluster]:
    """A Kafka of the test's own that fails when told to."""
    with mock_cluster() as kafka:
        yield kafka


@pytest.fixture(scope="session")
def moto() -> Iterator[Aws]:
    """The AWS for SNS that is not delivered raw: the one at AWS_ENDPOINT_URL where that is set, else moto."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    with users_own_aws(endpoint) if endpoint else run_moto() as aws:
        yield aws


@pytest.fixture(scope="session")
def ministack() -> Iterator[Aws]:
    """The AWS for all else: the one at AWS_ENDPOINT_URL where that is set, else ministack."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    with users_own_aws(endpoint) if endpoint else run_ministack() as aws:
        yield aws


@pytest.fixture
def topic(kafka: Kafka) -> Callable[..., str]:
    """Create a fresh topic on `kafka` at each call: `topic(partitions=3)` returns its name."""
    return kafka.topic


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """Give the path of a Unix socket. It may have 107 bytes, and `tmp_path` has more where a checkout lies deep."""
    with TemporaryDirectory(prefix="asyncdsm-", dir=memory()) as folder:
        yield Path(folder, "apm.socket")


@pytest.fixture(autouse=True)
def no_pathway_of_another_test() -> None:
    """Begin without a pathway: a test that is no coroutine leaves its last one current in this thread."""
    current.set_current(None)


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """Raise BlockingError from whatever would block a running asyncio loop."""
    with blockbuster_ctx() as blockbuster:
        for function in blockbuster.functions.values():
            # What a module reads while it is imported, it reads once.
            function.can_block_in("<frozen importlib._bootstrap>", "_find_and_load")
            # The tests' own HTTP clients look for certificates; the exporter does that in a worker thread.
            function.can_block_in("httpx2/_config.py", "create_ssl_context")
            function.can_block_in("httpx/_config.py", {"create_ssl_context", "load_ssl_context_verify"})
            # Integrations are looked up once, as a module is imported once.
            function.can_block_in("asyncdsm/integration/registry.py", "_entry_points")
            # aiobotocore reads its description of a service when a client is made.
            function.can_block_in("aiobotocore/session.py", "_create_client")
            # Google's clients look for certificates when they are made.
            function.can_block_in(
                "tests/integrations/pubsub/clients.py", {"make_async_publisher", "make_async_subscriber"}
            )
            # FastStream's test broker reads the source of who calls it, taskiq's waits for its threads at the end.
            function.can_block_in("faststream/_internal/testing/ast.py", "_read_source_ast")
            function.can_block_in("taskiq/brokers/inmemory_broker.py", "shutdown")
            # redis-py reads its own version when it makes a connection.
            function.can_block_in("redis/utils.py", "get_lib_version")
            # A test that hangs is interrupted wherever it is.
            function.can_block_in("tests/hangs.py", "interrupt")
            # The tests' own intake lives in a thread.
            function.can_block_in("tests/intake.py", "running_intake")
            # A test that runs a process waits for it.
            function.can_block_in(
                "tests/integrations/taskiq/test_attribution.py", "test_worker_on_rabbitmq_delivers_one_pathway"
            )
            # What tests create on their AWS, they create by a client that blocks.
            function.can_block_in("tests/brokers/aws.py", {"queue", "topic", "stream", "rule", "on_queue"})
            # What tests put on a map, they put there without a thread.
            function.can_block_in("tests/agent/maps.py", "passed")
            # In a thread of its own, the flush blocks nobody.
            function.can_block_in("asyncdsm/delivery/flusher.py", "_apart")
            # What stands in the environment is read once, and the Agent's socket looked for.
            function.can_block_in("asyncdsm/settings.py", "from_environ")
        blockbuster.functions["threading.Lock.acquire"].can_block_in("tests/brokers/kafka.py", "_apart")
        yield blockbuster


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fail a test that leaves a thread, a child process or an open layer behind.

    A layer that stays open slows down every later checkpoint of the process.
    """
    threads, children, layers = set(threading.enumerate()), child_processes(), set(current.consume_layers)
    yield
    deadline = monotonic() + PATIENCE_SECONDS
    for thread in set(threading.enumerate()) - threads:
        # trio keeps idle workers for ten seconds, gRPC one thread for all event loops.
        # A thread that has ended, or that another thread has just made, cannot be joined on Python 3.13.
        if not thread.name.startswith("Trio thread") and "(_poll_wrapper)" not in thread.name and thread.is_alive():
            thread.join(max(0.0, deadline - monotonic()))
            assert not thread.is_alive(), f"left a thread behind: {thread}"
    assert child_processes() - running <= children, "left a child process behind"
    left = current.consume_layers - layers
    current.consume_layers -= left  # no other test fails because of them
    assert not left, "left a layer open"
