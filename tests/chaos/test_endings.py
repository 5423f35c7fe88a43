"""A program ends, or its event loop does, in the middle of recording: nothing is missing."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.chaos.processes import ended, run, start
from tests.intake import Intake, running_intake

OURS = "name='asyncdsm'"
"""Our task, in what asyncio complains of."""

UNDER_LOAD = """
async def work():
    while True:
        record(3)
        await asyncio.sleep(0.001)
"""

HANDLERS = {
    "a handler of the event loop": """
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with DataStreams() as streams, asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(work())
        say(ready=True)
try:
    asyncio.run(main())
except asyncio.CancelledError:
    say(made=made)
""",
    "a handler that exits": """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
async def main():
    async with DataStreams() as streams, asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(work())
        say(ready=True)
try:
    asyncio.run(main())
finally:
    say(made=made)
""",
    "threads": """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
stop = threading.Event()
counts = [0] * 4
def work_on(number):
    while not stop.is_set():
        by_hand.produce(EDGES[number])
        counts[number] += 1
        time.sleep(0.001)
threads = [threading.Thread(target=work_on, args=(number,)) for number in range(4)]
try:
    with DataStreams():
        try:
            for thread in threads:
                thread.start()
            say(ready=True)
            while True:
                time.sleep(0.05)  # a signal that comes right before a long one is not looked at until it is over
        finally:
            stop.set()
            for thread in threads:
                thread.join()
finally:
    say(made=sum(counts))
""",
}


@pytest.fixture
def intake() -> Iterator[Intake]:
    """An agent that takes everything."""
    with running_intake() as intake:
        yield intake


@pytest.mark.parametrize("handler", HANDLERS)
def test_handled_sigterm_delivers_everything(intake: Intake, handler: str) -> None:
    process = start(intake, UNDER_LOAD + HANDLERS[handler])
    assert process.stdout is not None
    assert process.stdout.readline() == '{"ready": true}\n'
    process.send_signal(signal.SIGTERM)
    code, (said,), complaints = ended(process)
    assert code == 0
    assert OURS not in complaints  # asyncio may complain of the program's own tasks
    assert intake.counted() == said["made"]


def test_unhandled_sigterm_ends_the_program_at_once(intake: Intake) -> None:
    """We set no handler: what was delivered before is all there is, and nothing of it comes twice."""
    process = start(intake, "with DataStreams() as streams:\n    record(7)\n    say(ready=True)\n    time.sleep(60)\n")
    assert process.stdout is not None
    assert process.stdout.readline() == '{"ready": true}\n'
    process.send_signal(signal.SIGTERM)
    code, said, complaints = ended(process)
    assert (code, said, complaints) == (-signal.SIGTERM, [], "")
    assert intake.counted() in (0, 7)


def test_ctrl_c_under_load_delivers_everything(intake: Intake) -> None:
    program = """
async def main():
    async with DataStreams() as streams, asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(work())
        say(ready=True)
try:
    asyncio.run(main())
except KeyboardInterrupt:
    say(made=made)
"""
    process = start(intake, UNDER_LOAD + program)
    assert process.stdout is not None
    assert process.stdout.readline() == '{"ready": true}\n'
    process.send_signal(signal.SIGINT)
    code, (said,), complaints = ended(process)
    assert (code, complaints) == (0, "")
    assert intake.counted() == said["made"]


ENDINGS = {
    "sys.exit in a task": """
async def leave():
    await asyncio.sleep(0.05)
    sys.exit(0)
async def main():
    async with DataStreams() as streams:
        asyncio.create_task(leave())
        await work()
try:
    asyncio.run(main())
finally:
    say(made=made)
""",
    "an exception in a task group": """
async def fail():
    await asyncio.sleep(0.05)
    raise ValueError("the user's own")
async def main():
    async with DataStreams() as streams:
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(work())
            group.create_task(fail())
try:
    asyncio.run(main())
except* ValueError as errors:
    assert [str(error) for error in errors.exceptions] == ["the user's own"]
    say(made=made)
""",
    "an exception around a task group": """
async def main():
    async with DataStreams() as streams, asyncio.TaskGroup() as group:
        group.create_task(work())
        await asyncio.sleep(0.05)
        raise ValueError("the user's own")
try:
    asyncio.run(main())
except* ValueError as errors:
    assert [str(error) for error in errors.exceptions] == ["the user's own"]
    say(made=made)
""",
    "event loops that are closed while threads record": """
stop = threading.Event()
counts = [0] * 4
def work_on(number):
    while not stop.is_set():
        by_hand.produce(EDGES[number])
        counts[number] += 1
        time.sleep(0.0005)
threads = [threading.Thread(target=work_on, args=(number,)) for number in range(4)]
async def begin(streams):
    await streams.start()
    for thread in threads:
        if thread.ident is None:
            thread.start()
    await asyncio.sleep(0.05)
streams = DataStreams()
asyncio.run(begin(streams))
for _ in range(5):
    async def more():
        await asyncio.sleep(0.02)
        await streams.flush()
    asyncio.run(more())
time.sleep(0.05)
stop.set()
for thread in threads:
    thread.join()
streams.close()
say(made=sum(counts))
""",
    "os._exit after aclose": """
async def main():
    async with DataStreams():
        record(7)
asyncio.run(main())
say(made=made)
os._exit(0)
""",
    "closed in another event loop": """
streams = DataStreams()
async def begin():
    await streams.start()
    record(3)
async def end():
    record(4)
    await streams.aclose()
asyncio.run(begin())
asyncio.run(end())
say(made=made)
""",
    "an exception nobody catches": """
import atexit
from tests import by_hand
sys.excepthook = lambda *_: None
atexit.register(lambda: os._exit(0))
async def main():
    async with DataStreams() as streams:
        record(7)
        say(made=made)
        raise ValueError("the user's own")
asyncio.run(main())
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_program_that_ends_otherwise_delivers_everything(intake: Intake, ending: str) -> None:
    code, (said,), complaints = run(intake, UNDER_LOAD + ENDINGS[ending])
    assert code == 0
    assert OURS not in complaints
    assert intake.counted() == said["made"] > 0
