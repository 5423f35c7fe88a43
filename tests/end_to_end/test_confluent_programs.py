"""Programs in the manner of confluent-kafka's documentation: they do what they did, however they are followed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.brokers.kafka import Kafka
from tests.intake import Intake, running_intake

HEAD = """
import contextlib, json, os, sys, time
from confluent_kafka import Consumer, DeserializingConsumer, KafkaError, KafkaException, Producer, SerializingProducer
from confluent_kafka import TopicPartition

brokers, topic, group = os.environ["KAFKA"], os.environ["TOPIC"], os.environ["TOPIC"]
reading = {"bootstrap.servers": brokers, "group.id": group, "auto.offset.reset": "earliest"}
follow, running = lambda client: client, contextlib.nullcontext()
"""
PATIENT = """
import asyncdsm
running = asyncdsm.DataStreams(asyncdsm.Settings.from_environ(os.environ, shutdown_seconds=120.0))
"""
"""A busy machine may take longer than the default to deliver on the way out."""
WAYS = {
    "bare": "",
    "run": """
from asyncdsm.streams import running_streams
running_streams().settings = running_streams().settings._replace(shutdown_seconds=120.0)
""",
    "wrap(object)": PATIENT + "follow = asyncdsm.wrap\n",
    "wrap(class)": PATIENT
    + """
Consumer, Producer = asyncdsm.wrap(Consumer), asyncdsm.wrap(Producer)
DeserializingConsumer, SerializingProducer = map(asyncdsm.wrap, (DeserializingConsumer, SerializingProducer))
""",
    "instrument": PATIENT + "asyncdsm.instrument('confluent_kafka')\n",
}
TAIL = "\nwith running:\n    main()\n"

PRODUCE_AND_POLL = """
def delivery_report(err, msg):
    if err is not None:
        print("delivery failed:", err)
    else:
        print("delivered to partition", msg.partition(), "at offset", msg.offset())

def produce(values):
    p = follow(Producer({"bootstrap.servers": brokers}))
    for data in values:
        p.poll(0)  # serves the delivery callbacks of earlier calls
        p.produce(topic, data.encode("utf-8"), partition=0, callback=delivery_report)
    p.flush()

def main():
    produce(["one", "two", "three"])
    c = follow(Consumer(reading))
    c.subscribe([topic])
    left = 3
    try:
        while left:
            msg = c.poll(1.0)
            if msg is None:
                continue
            if msg.error():
                raise KafkaException(msg.error())
            print("received", msg.value().decode("utf-8"), msg.offset(), isinstance(c, Consumer))
            left -= 1
    finally:
        c.close()
"""
SYNCHRONOUS_COMMITS_OF_BATCHES = """
MIN_COMMIT_COUNT = 4

def main():
    p = follow(Producer({"bootstrap.servers": brokers, "linger.ms": 5}))
    for number in range(10):
        p.produce(topic, key=str(number), value=json.dumps({"n": number}), partition=0, headers={"n": str(number)})
    p.flush()
    consumer = follow(Consumer({**reading, "enable.auto.commit": False}))
    consumer.subscribe([topic], on_assign=lambda c, partitions: print("assigned", len(partitions), c is consumer))
    count = 0
    while count < 10:
        for msg in consumer.consume(num_messages=MIN_COMMIT_COUNT, timeout=1.0):
            print(msg.key(), json.loads(msg.value()), [pair for pair in msg.headers() if pair[0] == "n"])
            count += 1
        if count:
            consumer.commit(asynchronous=False)
    print([(tp.partition, tp.offset) for tp in consumer.committed([TopicPartition(topic, 0)], timeout=30)])
    consumer.close()
"""
SERIALIZERS = """
from confluent_kafka.serialization import IntegerSerializer, IntegerDeserializer, StringSerializer, StringDeserializer

def main():
    producer = follow(SerializingProducer({
        "bootstrap.servers": brokers,
        "key.serializer": StringSerializer("utf_8"),
        "value.serializer": IntegerSerializer(),
    }))
    for number in range(3):
        producer.produce(topic=topic, key=f"user-{number}", value=number, partition=0)
    producer.flush()
    consumer = follow(DeserializingConsumer({
        **reading,
        "key.deserializer": StringDeserializer("utf_8"),
        "value.deserializer": IntegerDeserializer(),
    }))
    consumer.subscribe([topic])
    left = 3
    while left:
        msg = consumer.poll(1.0)
        if msg is None:
            continue
        print("user record", msg.key(), msg.value())
        left -= 1
    consumer.close()
"""
EXACTLY_ONCE = """
def main():
    feed = follow(Producer({"bootstrap.servers": brokers}))
    for word in ("a", "b", "c"):
        feed.produce(topic, word, partition=0)
    feed.flush()
    consumer = follow(Consumer({**reading, "enable.auto.commit": False}))
    consumer.subscribe([topic])
    producer = follow(Producer({"bootstrap.servers": brokers, "transactional.id": topic}))
    producer.init_transactions()
    producer.begin_transaction()
    done = 0
    while done < 3:
        producer.poll(0)
        msg = consumer.poll(1.0)
        if msg is None:
            continue
        producer.produce(os.environ["OUTPUT"], msg.value().upper(), partition=0)
        done += 1
    positions = consumer.position(consumer.assignment())
    producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata())
    producer.commit_transaction()
    print([(tp.partition, tp.offset) for tp in consumer.committed([TopicPartition(topic, 0)], timeout=30)])
    consumer.close()
