"""Forks at random moments under load, and all that multiprocessing can do: each process counts its own, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.processes import PREAMBLE, run
from tests.intake import Intake, running_intake

FORKS = """
randomly = random.Random(SEED)
stop = threading.Event()
counts = [0] * 4
def work_on(number):
    while not stop.is_set():
        by_hand.produce(EDGES[number])
        counts[number] += 1
        if counts[number] % 20 == 0:
            time.sleep(0.002)
threads = [threading.Thread(target=work_on, args=(number,)) for number in range(4)]
children = []
with DataStreams(flush_seconds=0.05, bucket_seconds=0.05) as streams:
    for thread in threads:
        thread.start()
    for _ in range(FORKS):
        time.sleep(randomly.random() * 0.03)
        mine = randomly.randrange(50)
        child = os.fork()
        if child == 0:
            assert streams.stats.recorded == 0
            record(mine)
            assert streams.stats.recorded == mine
            streams.close()
            stats = streams.stats
            os._exit(0 if (stats.delivered, stats.pending, stats.dropped) == (mine, 0, 0) else 1)
        made += mine
        children.append(child)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    stop.set()
    for thread in threads:
        thread.join()
stats = streams.stats
assert (stats.recorded, stats.delivered, stats.pending) == (sum(counts), sum(counts), 0), stats
say(made=made + sum(counts), statuses=statuses)
"""


@pytest.fixture
def intake() -> Iterator[Intake]:
    """An agent that takes everything."""
    with running_intake() as intake:
        yield intake


def forks(intake: Intake, count: int, seed: int) -> None:
    code, said, complaints = run(intake, f"FORKS, SEED = {count}, {seed}\n{FORKS}")
    assert (code, complaints) == (0, "")
    assert said[0]["statuses"] == [0] * count
    assert intake.counted() == said[0]["made"]


def test_fork_at_a_random_moment_loses_nothing(intake: Intake) -> None:
    forks(intake, 25, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_forks_at_random_moments_lose_nothing(intake: Intake, seed: int) -> None:
    forks(intake, 150, seed)


POOL = """
def work(number):
    own = record_in_child(number)
    return own
def record_in_child(number):
    if METHOD != "fork" and asyncdsm.streams.running_streams() is None:
        DataStreams().__enter__()
    record(number)
    return number
if __name__ == "__main__":
    context = multiprocessing.get_context(METHOD)
    with DataStreams() as streams:
        record(3)
        with context.Pool(2) as pool:
            results = pool.map(work, range(40))
            record(4)
            pool.close()
            pool.join()
        children = [context.Process(target=work, args=(5,)) for _ in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
    say(made=made + sum(results) + 15, statuses=[child.exitcode for child in children])
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_children_lose_nothing(intake: Intake, method: str, tmp_path: Path) -> None:
    module = tmp_path / "program.py"
    module.write_text(f"{PREAMBLE}\nimport asyncdsm.streams\nMETHOD = {method!r}\n{POOL}")
    # The children import the program by its file: it needs one.
    code, said, complaints = run(intake, f"os.execv(sys.executable, [sys.executable, {str(module)!r}])\n")
    assert (code, complaints) == (0, "")
    assert said[0]["statuses"] == [0, 0, 0]
    assert intake.counted() == said[0]["made"]
