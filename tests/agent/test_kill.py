"""SIGKILL during the intake, a hundred times: four files, each with twenty-five kills."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
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
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import INTAKE, MSGPACK, NOW, bucket, payload, point
from tests.agent.test_store import kept

FILES, KILLS, SENDERS, COUNTED = 4, 25, 3, 4
ROOT = Path(__file__).parents[2]


@contextmanager
def launcher(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.agent.launcher", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        yield process


def send(url: str, numbers: Iterator[int], acknowledged: set[int], begun: Event) -> None:
    """Send payloads, each with another hash, until the agent does not answer any more."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        while True:
            number = next(numbers)
            connection.request("POST", INTAKE, payload(bucket(point(Hash=number))), MSGPACK)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 202
            acknowledged.add(number)
            begun.set()
    except (OSError, HTTPException):
        pass  # it was killed
    finally:
        begun.set()
        connection.close()


@pytest.mark.parametrize("seed", range(FILES))
def test_kills_lose_no_acknowledged_payload_and_count_none_twice(tmp_path: Path, seed: int) -> None:
    path, chance, numbers, acknowledged = tmp_path / "store.db", random.Random(seed), count(1), set[int]()
    with launcher(path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(KILLS):
            process.stdin.write("start\n")
            process.stdin.flush()
            pid, url = process.stdout.readline().split()
            begun = Event()
            senders = [Thread(target=send, args=(url, numbers, acknowledged, begun)) for _ in range(SENDERS)]
            for sender in senders:
                sender.start()
            assert begun.wait(30)
            sleep(chance.random() * 0.06)
            os.kill(int(pid), signal.SIGKILL)
            assert process.stdout.readline() == "ended\n"
            for sender in senders:
                sender.join()
        process.stdin.close()
    tried = next(numbers)

    store = SQLiteStore(path, decode=read_report, now=lambda: NOW)
    try:
        counted = kept(store)
    finally:
        store.close()
    assert len(acknowledged) >= KILLS
    assert {number: counted.get(number) for number in acknowledged} == dict.fromkeys(acknowledged, COUNTED)
    # What was not acknowledged is there as a whole, or not at all.
    assert set(counted.values()) == {COUNTED}
    assert set(counted) <= set(range(1, tried))
    assert store.payloads == len(counted)
