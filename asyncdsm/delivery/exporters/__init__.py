"""Where payloads go. An exporter delivers one payload or says why not:

DeliveryError
├── TryAgain      not delivered, worth another try: connection errors, timeouts, 408, 429, 5xx
├── NoEndpoint    404: an Agent without Data Streams
└── Refused       any other refusal: another try would end the same way
"""

from __future__ import annotations

from typing import Protocol


class DeliveryError(Exception):
    """A payload was not delivered."""


class TryAgain(DeliveryError):  # noqa: N818
    """Not delivered now; `after` is how many seconds the other side asked us to wait, if it did."""

    def __init__(self, problem: str, after: float | None = None) -> None:
        super().__init__(problem)
        self.after = after


class NoEndpoint(DeliveryError):  # noqa: N818
    """The Agent has no Data Streams endpoint: it is older than 7.34, or not an Agent."""


class Refused(DeliveryError):  # noqa: N818
    """The other side will not take this payload."""


class Exporter(Protocol):
    """Anything that takes a payload to where it is looked at."""

    async def export(self, payload: bytes) -> None:
        """Deliver one gzipped payload of protocol §6. Raises DeliveryError when it was not delivered."""

    async def aclose(self) -> None:
        """Let go of connections. Called once, in the event loop that exported."""