"""
ASYNCIO = """
import asyncio
from confluent_kafka.aio import AIOConsumer, AIOProducer

async def work():
    producer = follow(AIOProducer({"bootstrap.servers": brokers}, batch_size=2))
    futures = [await producer.produce(topic, value=f"sample {number}", partition=0) for number in range(3)]
    await producer.flush()
    for delivered in await asyncio.gather(*futures):
        print("delivered at offset", delivered.offset())
    await producer.close()
    consumer = follow(AIOConsumer(dict(reading)))
    await consumer.subscribe([topic])
    left = 3
    while left:
        msg = await consumer.poll(1.0)
        if msg is not None:
            print("consumed", msg.value())
            left -= 1
    await consumer.unsubscribe()
    await consumer.close()

def main():
    asyncio.run(work())
"""
PROGRAMS = {
    "produce and poll": (PRODUCE_AND_POLL, 6),
    "synchronous commits of batches": (SYNCHRONOUS_COMMITS_OF_BATCHES, 20),
    "serializers": (SERIALIZERS, 6),
    "exactly once": (EXACTLY_ONCE, 9),
    "asyncio": (ASYNCIO, 6),
}


def run(
    way: str, program: str, kafka: Kafka, folder: Path, intake: Intake, **environ: str
) -> subprocess.CompletedProcess[str]:
    script = folder / f"{way}.py"
    script.write_text(HEAD + WAYS[way] + program + TAIL)
    command = [sys.executable, "-m", "asyncdsm", "run"] if way == "run" else []
    return subprocess.run(
        [*command, sys.executable, str(script)],
        env={
            **os.environ,
            "KAFKA": kafka.bootstrap,
            "TOPIC": kafka.topic(),
            "OUTPUT": kafka.topic(),
            "DD_SERVICE": "s",
            "DD_TRACE_AGENT_URL": intake.url,
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def begin_transactions(kafka: Kafka) -> None:
    """Begin with transactions: librdkafka says on stderr that Kafka's first one has to wait for their coordinator."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": "first", "log_level": 0})
    producer.init_transactions(60)


@pytest.fixture
def intakes() -> Iterator[dict[str, Intake]]:
    with ExitStack() as stack:
        yield {way: stack.enter_context(running_intake()) for way in WAYS}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_behaves_as_without_asyncdsm(
    kafka: Kafka, tmp_path: Path, intakes: dict[str, Intake], name: str
) -> None:
    program, counted = PROGRAMS[name]
    if name == "exactly once":
        begin_transactions(kafka)
    ways = [way for way in WAYS if (name, way) != ("asyncio", "wrap(class)")]  # a program wraps its AIO classes alike
    with ThreadPoolExecutor(2) as threads:
        ran = list(threads.map(lambda way: run(way, program, kafka, tmp_path, intakes[way]), ways))
    bare, *followed = ran
    assert (bare.returncode, bare.stderr) == (0, "")
    assert bare.stdout
    assert intakes["bare"].requests == []
    for way, done in zip(ways[1:], followed, strict=True):
        assert (done.returncode, done.stdout) == (0, bare.stdout), (way, done.stderr)
        assert done.stderr.count("\n") == (name == "asyncio"), done.stderr  # AIOProducer takes no headers, said once
        assert intakes[way].counted() == counted, way


FORK = """
import multiprocessing

def send(value):
    p = Producer({"bootstrap.servers": brokers})
    p.produce(topic, value, partition=0)
    p.flush()

def child():
    from asyncdsm.core.lag import current_lags
    assert not list(current_lags()), "the parent's consumer is the parent's"
    send("from the child")

def read(c):
    msg = None
    while msg is None:
        msg = c.poll(1.0)
    print("received", msg.value())

def main():
    send("from the parent")
    c = Consumer(reading)
    c.subscribe([topic])
    read(c)
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0
    read(c)
    sys.stdout.flush()
    if (pid := os.fork()) == 0:
        child()
        from asyncdsm.streams import running_streams
        running_streams().close()
        os._exit(0)  # as librdkafka wants it: its threads are not here to be ended
    assert os.waitpid(pid, 0)[1] == 0
    read(c)
    c.close()
"""


@pytest.mark.parametrize("way", ["run", "instrument"])
def test_fork_with_a_consumer_in_the_parent_counts_in_the_child(
    kafka: Kafka, tmp_path: Path, intakes: dict[str, Intake], way: str
) -> None:
    # From 3.12 on Python warns of a fork beside other threads, of which librdkafka's and the flush are some.
    ignore = "ignore:This process:DeprecationWarning"
    done = run(way, FORK, kafka, tmp_path, intakes[way], PYTHONWARNINGS=ignore)
    assert (done.returncode, done.stderr) == (0, "")
    values = ["from the parent", "from the child", "from the child"]
    assert done.stdout == "".join(f"received {value.encode()!r}\n" for value in values)
    assert intakes[way].counted() == 6
