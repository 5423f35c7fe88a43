"""`python -m tests.interop.record` writes the corpus `tests/agent/corpus`: what each tracer sends of one pipeline."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
from aiokafka import AIOKafkaProducer
from msgspec.msgpack import decode

from asyncdsm import Pathway
from asyncdsm.core.context import HEADER
from tests.agent.recordings import Recording, SentPayload, write_recording
from tests.brokers.apache_kafka import apache_kafka
from tests.brokers.ministack import ministack
from tests.brokers.rabbitmq import rabbitmq
from tests.interop import javascript
from tests.interop.brokers import Brokers
from tests.interop.plain_decoder import highest_backlogs, summarize_points
from tests.interop.relays import RELAYS
from tests.interop.running import Outcome, Sent, Step, create_steps, run_pipeline

COUNT = 5
SERVICES = ["shop", "billing", "mailing", "archive"]
QUEUES = [("kafka", "orders"), ("rabbitmq", "invoices"), ("sqs", "mails")]
AHEAD_NS = 3_600 * 10**9
SETTINGS = {"DD_HOSTNAME": "host", "DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED": "false"}
"""So that payloads have nothing of this machine in them."""


async def record_all(brokers: Brokers) -> None:
    """Record a pipeline of each tracer, and one of messages from the future."""
    for relay in RELAYS:
        relays = [(relay, f"{service}-{relay.language}") for service in SERVICES]
        queues = [(broker, f"{name}-{relay.language}") for broker, name in QUEUES]
        steps = await create_steps(brokers, relays, queues)
        keep_recording(relay.language, await run_pipeline(brokers, steps, COUNT, **SETTINGS))
    place = await brokers.create_place("kafka", "future")
    await send_from_future(brokers, place.partition(":")[2])
    steps = [Step(javascript.RELAY, "archive-javascript", place, "-")]
    keep_recording("javascript-behind", await run_pipeline(brokers, steps, COUNT, **SETTINGS))


async def send_from_future(brokers: Brokers, topic: str) -> None:
    """Send messages whose producer's clock is an hour ahead."""
    then = time.time_ns() + AHEAD_NS
    header = HEADER, Pathway(7, then, then).encode_base64().encode()
    async with AIOKafkaProducer(bootstrap_servers=brokers.kafka.bootstrap) as producer:
        for number in range(COUNT):
            await producer.send_and_wait(topic, b"%d" % number, headers=[header])


def keep_recording(name: str, outcome: Outcome) -> None:
    """Write what a pipeline's tracers sent into the corpus, if nothing of this machine is in it."""
    payloads = [_shown_payload(sent) for sent in outcome.sent]
    bodies = [payload.unpacked for payload in payloads]
    for text in (text for body in bodies for text in strings_of(decode(body))):
        assert text != socket.gethostname(), f"{name}: a payload has the name of this machine"
        assert not any(str(path) in text for path in (Path.home(), Path.cwd())), f"{name}: a payload has a path: {text}"
    first = decode(bodies[0])
    recorded_at = max(bucket["Start"] for body in bodies for bucket in decode(body)["Stats"]) // 10**9 + 10
    points, backlogs = summarize_points(bodies), highest_backlogs(bodies)
    write_recording(name, Recording(first["Lang"], first["TracerVersion"], recorded_at, backlogs, points, payloads))


def strings_of(value: Any) -> Iterator[str]:
    """Yield every string in a decoded payload."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.items():
            yield from strings_of(item)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from strings_of(each)


def _shown_payload(sent: Sent) -> SentPayload:
    headers = {name: value for name, value in sent.headers.items() if name.startswith(("content-", "datadog-meta-"))}
    headers.pop("content-length", None)
    return SentPayload(headers, sent.body)


if __name__ == "__main__":
    with apache_kafka() as kafka, rabbitmq() as rabbit, ministack() as aws:
        anyio.run(record_all, Brokers(kafka, rabbit, aws))
