"""What the services share: how they are told where things are, and when to stop."""

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
    """Return where Kafka is."""
    return os.environ["ASYNCDSM_DEMO_KAFKA"]


def rabbitmq_url() -> str | None:
    """Return where RabbitMQ is, None without one."""
    return os.environ.get("ASYNCDSM_DEMO_RABBITMQ")


def aws_url() -> str | None:
    """Return where AWS, or what stands in for it, is; None without one."""
    return os.environ.get("ASYNCDSM_DEMO_AWS")


def consumer_of(topic: str, group: str) -> AIOKafkaConsumer:
    """Return a consumer that looks for new messages often: the built-in broker does not wake one that waits."""
    return AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers(),
        group_id=group,
        auto_offset_reset="earliest",
        auto_commit_interval_ms=1000,
        fetch_max_wait_ms=10,
    )


def announce(line: str) -> None:
    """Tell the demo that this service is ready, and what it must know to use it."""
    print(line, flush=True)


async def until_parent_leaves() -> None:
    """Wait until standard input ends: the demo closed it, or is gone, killed or not. Nobody writes there."""
    await anyio.wait_readable(sys.stdin)


def run_service(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do the work, measured, until the demo leaves."""

    async def main() -> None:
        async with asyncdsm.DataStreams(), anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            await until_parent_leaves()
            tasks.cancel_scope.cancel()

    run_quietly(main)


def run_quietly(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a service; what fails because the demo, and its broker with it, is gone is nobody's concern."""
    for client in ("aiokafka", "aio_pika", "aiormq"):
        logging.getLogger(client).setLevel(logging.CRITICAL)
    try:
        anyio.run(main)
    except Exception as error:
        if not select([sys.stdin], [], [], 1)[0]:
            sys.exit(f"asyncdsm demo: {Path(sys.argv[0]).stem}: {_innermost(error)!r}")


def _innermost(error: BaseException) -> BaseException:
    return _innermost(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
