"""One answer for all who ask the same: it is computed once, and kept until there is something new to say."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from time import monotonic, thread_time
from typing import NamedTuple

from anyio import Lock, to_thread

from asyncdsm.agent.store.store import Store

STEP_SECONDS = 10
"""The present moves on by so much, though nothing new was reported."""
COSTLY_SECONDS = 0.1
"""An answer that takes more of the processor's time is given again for a while, though something new was reported."""
PAUSES = 4
"""For that many times as long as it took to compute: so all readers together take a fifth of a processor."""
MOST_ANSWERS, MOST_BYTES = 64, 64 << 20


class Answer(NamedTuple):
    """A body, what it is of, and what it cost."""

    body: bytes
    payloads: int
    """How many payloads were taken before it was computed."""
    step: int
    cost: float
    """Seconds of the processor."""
    made_at: float
    """On the monotonic clock, in seconds."""


class SharedAnswers:
    """Keeps answers by what was asked. Computes one at a time, each in a worker thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._computing = Lock()
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()
        self._bytes = 0

    async def get(self, asked: Hashable, compute: Callable[[], bytes]) -> bytes:
        """Return what `compute` makes: now, or for somebody who asked before, if there is nothing newer to say.

        Whoever asks sees at least all that was taken before, unless the answer is costly. What `compute` raises is
        raised.
        """
        payloads = self._store.payloads
        body = self._known(asked, payloads)
        if body is None:
            async with self._computing:
                body = self._known(asked, payloads)  # somebody else may have asked the same meanwhile
                if body is None:
                    body = await self._compute(asked, compute)
        return body

    def _known(self, asked: Hashable, payloads: int) -> bytes | None:
        answer = self._answers.get(asked)
        if answer is None:
            return None
        is_of_now = answer.payloads >= payloads and answer.step == self._step()
        is_costly = answer.cost >= COSTLY_SECONDS and monotonic() < answer.made_at + PAUSES * answer.cost
        if not (is_of_now or is_costly):
            return None
        self._answers.move_to_end(asked)
        return answer.body

    async def _compute(self, asked: Hashable, compute: Callable[[], bytes]) -> bytes:
        def measured() -> Answer:
            payloads, step, began = self._store.payloads, self._step(), thread_time()
            body = compute()
            return Answer(body, payloads, step, thread_time() - began, monotonic())

        answer = await to_thread.run_sync(measured)
        self._keep(asked, answer)
        return answer.body

    def _keep(self, asked: Hashable, answer: Answer) -> None:
        before = self._answers.pop(asked, None)
        self._bytes += len(answer.body) - (len(before.body) if before else 0)
        self._answers[asked] = answer
        while self._answers and (len(self._answers) > MOST_ANSWERS or self._bytes > MOST_BYTES):
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= len(oldest.body)

    def _step(self) -> int:
        return int(self._store.now() // STEP_SECONDS)
