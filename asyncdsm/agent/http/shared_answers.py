"""One answer for all who ask the same question: it is computed once, and kept until something changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from gzip import compress
from hashlib import blake2b
from time import monotonic, thread_time
from typing import NamedTuple

from anyio import Lock, to_thread

from asyncdsm.agent.store.protocol import Store

STEP_SECONDS = 10
"""How long an answer is up to date, in seconds, if nothing new is reported: its time range moves on."""
COSTLY_SECONDS = 0.1
"""An answer that costs more seconds of the processor is given again for a while, even if something new was reported."""
PAUSES = 9
"""For how many times as long as it took to compute: so all readers of it use a tenth of a processor together."""
SHORTEST_COMPRESSED = 1 << 14
"""From how many bytes on a body is compressed, once for all readers."""
MOST_ANSWERS, MOST_BYTES = 64, 64 << 20


class Body(NamedTuple):
    """The body of an answer."""

    plain: bytes
    compressed: bytes | None
    """The same as gzip has it; None if it is short."""
    tag: str
    """Its entity tag: the same for the same bytes."""

    @classmethod
    def of(cls, plain: bytes) -> Body:
        """Return bytes as a body."""
        compressed = compress(plain, 1) if len(plain) >= SHORTEST_COMPRESSED else None
        return cls(plain, compressed, f'W/"{blake2b(plain, digest_size=12).hexdigest()}"')

    def __len__(self) -> int:
        return len(self.plain) + len(self.compressed or b"")


class Answer(NamedTuple):
    """The body of an answer, the state of the store that it shows, and what it cost."""

    body: Body
    payloads: int
    """How many payloads were stored before it was computed."""
    step: int
    cost: float
    """Seconds of the processor."""
    made_at: float
    """On the monotonic clock, in seconds."""


class SharedAnswers:
    """Keeps answers by question. Computes one at a time, each in a worker thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._computing = Lock()
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()
        self._bytes = 0

    async def get(self, question: Hashable, compute: Callable[[], bytes]) -> Body:
        """Return the result of `compute`, or the one that was kept for the same question, if that is up to date.

        An answer shows everything that was stored before the question, unless it is costly. Raises what `compute`
        raises.
        """
        payloads = self._store.payloads
        body = self._known(question, payloads)
        if body is None:
            async with self._computing:
                body = self._known(question, payloads)  # it may have been computed for another client meanwhile
                if body is None:
                    body = await self._compute(question, compute)
        return body

    def _known(self, question: Hashable, payloads: int) -> Body | None:
        answer = self._answers.get(question)
        if answer is None:
            return None
        is_of_now = answer.payloads >= payloads and answer.step == self._step()
        is_costly = answer.cost >= COSTLY_SECONDS and monotonic() < answer.made_at + PAUSES * answer.cost
        if not (is_of_now or is_costly):
            return None
        self._answers.move_to_end(question)
        return answer.body

    async def _compute(self, question: Hashable, compute: Callable[[], bytes]) -> Body:
        def measured() -> Answer:
            payloads, step, began = self._store.payloads, self._step(), thread_time()
            body = Body.of(compute())
            return Answer(body, payloads, step, thread_time() - began, monotonic())

        answer = await to_thread.run_sync(measured)
        self._keep(question, answer)
        return answer.body

    def _keep(self, question: Hashable, answer: Answer) -> None:
        before = self._answers.pop(question, None)
        self._bytes += len(answer.body) - (len(before.body) if before else 0)
        self._answers[question] = answer
        while self._answers and (len(self._answers) > MOST_ANSWERS or self._bytes > MOST_BYTES):
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= len(oldest.body)

    def _step(self) -> int:
        return int(self._store.now() // STEP_SECONDS)
