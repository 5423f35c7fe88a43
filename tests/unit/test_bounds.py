"""Dicts that are bounded, while other threads change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from asyncdsm._internal.bounds import make_room


class Contended(dict[int, None]):
    """A dict that another thread changes at the worst moment: when somebody has begun to look for the oldest key."""

    def __init__(self, keys: range, change: Callable[[Contended], object]) -> None:
        super().__init__(dict.fromkeys(keys))
        self.change: Callable[[Contended], object] | None = change

    def __iter__(self) -> Iterator[int]:
        keys = super().__iter__()
        change, self.change = self.change, None
        if change is not None:
            change(self)
        return keys


def test_oldest_make_room() -> None:
    known = dict.fromkeys(range(5))
    make_room(known, 3)
    assert list(known) == [3, 4]


def test_room_is_left_as_it_is() -> None:
    known = dict.fromkeys(range(2))
    make_room(known, 3)
    assert list(known) == [0, 1]


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda known: known.update({9: None}), [3, 4, 9]),
        (lambda known: known.pop(0), [2, 3, 4]),
        (lambda known: known.clear(), []),
    ],
    ids=["adds a key", "removes a key", "removes all"],
)
def test_room_is_made_while_another_thread_changes_the_dict(
    change: Callable[[Contended], object], left: list[int]
) -> None:
    known = Contended(range(5), change)
    make_room(known, 4)
    assert list(known) == left
