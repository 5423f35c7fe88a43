"""What the services share: the addresses of the brokers, consumers, and when to stop."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from select import select
from typing import Any

import anyio
from aiokafka import AIOKafkaConsumer

import asyncdsm

ORDERS, INVOICES = "orders", "invoices"


def bootstrap_servers() -> str:
    """Return the address of Kafka."""
    return os.environ["ASYNCDSM_DEMO_KAFKA"]


def rabbitmq_url() -> str | None:
    """Return the URL of RabbitMQ, None if there is none."""
    return os.environ.get("ASYNCDSM_DEMO_RABBITMQ")


def aws_url() -> str | None:
    """Return the endpoint of AWS or an emulator, None if there is none."""
    return os.environ.get("ASYNCDSM_DEMO_AWS")


def make_consumer(topic: str, group: str) -> AIOKafkaConsumer:
    """Return a consumer that polls often, because the built-in broker does not wake consumers that wait."""
    return AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers(),
        group_id=group,
        auto_offset_reset="earliest",
        auto_commit_interval_ms=1000,
        fetch_max_wait_ms=10,
    )


def announce(line: str) -> None:
    """Print a line to tell the demo that this service is ready. The shop prints its URL."""
    print(line, flush=True)


async def wait_for_parent_exit() -> None:
    """Wait until standard input closes: the demo closed it, or has ended. Nothing is ever written to it."""
    await anyio.wait_readable(sys.stdin)


def run_service(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a service under a DataStreams until the demo ends."""

    async def run() -> None:
        async with asyncdsm.DataStreams(), anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await wait_for_parent_exit()
            tasks.cancel_scope.cancel()

    run_main(run)


def run_main(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a service. Errors are ignored if the demo has ended, because its broker has ended too."""
    for client in ("aiokafka", "aio_pika", "aiormq"):
        logging.getLogger(client).setLevel(logging.CRITICAL)
    try:
        anyio.run(main)
    except Exception as error:
        if not select([sys.stdin], [], [], 1)[0]:
            sys.exit(f"asyncdsm demo: {Path(sys.argv[0]).stem}: {_first_error(error)!r}")


def _first_error(error: BaseException) -> BaseException:
    return _first_error(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
