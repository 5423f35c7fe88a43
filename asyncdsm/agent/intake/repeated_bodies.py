"""Bodies that are sent again: taken once, and answered every time.

A tracer that gets no answer in time closes its connection and sends the same bytes again: ddtrace after 1 s,
dd-trace-js after 2 s. The first request may have been taken all the same, or may still be waiting for the store.

A sender that has its answer has no reason to send the body again. The same bytes after that come from another process
that counted the same, and are taken too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from hashlib import blake2b
from time import monotonic

import anyio

from asyncdsm.agent.intake.payload import IntakeError

REMEMBERED_SECONDS = 600.0
MAX_REMEMBERED = 50_000
"""Some 15 MB. Beyond it, the oldest are forgotten early."""


def hash_body(body: bytes, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return what tells a body from others: its bytes, and the headers that name its container and its encoding."""
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
        self.error: IntakeError | None = IntakeError("body", "was not taken: the request was given up", 503)
        self.is_answered = False
        """Whether its sender was there to get the answer."""

    @property
    def has_failed(self) -> bool:
        """Whether the agent could not take the body, so that it has to come again."""
        return self.error is not None and self.error.status >= 500


class RecentBodies:
    """The outcomes of the last minutes, by digest. For one event loop."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        """`now` gives seconds of a clock that nobody sets."""
        self._now = now
        self._outcomes: OrderedDict[bytes, _Outcome] = OrderedDict()

    async def ingest_once(
        self, digest: bytes, take: Callable[[], Awaitable[None]], will_answer: Callable[[], Awaitable[bool]]
    ) -> bool:
        """Await `take()`, unless the same body was taken before, and its sender got no answer. Return whether it was.

        `will_answer` says, once the outcome is known, whether the sender is still there to get it: if so, the body is
        forgotten. A body that comes while the same one is being taken waits for the outcome. Raises the IntakeError
        that `take` raised, for a repeated body too. After an error of the agent's own (status 500 and above) the body
        is forgotten, so that the next one is taken.
        """
        self._forget_old()
        while (outcome := self._outcomes.get(digest)) is not None:
            await outcome.known.wait()
            if not outcome.is_answered:
                return await self._repeat(digest, outcome, will_answer)
        await self._take(digest, take, will_answer)
        return False

    async def _take(
        self, digest: bytes, take: Callable[[], Awaitable[None]], will_answer: Callable[[], Awaitable[bool]]
    ) -> None:
        outcome = self._outcomes[digest] = _Outcome(self._now())
        try:
            outcome.error = await _error_of(take)
            outcome.is_answered = not outcome.has_failed and await will_answer()
        finally:
            outcome.known.set()
            if outcome.is_answered or outcome.has_failed:
                self._forget(digest, outcome)
        if outcome.error is not None:
            raise outcome.error

    async def _repeat(self, digest: bytes, outcome: _Outcome, will_answer: Callable[[], Awaitable[bool]]) -> bool:
        if await will_answer():
            self._forget(digest, outcome)
        if (error := outcome.error) is not None:
            raise IntakeError(error.path, error.problem, error.status)
        return True

    def _forget(self, digest: bytes, outcome: _Outcome) -> None:
        if self._outcomes.get(digest) is outcome:
            del self._outcomes[digest]

    def _forget_old(self) -> None:
        oldest = self._now() - REMEMBERED_SECONDS
        while self._outcomes:
            first = next(iter(self._outcomes.values()))
            if len(self._outcomes) < MAX_REMEMBERED and first.since >= oldest:
                return
            self._outcomes.popitem(last=False)


async def _error_of(take: Callable[[], Awaitable[None]]) -> IntakeError | None:
    try:
        await take()
    except IntakeError as error:
        return error
    return None
