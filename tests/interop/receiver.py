"""The HTTP receiver of Datadog's Agent, built from the Agent's own module in Go, in front of an intake."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.brokers.process import serving
from tests.interop.golang import build_programs


@contextmanager
def datadog_receiver(intake: str) -> Iterator[str]:
    """Run the receiver for as long as the block lasts, and yield its URL. It forwards to the URL of an `intake`."""
    receiver = str(build_programs() / "receiver")
    with serving(lambda port: [receiver, str(port), intake]) as port:
        yield f"http://127.0.0.1:{port}"
