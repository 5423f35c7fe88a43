"""An app of Celery's, without a word of asyncdsm unless told to, that keeps a ledger of what passes.

Each process adds a line to the file LEDGER for each task that it sends (`out`), receives (`in`) and has run (`ran`).
`python -m tests.end_to_end.apps.ledger NAME COUNT` sends.
"""

from __future__ import annotations

import os
import sys
from time import sleep
from typing import Any

from billiard import pool
from celery import Celery, chain, chord, signals

NAME = "tests.end_to_end.apps.ledger"  # of its tasks too, when this is the program that sends
app: Any = Celery(NAME, broker=os.environ["BROKER"], backend=os.environ.get("BACKEND"))
app.conf.update(broker_connection_retry_on_startup=True, worker_prefetch_multiplier=2)
app.conf.task_routes = {f"{NAME}.{name}": {"queue": name} for name in ("first", "second", "third")}

# Where a worker is told to end while its children are at work, one of them now and then waits, with and without us, for
# the parent to count a result that it does not read any more: thirty seconds, of which one is enough.
pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 10

if "WRAPPED" in os.environ:
    import asyncdsm

    asyncdsm.wrap(app)
    asyncdsm.DataStreams().stand_by()


def enter(line: str) -> None:
    """Add a line, whole, whoever else writes."""
    file = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.close(file)


@signals.after_task_publish.connect
def sent(**_: Any) -> None:
    """A task was sent."""
    enter("out")


@signals.task_received.connect
def received(**_: Any) -> None:
    """A task was received."""
    enter("in")


@signals.task_postrun.connect
def ran(**_: Any) -> None:
    """A task has run."""
    enter("ran")


@app.task
def first(number: int) -> int:
    """The first of a chain."""
    return number + 1


@app.task
def second(number: int) -> int:
    """The second."""
    return number + 1


@app.task
def third(number: int) -> int:
    """The last."""
    return number + 1


@app.task
def add(numbers: list[int]) -> int:
    """Add up, and send what comes of it."""
    last.delay(sum(numbers))
    return sum(numbers)


@app.task
def last(number: int) -> int:
    """Do a little work."""
    sleep(0.02)
    return number


@app.task
def slow(number: int) -> None:
    """Take its time, and send what comes of it."""
    sleep(0.2)
    last.delay(number)


@app.task(bind=True, max_retries=2, default_retry_delay=0.1)
def stubborn(self: Any) -> None:
    """Run three times."""
    if self.request.retries < 2:
        raise self.retry()


SENDING: dict[str, Any] = {
    "chain": lambda n: chain(first.s(n), second.s(), third.s()).delay(),
    "chord": lambda n: chord(last.s(i) for i in range(n + 2))(add.s()),
    "retry": lambda _: stubborn.delay(),
    "eta": lambda n: add.apply_async(([n],), countdown=0.2),
    "add": lambda n: add.delay([n]),
    "slow": slow.delay,
}


def main(*wanted: str) -> None:
    """Send some of each: `chain=1 add=2`."""
    for each in wanted:
        name, _, count = each.partition("=")
        for number in range(int(count)):
            SENDING[name](number)


if __name__ == "__main__":
    main(*sys.argv[1:])
