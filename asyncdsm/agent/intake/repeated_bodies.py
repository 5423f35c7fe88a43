"""Bodies that are sent again: each is counted once, and answered every time.

A tracer that gets no answer in time closes its connection and sends the same bytes again: ddtrace after 1 s,
dd-trace-js after 2 s. The agent may have accepted the first request all the same, or may still be storing it.

A sender that got its answer has no reason to send the body again. If the same bytes come after that, they come from
another process that counted the same, and are accepted too.

After a restart, it is known from the store which bodies were accepted and may not have been answered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from hashlib import blake2b
from time import monotonic

import anyio

from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.store.limits import MAX_REMEMBERED, REMEMBERED_SECONDS


def hash_body(body: bytes, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return a digest of a body: of its bytes, and of the headers that name its container and its encoding."""
    digest = blake2b(body, digest_size=16)
    for name, value in sorted(headers):
        if name.lower().startswith(("datadog-", "content-")):  # the same bytes with another encoding are another body
            digest.update(f"\0{name}:{value}".encode("utf-8", "surrogateescape"))
    return digest.digest()


class _Outcome:
    """What happened to a body. `error` says why it was refused, or is None if it was accepted."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.known = anyio.Event()
        self.error: IntakeError | None = IntakeError("body", "was not stored: its sender closed the connection", 503)
        self.is_answered = False
        """Whether its sender was still connected to get the answer."""

    @property
    def has_failed(self) -> bool:
        """Whether the agent failed, so that the body has to be sent again."""
        return self.error is not None and self.error.status >= 500


class RecentBodies:
    """What happened to the bodies of the last minutes, by digest. For one event loop."""

    def __init__(self, now: Callable[[], float] = monotonic, accepted: Iterable[tuple[bytes, float]] = ()) -> None:
        """`now` returns seconds of a clock that nobody sets.

        `accepted` has the digests of bodies that were accepted before, perhaps without an answer, and how many seconds
        ago that was, the oldest first.
        """
        self._now = now
        self._outcomes: OrderedDict[bytes, _Outcome] = OrderedDict(
            (digest, _accepted_outcome(now() - age)) for digest, age in accepted
        )

    def __contains__(self, digest: bytes) -> bool:
        """Tell whether a body is being ingested, or may be sent again."""
        return digest in self._outcomes

    async def ingest_once(
        self, digest: bytes, ingest: Callable[[], Awaitable[None]], will_answer: Callable[[], Awaitable[bool]]
    ) -> bool:
        """Await `ingest()`, unless the body with this digest was ingested before and its sender got no answer.

        Return whether it was a repetition. A body that comes while the same one is being ingested waits for the
        outcome. `will_answer` returns, once the outcome is known, whether the sender will get it: if so, the body is
        forgotten. Raises the IntakeError that `ingest` raised, for a repetition too. If the agent itself failed (status
        500 and above), the body is forgotten, so that the next one is ingested.
        """
        self._forget_old()
        while (outcome := self._outcomes.get(digest)) is not None:
            await outcome.known.wait()
            if not outcome.is_answered:
                return await self._repeat(digest, outcome, will_answer)
        await self._ingest(digest, ingest, will_answer)
        return False

    async def _ingest(
        self, digest: bytes, ingest: Callable[[], Awaitable[None]], will_answer: Callable[[], Awaitable[bool]]
    ) -> None:
        outcome = self._outcomes[digest] = _Outcome(self._now())
        try:
            outcome.error = await _catch_error(ingest)
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


def _accepted_outcome(since: float) -> _Outcome:
    outcome = _Outcome(since)
    outcome.error = None
    outcome.known.set()
    return outcome


async def _catch_error(ingest: Callable[[], Awaitable[None]]) -> IntakeError | None:
    try:
        await ingest()
    except IntakeError as error:
        return error
    return None
