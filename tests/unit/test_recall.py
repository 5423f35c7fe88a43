"""Pathways kept beside messages that have no room for them."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import pytest

from asyncdsm import recall
from asyncdsm.pathway import Pathway


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recall, "ROOM", 8)
    monkeypatch.setattr(recall, "_in_order", deque())
    monkeypatch.setattr(recall, "_by_id", {})


def test_the_last_ones_are_recalled() -> None:
    messages = [object() for _ in range(12)]
    for number, message in enumerate(messages):
        recall.remember(message, number, Pathway(number, 1, 1))
    recalled = [recall.recall(message, number) for number, message in enumerate(messages)]
    assert recalled == [None] * 4 + [Pathway(number, 1, 1) for number in range(4, 12)]
    assert len(recall._by_id) == 8


def test_another_object_with_the_same_id_is_not_taken_for_it() -> None:
    message = object()
    recall.remember(message, "here", Pathway(1, 1, 1))
    assert recall.recall(message, "there") is None
    recall.remember(message, "there", Pathway(2, 1, 1))
    assert recall.recall(message, "there") == Pathway(2, 1, 1)
    for _ in range(7):
        recall.remember(object, "elsewhere", Pathway(3, 1, 1))
    assert recall.recall(message, "there") == Pathway(2, 1, 1)


def test_threads_keep_no_more_than_there_is_room_for() -> None:
    def work() -> None:
        messages: list[Any] = [object() for _ in range(500)]
        for message in messages:
            recall.remember(message, 0, Pathway(id(message), 1, 1))
            found = recall.recall(message, 0)
            assert found is None or found[0] == id(message)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(recall._by_id) <= len(recall._in_order) == 8
