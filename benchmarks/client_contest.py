"""The contest of one client with itself: bare, bare with a field of a context's size, and wrapped.

The module of such a benchmark has the functions `bare`, `bare_with_a_field` and `asyncdsm_wrapped`: its own, or those
of `make_contestants`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple, Protocol

from benchmarks.contest import Benchmark, Claim, Contestant, Figures

CONTEXT = "dd-pathway-ctx-base64"
"""The name of a header, a field or a property that carries a context."""
FIELD_NAME, FIELD_VALUE = "x" * len(CONTEXT), "x" * 28
"""What a program puts on each message by itself: as long as a context and its name."""
BODY = b"x" * 200

Follow = Callable[[Any], Any]


def follow_nothing(client: Any) -> Any:
    """Return a client as it is."""
    return client


async def measure_wrapped(measure: Callable[[Follow], Awaitable[float]], recorded: int) -> float:
    """Return what `measure` finds with wrapped clients, after `recorded` checkpoints were recorded, and no error."""
    import asyncdsm

    async with asyncdsm.DataStreams() as streams:
        await streams.flush()  # imports what encodes, which is no part of a message
        figure = await measure(asyncdsm.wrap)
        assert streams.stats.recorded == recorded
        assert not streams.stats.errors
    return figure


def measure_wrapped_blocking(measure: Callable[[Follow], float], recorded: int) -> float:
    """Do the same for clients that block."""
    import asyncdsm

    with asyncdsm.DataStreams() as streams:
        figure = measure(asyncdsm.wrap)
        assert streams.stats.recorded == recorded
        assert not streams.stats.errors
    return figure


class Measure(Protocol):
    """Returns the CPU time per message of `count`, through a client that is followed so, in microseconds.

    `carries` says whether messages will have a context; `fields` are what the program puts on each, which may be kept
    and changed.
    """

    def __call__(
        self, count: int, follow: Follow, *, carries: bool, fields: dict[Any, Any]
    ) -> Coroutine[Any, Any, float]: ...


class Contestants(NamedTuple):
    """What the processes of a contest call with a count."""

    bare: Callable[[int], float]
    bare_with_a_field: Callable[[int], float]
    asyncdsm_wrapped: Callable[[int], float]


def make_contestants(measure: Measure, blocks: int) -> Contestants:
    """Return the functions of a benchmark with an asyncio client, where `measure` sends `count` messages per block."""

    def measure_bare(count: int) -> float:
        return asyncio.run(measure(count, follow_nothing, carries=False, fields={}))

    def measure_with_a_field(count: int) -> float:
        return asyncio.run(measure(count, follow_nothing, carries=False, fields={FIELD_NAME: FIELD_VALUE}))

    def measure_followed(count: int) -> float:
        return asyncio.run(measure_wrapped(partial(measure, count, carries=True, fields={}), 2 * blocks * count))

    return Contestants(measure_bare, measure_with_a_field, measure_followed)


def make_benchmark(
    client: str,
    work: str,
    count: int,
    surroundings: Callable[[], AbstractContextManager[Mapping[str, str]]],
    field: str = "a header",
) -> Benchmark:
    """Return the benchmark of a client: CPU time for some `work`, such as "publish and consume a message"."""
    bare_with_field = f"bare, with {field} of that size"

    def added(name: str) -> Callable[[Figures], float]:
        return lambda figures: figures[name] - figures["bare"]

    return Benchmark(
        title=f"{work} through {client}, CPU",
        unit="µs",
        count=count,
        contestants=(
            Contestant("bare", "bare"),
            Contestant(bare_with_field, "bare_with_a_field"),
            Contestant("asyncdsm.wrap", "asyncdsm_wrapped"),
        ),
        claims=(
            Claim("what asyncdsm adds", added("asyncdsm.wrap"), unit="µs"),
            Claim(f"of that, {client}'s own work on {field}", added(bare_with_field), unit="µs"),
            Claim(
                "of that, asyncdsm's own work",
                lambda figures: figures["asyncdsm.wrap"] - figures[bare_with_field],
                unit="µs",
            ),
            Claim("with asyncdsm, of without", lambda figures: figures["asyncdsm.wrap"] / figures["bare"]),
        ),
        surroundings=surroundings,
    )
