"""moto's server: an AWS whose SNS delivers Binary attributes inside of notifications.

Wrong: with raw delivery, a message with a Binary attribute is lost; more than ten attributes are taken; a batch of a
FIFO queue with one bad entry fails as a whole. For raw delivery and failed entries there is ministack.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.brokers.aws import Aws
from tests.brokers.process import serving


@contextmanager
def moto() -> Iterator[Aws]:
    """Run moto's server for as long as the block lasts."""

    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]

    with serving(command) as port:
        yield Aws(f"http://127.0.0.1:{port}")
