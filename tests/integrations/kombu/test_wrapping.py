"""Kombu: `wrap` follows one connection, `instrument` all of them until `uninstrument`."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import asyncdsm_kombu
import pytest
from asyncdsm_kombu import tracking
from kombu import pools
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Producer
from kombu.simple import SimpleBase

import asyncdsm
from asyncdsm.integration.hooks import is_hook
from asyncdsm.testing import Captured
from tests.integrations.kombu.clients import Seen, drain, fresh

pytestmark = pytest.mark.usefixtures("tidy_kombu", "instrumented_kombu")


def test_wrapped_connection_is_followed_and_others_are_not(captured_streams: Captured) -> None:
    asyncdsm.uninstrument("kombu")
    with Connection("memory://") as plain, Connection("memory://", heartbeat=1) as wrapped:
        assert asyncdsm.wrap(wrapped) is wrapped
        assert asyncdsm.wrap(wrapped) is wrapped
        name, seen = fresh(), Seen()
        plain.Producer().publish("plain", routing_key=name)
        with wrapped.clone() as clone, clone.clone() as again:
            again.Producer().publish("clone", routing_key=name)
        pool = wrapped.Pool(1)
        with pool.acquire() as pooled:
            pooled.Producer().publish("pool", routing_key=name)
        pool.force_close_all()
        assert len(captured_streams.produced()) == 2
        with plain.Consumer(Queue(name), callbacks=[seen.callback]):
            drain(plain, lambda: len(seen.messages) == 3)
        assert captured_streams.consumed() == []
        assert seen.hashes == {}
    pools.reset()


def test_uninstrument_restores_the_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    hooked = [(Producer, "publish"), (Queue, "consume"), (Queue, "get"), (SimpleBase, "get"), (Connection, "clone")]
    assert all(is_hook(vars(kind)[name]) for kind, name in hooked)
    # The hooks stay while a wrapped connection is alive, and those of other tests may live in pools.
    monkeypatch.setattr(tracking, "_wrapped", WeakSet[Any]())
    asyncdsm.uninstrument("kombu")
    assert not any(is_hook(vars(kind)[name]) for kind, name in hooked)


def test_object_of_no_kombu_class_is_unknown() -> None:
    assert asyncdsm_kombu.integration.wrap(object()) is None
    assert asyncdsm_kombu.integration.pathway_of(object()) is None
