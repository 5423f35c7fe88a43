"""Blocks of what is current: inside them something else is, and afterwards what was before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TypeAlias

import pytest

from asyncdsm import Pathway
from asyncdsm.core import current

OUTER, INNER = Pathway(1, 1, 1), Pathway(2, 1, 1)
Block: TypeAlias = AbstractContextManager[None]

BLOCKS: dict[str, Callable[[], Block]] = {
    "restored": lambda: current.restored(INNER),
    "suppress_nested_checkpoints": current.suppress_nested_checkpoints,
    "suppress_nested_checkpoints(consumes=True)": lambda: current.suppress_nested_checkpoints(consumes=True),
    "allow_nested_checkpoints": current.allow_nested_checkpoints,
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=BLOCKS)
def make_block(request: pytest.FixtureRequest) -> Callable[[], Block]:
    return BLOCKS[request.param]


@pytest.fixture(autouse=True)
def begin_with_outer() -> Iterator[None]:
    with current.restored(OUTER):
        yield


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit])
def test_exception_leaves_a_block_and_what_was_before_is_current(
    make_block: Callable[[], Block], error: type[BaseException]
) -> None:
    with pytest.raises(error), make_block():
        raise error
    assert current.snapshot() is OUTER


def test_blocks_nest_and_each_restores_what_was_around_it(make_block: Callable[[], Block]) -> None:
    with make_block():
        around = current.snapshot()
        with make_block(), current.restored(None):
            assert current.current_pathway() is None
        assert current.snapshot() is around
    assert current.snapshot() is OUTER


def test_what_a_block_does_not_restore_itself_is_undone(make_block: Callable[[], Block]) -> None:
    with make_block():
        current.current_context.set(INNER)
    assert current.snapshot() is OUTER


def test_nothing_is_current_after_a_block_that_began_with_nothing(make_block: Callable[[], Block]) -> None:
    with current.restored(None):
        with make_block():
            pass
        assert current.snapshot() is None


def test_block_of_a_snapshot_can_be_used_twice_one_after_the_other() -> None:
    block = current.restored(INNER)
    for before in (OUTER, None):
        with current.restored(before):
            with block:
                assert current.current_pathway() is INNER
            assert current.snapshot() is before


def test_block_used_again_after_its_layer_was_closed_suppresses_nothing() -> None:
    block = current.suppress_nested_checkpoints(consumes=True)
    with block:
        assert current.is_consume_suppressed()
    with block:
        assert not current.is_consume_suppressed()
        assert current.snapshot() is OUTER
    assert current.snapshot() is OUTER


def test_layer_suppresses_inside_only_and_is_allowed_inside_again() -> None:
    with current.suppress_nested_checkpoints(consumes=True, takes_contexts=True):
        assert (current.is_consume_suppressed(), current.is_context_taken_above()) == (True, True)
        current.set_current(INNER)
        assert current.current_pathway() is OUTER
        with current.allow_nested_checkpoints():
            assert (current.is_consume_suppressed(), current.is_context_taken_above()) == (False, False)
            current.set_current(INNER)
            assert current.current_pathway() is INNER
        assert current.is_consume_suppressed()
        with current.suppress_nested_checkpoints():
            assert current.is_consume_suppressed(), "a layer within a layer counts no less"
        assert current.is_consume_suppressed()
    assert not current.is_consume_suppressed()


async def test_task_begun_inside_a_block_continues_what_was_before_its_layer() -> None:
    left = asyncio.Event()

    async def look() -> list[tuple[bool, current.Snapshot]]:
        inside = current.is_consume_suppressed(), current.current_pathway()
        await left.wait()
        return [inside, (current.is_consume_suppressed(), current.snapshot())]

    with current.suppress_nested_checkpoints(consumes=True):
        task = asyncio.create_task(look())
        await asyncio.sleep(0)
    left.set()
    assert await task == [(True, OUTER), (False, OUTER)]


async def test_block_left_in_another_task_closes_its_layer_and_restores_there(make_block: Callable[[], Block]) -> None:
    """As a generator does that was begun in one task, and is closed in another."""
    block = make_block()
    block.__enter__()

    async def leave() -> current.Snapshot:
        block.__exit__(None, None, None)
        return current.snapshot()

    assert await asyncio.create_task(leave()) is OUTER
    assert not current.consume_layers
    assert current.current_pathway() in (OUTER, INNER)
    assert not current.is_consume_suppressed()


async def test_tasks_side_by_side_have_blocks_of_their_own() -> None:
    async def look(number: int) -> int | None:
        with current.restored(Pathway(number, 1, 1)):
            await asyncio.sleep(0)
            pathway = current.current_pathway()
        assert current.snapshot() is OUTER
        return pathway and pathway.hash

    assert await asyncio.gather(*map(look, range(1, 1001))) == list(range(1, 1001))
