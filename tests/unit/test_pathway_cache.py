"""Pathways kept beside messages that have no room for them."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import pytest

from asyncdsm import Pathway
from asyncdsm.integration import pathway_cache

ROOM = 8


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = deque[pathway_cache.Entry](maxlen=ROOM)
    monkeypatch.setattr(pathway_cache, "ROOM", ROOM)
    monkeypatch.setattr(pathway_cache, "_waiting", waiting)
    monkeypatch.setattr(pathway_cache, "store_entry", waiting.append)
    monkeypatch.setattr(pathway_cache, "_newer", {})
    monkeypatch.setattr(pathway_cache, "_older", {})


def remember(message: object, number: int, place: str = "topic") -> None:
    pathway_cache.store_pathway(message, (place, 0, number), Pathway(number, 1, 1))


def recalled(message: object, number: int, place: str = "topic") -> Pathway | None:
    return pathway_cache.lookup_pathway(message, (place, 0, number))


def test_last_messages_are_found_with_rare_lookups() -> None:
    messages = [object() for _ in range(3 * ROOM)]
    for number, message in enumerate(messages):
        remember(message, number)
    found = [recalled(message, number) for number, message in enumerate(messages)]
    assert found[-ROOM:] == [Pathway(number, 1, 1) for number in range(2 * ROOM, 3 * ROOM)]
    assert found[: 2 * ROOM] == [None] * 2 * ROOM


def test_last_messages_are_found_with_frequent_lookups() -> None:
    messages = [object() for _ in range(10 * ROOM)]
    for number, message in enumerate(messages):
        remember(message, number)
        for earlier in range(max(0, number - ROOM + 1), number + 1):
            assert recalled(messages[earlier], earlier) == Pathway(earlier, 1, 1)
    assert len(pathway_cache._newer) + len(pathway_cache._older) <= 2 * ROOM


def test_other_object_with_the_same_id_is_not_found() -> None:
    message = object()
    remember(message, 1, "here")
    assert recalled(message, 1, "there") is None
    assert recalled(message, 2, "here") is None
    remember(message, 1, "there")
    assert recalled(message, 1, "there") == Pathway(1, 1, 1)
    assert recalled(message, 1, "here") is None


def test_entries_of_many_threads_are_bounded() -> None:
    def work() -> None:
        messages: list[Any] = [object() for _ in range(500)]
        for number, message in enumerate(messages):
            pathway_cache.store_pathway(message, ("topic", 0, number), Pathway(id(message), 1, 1))
            found = recalled(message, number)
            assert found is None or found.hash == id(message)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pathway_cache._newer) + len(pathway_cache._older) <= 3 * ROOM
