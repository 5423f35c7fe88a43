"""The list that follows the messages taken out of it: a list in every other way."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import pickle
import threading
from collections.abc import Callable
from operator import length_hint
from typing import Any

import pytest

from asyncdsm.core.current import current_pathway, set_current
from asyncdsm.core.pathway import Pathway
from asyncdsm.integration.batch import current_task, follow_batch, follow_batches, reaches_caller
from asyncdsm.integration.consumed_list import ConsumedList

PATHWAYS = [Pathway(number, 1, 1) for number in range(4)]


class Message:
    """A message of which nobody keeps another reference."""

    def __init__(self, number: int) -> None:
        self.number = number


@pytest.fixture(autouse=True)
def nothing_current() -> None:
    set_current(None)


def batch_of(messages: list[Any]) -> ConsumedList[Any]:
    return ConsumedList(messages, PATHWAYS[: len(messages)])


def current() -> int | None:
    pathway = current_pathway()
    return None if pathway is None else pathway.hash


def test_batch_of_one_is_the_clients_own_list_and_is_current() -> None:
    messages = ["m"]
    assert follow_batch(messages, [PATHWAYS[2]]) is messages
    assert current() == 2


def test_empty_batch_is_the_clients_own_list_and_leaves_nothing_current() -> None:
    set_current(PATHWAYS[1])
    messages = list[str]()
    assert follow_batch(messages, []) is messages
    assert current() is None


def test_batches_of_one_message_in_all_make_it_current() -> None:
    batches = {"a": ["m"], "b": list[str]()}
    assert follow_batches(batches, {"a": [PATHWAYS[3]], "b": []}) == {"a": ["m"]}
    assert current() == 3


def test_batch_of_one_in_another_task_is_current_when_taken() -> None:
    async def receive() -> list[str]:
        assert reaches_caller(current_task())
        return follow_batch(["m"], [PATHWAYS[2]], asked_in=object())

    async def main() -> None:
        following = await receive()
        assert current() is None
        assert following[0] == "m"
        assert current() == 2

    asyncio.run(main())


def test_batch_of_one_in_another_thread_leaves_nothing_current_there() -> None:
    seen = list[Any]()
    thread = threading.Thread(
        target=lambda: seen.extend([follow_batch(["m"], [PATHWAYS[2]]), current(), current_task()])
    )
    thread.start()
    thread.join()
    assert seen == [["m"], None, None]
    for _ in seen[0]:
        assert current() == 2


def test_list_is_equal_printed_and_written_as_a_plain_one() -> None:
    plain = [{"n": number} for number in range(3)]
    batch = batch_of(plain)
    assert batch == plain
    assert repr(batch) == repr(plain)
    assert json.dumps(batch) == json.dumps(plain)
    assert type(pickle.loads(pickle.dumps(batch))) is list  # noqa: S301  # our own
    assert pickle.loads(pickle.dumps(batch)) == plain  # noqa: S301
    assert plain[1] in batch
    assert batch.index(plain[2]) == 2
    assert current() is None


def test_copies_of_the_messages_follow_too() -> None:
    batch = copy.deepcopy(batch_of([Message(number) for number in range(3)]))
    assert [(message.number, current()) for message in batch] == [(0, 0), (1, 1), (2, 2)]


def test_messages_that_were_put_into_the_list_have_no_pathway() -> None:
    batch = batch_of(["a", "b"])
    batch.append("c")
    batch.insert(0, "d")
    batch += ["e"]
    assert [current() for _ in batch] == [None, 0, 1, None, None]
    assert batch[-1] == "e"
    assert current() is None


def test_object_with_the_id_of_a_message_that_is_gone_has_no_pathway() -> None:
    batch = batch_of([Message(number) for number in range(3)])
    gone = id(batch.pop())
    gc.collect()
    others = [Message(9) for _ in range(1000)]
    assert gone not in map(id, others)
    batch.extend(others)
    assert [current() for _ in batch] == [0, 1, *[None] * 1000]


@pytest.mark.parametrize("wrong", [7, "a", None, 1.5])
def test_errors_are_those_of_a_list(wrong: Any) -> None:
    batch, plain = batch_of(["a", "b"]), ["a", "b"]
    works: list[Callable[[Any], Any]] = [
        lambda each: each[wrong],
        lambda each: each + wrong,
        lambda each: each.pop(wrong),
    ]
    for work in works:
        with pytest.raises((TypeError, IndexError)) as bare:
            work(plain)
        with pytest.raises(bare.type) as ours:
            work(batch)
        assert str(ours.value) == str(bare.value)
    assert current() is None


class Array:
    """What numpy's arrays do: a list plus an array is an array."""

    def __radd__(self, other: list[Any]) -> str:
        return f"{len(other)} and an array"


def test_operand_with_a_sum_of_its_own_makes_it() -> None:
    assert batch_of(["a", "b"]) + Array() == "2 and an array"


def test_plain_list_is_extended_in_place() -> None:
    plain = ["a"]
    same = plain
    same += batch_of(["b", "c"])
    assert same is plain
    assert plain == ["a", "b", "c"]
    assert type(plain + batch_of(["d"])) is list
    assert current() is None


def test_first_message_looked_at_within_a_loop_leaves_the_loops_current() -> None:
    batch, seen = batch_of(["a", "b", "c"]), list[int | None]()
    for _ in batch:
        first = next(iter(batch))  # not within `assert`: pytest would keep the iterator in a variable
        seen.append(current())
    assert seen == [0, 1, 2]
    assert current() is None
    first = next(iter(batch))
    assert first == "a"
    assert current() == 0


def test_iterators_are_copied_and_pickled_where_they_are() -> None:
    iterator = iter(batch_of([1, 2, 3]))
    next(iterator)
    assert length_hint(iterator) == 2
    copied, pickled = copy.copy(iterator), pickle.loads(pickle.dumps(iterator))  # noqa: S301
    assert [list(copied), list(pickled), list(iterator)] == [[2, 3]] * 3
    assert current() == 0


def test_rest_of_an_iterator_in_a_list_leaves_the_message_that_was_taken() -> None:
    iterator = iter(batch_of([1, 2, 3]))
    next(iterator)
    assert list(iterator) == [2, 3]
    assert current() == 0


def test_iterator_that_ended_changes_nothing_when_it_goes() -> None:
    batch = batch_of([1, 2, 3])
    iterator = iter(batch)
    list(iterator)
    assert batch[-1] == 3
    del iterator
    assert current() == 2


def test_threads_take_from_one_batch() -> None:
    batch, wrong = batch_of([0, 1, 2, 3]), list[Any]()

    def work() -> None:
        for _ in range(200):
            for message in batch:
                if current() != message:
                    wrong.append((message, current()))
            if batch[3] != 3 or current() not in {None, 3}:
                wrong.append(current())
            set_current(None)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
