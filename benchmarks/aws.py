"""A message of 200 bytes sent to SQS and received again, by a client and over real sockets: CPU of this process."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from time import process_time
from typing import Any

from benchmarks.contest import Benchmark, Claim, Contestant, Figures
from benchmarks.sink import sink

BODY = "x" * 200
BLOCKS = 10
KEY = "_datadog"
ATTRIBUTES = {KEY: {"DataType": "String", "StringValue": '{"dd-pathway-ctx-base64":"%s"}' % ("A" * 28)}}
DDTRACE = {"DD_DATA_STREAMS_ENABLED": "true"}

Follow = Callable[[Any], Any]


def bare(count: int) -> float:
    """botocore, followed by nobody."""
    return _microseconds(count, lambda client: client, followed=False)


def bare_with_attribute(count: int) -> float:
    """botocore, given an attribute of a context's size by the program itself: what carrying one costs, whoever does."""
    return _microseconds(count, lambda client: client, followed=True, attribute=True)


def asyncdsm_wrapped(count: int) -> float:
    """botocore, its client wrapped."""
    import asyncdsm

    with asyncdsm.DataStreams() as streams:
        asyncio.run(streams.flush())  # imports what encodes, which is no part of a message
        figure = _microseconds(count, asyncdsm.wrap, followed=True)
        _check(streams, count)
    return figure


def ddtrace_patched(count: int) -> float:
    """What `ddtrace.patch` does to botocore."""
    ddtrace: Any = import_module("ddtrace")
    ddtrace.patch(botocore=True)
    return _microseconds(count, lambda client: client, followed=True)


def opentelemetry_instrumented(count: int) -> float:
    """What its instrumentor does to botocore, every span recorded and none exported."""
    sdk: Any = import_module("opentelemetry.sdk.trace")
    package: Any = import_module("opentelemetry.instrumentation.botocore")
    package.BotocoreInstrumentor().instrument(skip_dep_check=True, tracer_provider=sdk.TracerProvider())
    return _microseconds(count, lambda client: client, followed=False)


def aio_bare(count: int) -> float:
    """aiobotocore, followed by nobody."""
    return asyncio.run(_aio_microseconds(count, lambda client: client, followed=False))


def aio_wrapped(count: int) -> float:
    """aiobotocore, its client wrapped."""

    async def main() -> float:
        import asyncdsm

        async with asyncdsm.DataStreams() as streams:
            await streams.flush()
            figure = await _aio_microseconds(count, asyncdsm.wrap, followed=True)
            _check(streams, count)
        return figure

    return asyncio.run(main())


def aio_ddtrace(count: int) -> float:
    """What `ddtrace.patch` does to aiobotocore: spans, no Data Streams."""
    ddtrace: Any = import_module("ddtrace")
    ddtrace.patch(aiobotocore=True)
    return asyncio.run(_aio_microseconds(count, lambda client: client, followed=False))


def _check(streams: Any, count: int) -> None:
    assert streams.stats.recorded == 2 * (BLOCKS + 1) * count
    assert not streams.stats.errors


def _microseconds(count: int, follow: Follow, *, followed: bool, attribute: bool = False) -> float:
    """CPU time per message: the least of some blocks, behind one that warms up."""
    from botocore.session import get_session

    session: Any = get_session()
    sqs = follow(session.create_client("sqs", **_options()))
    sending: dict[str, Any] = {"MessageAttributes": ATTRIBUTES} if attribute else {}
    receiving: dict[str, Any] = {"MessageAttributeNames": [KEY]} if attribute else {}
    figures = [_block(sqs, count, followed, sending, receiving) for _ in range(BLOCKS + 1)]
    return min(figures[1:])


def _block(sqs: Any, count: int, followed: bool, sending: dict[str, Any], receiving: dict[str, Any]) -> float:
    queue, answer = _queue(), dict[str, Any]()
    start = process_time()
    for _ in range(count):
        sqs.send_message(QueueUrl=queue, MessageBody=BODY, **sending)
        answer = sqs.receive_message(QueueUrl=queue, **receiving)
    return _per_message(process_time() - start, count, answer, followed)


async def _aio_microseconds(count: int, follow: Follow, *, followed: bool) -> float:
    from aiobotocore.session import get_session

    session: Any = get_session()
    async with session.create_client("sqs", **_options()) as client:
        sqs = follow(client)
        figures = [await _aio_block(sqs, count, followed) for _ in range(BLOCKS + 1)]
    return min(figures[1:])


async def _aio_block(sqs: Any, count: int, followed: bool) -> float:
    queue, answer = _queue(), dict[str, Any]()
    start = process_time()
    for _ in range(count):
        await sqs.send_message(QueueUrl=queue, MessageBody=BODY)
        answer = await sqs.receive_message(QueueUrl=queue)
    return _per_message(process_time() - start, count, answer, followed)


def _per_message(spent: float, count: int, answer: Any, followed: bool) -> float:
    (message,) = answer["Messages"]
    assert (KEY in message.get("MessageAttributes", {})) is followed, "followed by the wrong one, or by nobody"
    return spent / count * 1e6


def _options() -> dict[str, Any]:
    options: dict[str, Any] = json.loads(os.environ["BENCHMARK_AWS"])
    return options


def _queue() -> str:
    from tests.brokers.aws import Aws

    return Aws(_options()["endpoint_url"]).queue()


@contextmanager
def _surroundings() -> Iterator[Mapping[str, str]]:
    from tests.brokers.ministack import ministack

    with ministack() as aws, sink() as environ:
        yield {**environ, "BENCHMARK_AWS": json.dumps(aws.options)}


def _added(name: str, bare: str = "botocore, bare") -> Callable[[Figures], float]:
    return lambda figures: figures[name] - figures[bare]


def _share(name: str) -> Callable[[Figures], float]:
    return lambda figures: _added("botocore, asyncdsm.wrap")(figures) / _added(name)(figures)


BENCHMARK = Benchmark(
    title="Send a message to SQS and receive it, CPU",
    unit="µs",
    count=60,
    contestants=(
        Contestant("botocore, bare", "bare"),
        Contestant("botocore, bare, with an attribute of its own", "bare_with_attribute"),
        Contestant("botocore, asyncdsm.wrap", "asyncdsm_wrapped"),
        Contestant("botocore, ddtrace, as it comes", "ddtrace_patched", DDTRACE),
        Contestant("botocore, OpenTelemetry", "opentelemetry_instrumented"),
        Contestant("aiobotocore, bare", "aio_bare"),
        Contestant("aiobotocore, asyncdsm.wrap", "aio_wrapped"),
        Contestant("aiobotocore, ddtrace", "aio_ddtrace", DDTRACE),
    ),
    claims=(
        Claim("what asyncdsm adds to botocore", _added("botocore, asyncdsm.wrap"), unit="µs"),
        Claim(
            "of that, botocore's own work on one more attribute",
            _added("botocore, bare, with an attribute of its own"),
            unit="µs",
        ),
        Claim("what ddtrace adds to botocore", _added("botocore, ddtrace, as it comes"), unit="µs"),
        Claim("what OpenTelemetry adds to botocore", _added("botocore, OpenTelemetry"), unit="µs"),
        Claim("what asyncdsm adds, of what ddtrace adds", _share("botocore, ddtrace, as it comes")),
        Claim(
            "what asyncdsm adds to aiobotocore",
            _added("aiobotocore, asyncdsm.wrap", "aiobotocore, bare"),
            unit="µs",
        ),
    ),
    surroundings=_surroundings,
)
