"""SIGKILL during the intake: four files, each with twenty-five kills, and a ClickHouse with three.

With a file, what got no answer is sent again to the next agent.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from threading import Event, Thread
from time import sleep
from urllib.parse import urlsplit

import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.clickhouse.address import parse_address
from asyncdsm.agent.store.clickhouse.store import ClickHouseStore
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import INTAKE, MSGPACK, NOW, bucket, payload, point
from tests.agent.test_store import kept
from tests.brokers.clickhouse import ClickHouse

FILES, KILLS, SENDERS, COUNTED = 4, 25, 3, 4
ROOT = Path(__file__).parents[2]


@contextmanager
def launcher(store: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.agent.launcher", store]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process


class Numbers:
    """Numbers of payloads from 1 on; those in `lost` come first. Any thread may use it."""

    def __init__(self) -> None:
        self.lost: deque[int] = deque()
        """Payloads that got no answer."""
        self._new = count(1)

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        try:
            return self.lost.popleft()
        except IndexError:
            return next(self._new)


def send(url: str, numbers: Iterator[int], acknowledged: set[int], begun: Event) -> None:
    """Send payloads, each with another hash, until the agent does not answer any more."""
    connection, number = HTTPConnection(urlsplit(url).netloc, timeout=30), 0
    try:
        for number in numbers:
            connection.request("POST", INTAKE, payload(bucket(point(Hash=number))), MSGPACK)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 202
            acknowledged.add(number)
            begun.set()
    except (OSError, HTTPException):
        if isinstance(numbers, Numbers):
            numbers.lost.append(number)  # the agent was killed
    finally:
        begun.set()
        connection.close()


def kill_again_and_again(
    process: subprocess.Popen[str], kills: int, chance: random.Random, numbers: Iterator[int], acknowledged: set[int]
) -> None:
    """Start agents one after the other, and kill each while three senders send."""
    for _ in range(kills):
        pid, url = start(process)
        begun = Event()
        senders = [Thread(target=send, args=(url, numbers, acknowledged, begun)) for _ in range(SENDERS)]
        for sender in senders:
            sender.start()
        assert begun.wait(30)
        sleep(chance.random() * 0.06)
        end(process, pid)
        for sender in senders:
            sender.join()


def start(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Start an agent, and return its process id and its address."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("start\n")
    process.stdin.flush()
    pid, url = process.stdout.readline().split()
    return int(pid), url


def end(process: subprocess.Popen[str], pid: int) -> None:
    """Kill an agent."""
    assert process.stdout is not None
    os.kill(pid, signal.SIGKILL)
    assert process.stdout.readline() == "ended\n"


@pytest.mark.parametrize("seed", range(FILES))
def test_kills_lose_no_acknowledged_payload_and_count_none_twice(tmp_path: Path, seed: int) -> None:
    path, numbers, acknowledged = tmp_path / "store.db", Numbers(), set[int]()
    with launcher(str(path)) as process:
        kill_again_and_again(process, KILLS, random.Random(seed), numbers, acknowledged)
        pid, url = start(process)
        send(url, iter(list(numbers.lost)), acknowledged, Event())
        end(process, pid)
        assert process.stdin is not None
        process.stdin.close()
    store = SQLiteStore(path, decode=read_report, now=lambda: NOW)
    try:
        numbers.lost.clear()
        assert acknowledged == set(range(1, next(numbers)))
        assert kept(store) == dict.fromkeys(acknowledged, COUNTED)
        assert store.payloads == len(acknowledged)
    finally:
        store.close()
    assert len(acknowledged) >= KILLS


def test_killed_agents_with_a_clickhouse_lose_nothing_and_what_is_sent_again_to_another_counts_once(
    clickhouse: ClickHouse,
) -> None:
    address, numbers, acknowledged = clickhouse.address(), count(1), set[int]()
    with launcher(address) as process:
        kill_again_and_again(process, 3, random.Random(0), numbers, acknowledged)
        tried = next(numbers)
        store = ClickHouseStore(parse_address(address, {}), now=lambda: NOW)
        try:
            expect_acknowledged(store, acknowledged, tried)
            pid, url = start(process)
            again, sent = iter(range(1, tried)), set[int]()
            join_all([Thread(target=send, args=(url, again, sent, Event())) for _ in range(SENDERS)])
            assert sent == set(range(1, tried))
            assert kept(store) == dict.fromkeys(sent, COUNTED)
        finally:
            store.close()
        end(process, pid)
        assert process.stdin is not None
        process.stdin.close()
    assert len(acknowledged) >= 3


def join_all(threads: list[Thread]) -> None:
    """Run threads to their end."""
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def expect_acknowledged(store: ClickHouseStore, acknowledged: set[int], tried: int) -> None:
    """Check that a store has what was acknowledged, and of all else the whole or nothing."""
    counted = kept(store)
    assert {number: counted.get(number) for number in acknowledged} == dict.fromkeys(acknowledged, COUNTED)
    assert set(counted.values()) == {COUNTED}
    assert set(counted) <= set(range(1, tried))
    # It is counted last, so that a payload may be there and not be counted, or be sent again.
    assert len(acknowledged) <= store.payloads <= len(counted)
