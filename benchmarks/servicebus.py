"""Messages of 200 bytes through azure-servicebus and a broker: CPU of this process for sending and receiving one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import process_time
from typing import Any

from benchmarks.client_contest import BODY, CONTEXT, Follow, make_benchmark, make_contestants
from benchmarks.sink import sink

BLOCKS, BATCH = 2, 50


async def _microseconds(count: int, follow: Follow, *, carries: bool, fields: dict[Any, Any]) -> float:
    """CPU time per message: the least of some blocks, after one that warms up."""
    from azure.servicebus import ServiceBusMessage
    from azure.servicebus.aio import ServiceBusClient

    mode: Any = "receiveanddelete"
    figures, last = list[float](), None
    async with (
        follow(ServiceBusClient.from_connection_string(os.environ["BENCHMARK_SERVICEBUS"])) as client,
        client.get_queue_sender("benchmark") as sender,
        client.get_queue_receiver("benchmark", receive_mode=mode) as receiver,
    ):
        for _ in range(BLOCKS + 1):
            start = process_time()
            for _ in range(count // BATCH):
                await sender.send_messages(
                    [ServiceBusMessage(BODY, application_properties=fields or None) for _ in range(BATCH)]
                )
                left = BATCH
                while left:
                    for message in await receiver.receive_messages(left, max_wait_time=5):
                        last = message
                        left -= 1
            figures.append((process_time() - start) / count * 1e6)
    assert last is not None
    carried = last.application_properties or {}
    assert (CONTEXT.encode() in carried) == carries, "followed by the wrong one, or by nobody"
    return min(figures[1:])


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.azure import azure_server

    with azure_server() as server, sink() as environ:
        yield {**environ, "BENCHMARK_SERVICEBUS": server.connection_string}


bare, bare_with_a_field, asyncdsm_wrapped = make_contestants(_microseconds, BLOCKS + 1)
BENCHMARK = make_benchmark("azure-servicebus", "Send and receive a message", 2_000, _surroundings, "a property")
