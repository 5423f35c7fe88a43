"""A service that reads messages when it is told to: `python -m tests.receivers.service SEED`.

Its settings are those of its environment. Each line of its input is a number of messages, which have waited for random
times, or all for so many seconds if the line has a second number; it delivers what it measured of them, and prints how
long they waited, as JSON. A line `again` stops the measuring, prints its statistics, and starts it again, in the same
process. The end of the input stops it for good.
"""

from __future__ import annotations

import json
import os
import sys
from random import Random

import anyio

import asyncdsm
from tests.otlp.service import draw_waits, read_messages

AGAIN = "again"


async def main() -> None:
    """Read messages until the input ends."""
    settings = asyncdsm.Settings.from_environ(os.environ, shutdown_seconds=60)
    random, told = Random(int(sys.argv[1])), anyio.wrap_file(sys.stdin)
    is_over = False
    while not is_over:
        async with asyncdsm.DataStreams(settings) as streams:
            while (line := (await told.readline()).strip()) and line != AGAIN:
                count, *seconds = line.split()
                waited = [float(seconds[0])] * int(count) if seconds else draw_waits(random, int(count))
                read_messages(waited)
                await streams.flush()
                say(json.dumps(waited))
        say(str(streams.stats.otlp))
        is_over = not line


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    anyio.run(main)
