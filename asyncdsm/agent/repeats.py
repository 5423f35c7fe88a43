"""Bodies that are sent again: taken once, and answered every time.

A tracer that gets no answer in time sends the same bytes again: ddtrace after 1 s, dd-trace-js after 2 s. The first
request may have been taken all the same, or may still be waiting for the store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from hashlib import blake2b
from time import monotonic

import anyio

from asyncdsm.agent.intake import IntakeError

REMEMBERED_SECONDS = 600.0
MAX_REMEMBERED = 50_000
"""Some 15 MB. Beyond it, the oldest are forgotten early."""


def digest_of(body: bytes, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return what tells a body from others.

    A payload names its service, host and buckets, and the tracers' headers its container. Two processes of one service
    on one host can count the same in the same ten seconds; asyncdsm and dd-trace-js add an id of the process.
    """
    digest = blake2b(body, digest_size=16)
    for name, value in sorted(headers):
        if name.lower().startswith(("datadog-", "content-")):  # a wrong encoding that is corrected is no repetition
            digest.update(f"\0{name}:{value}".encode("utf-8", "surrogateescape"))
    return digest.digest()


class _Outcome:
    """What became of a body; `error` is why it was refused."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.known = anyio.Event()
        self.error: IntakeError | None = None


class RecentBodies:
    """The outcomes of the last minutes, by digest. For one event loop."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        """`now` gives seconds of a clock that nobody sets."""
        self._now = now
        self._outcomes: OrderedDict[bytes, _Outcome] = OrderedDict()

    async def take_once(self, digest: bytes, take: Callable[[], Awaitable[None]]) -> bool:
        """Await `take()`, unless the same body was taken before. Return whether it was.

        A body that comes while the same one is being taken waits for the outcome. Raises the IntakeError that `take`
        raised, for a repeated body too. After an error of the agent's own (status 500 and above) the body is forgotten,
        so that the next one is taken.
        """
        self._forget_old()
        outcome = self._outcomes.get(digest)
        if outcome is None:
            await self._take(digest, take)
            return False
        await outcome.known.wait()
        if (error := outcome.error) is not None:
            raise IntakeError(error.path, error.problem, error.status)
        return True

    async def _take(self, digest: bytes, take: Callable[[], Awaitable[None]]) -> None:
        outcome = self._outcomes[digest] = _Outcome(self._now())
        outcome.error = IntakeError("body", "was not taken: the request was given up", 503)  # unless `take` returns
        try:
            await take()
            outcome.error = None
        except IntakeError as error:
            outcome.error = error
            raise
        finally:
            outcome.known.set()
            if outcome.error is not None and outcome.error.status >= 500 and self._outcomes.get(digest) is outcome:
                del self._outcomes[digest]

    def _forget_old(self) -> None:
        oldest = self._now() - REMEMBERED_SECONDS
        while self._outcomes:
            first = next(iter(self._outcomes.values()))
            if len(self._outcomes) < MAX_REMEMBERED and first.since >= oldest:
                return
            self._outcomes.popitem(last=False)
