"""Kombu: an error of asyncdsm does not reach the program, and everything else about a client stays the same."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from typing import Any

import asyncdsm_kombu
import pytest
import yaml  # type: ignore[import-untyped]
from asyncdsm_kombu import consume, produce, tracking
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Producer
from kombu.simple import SimpleBase

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm.core import current
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.integration.formats import amqp
from asyncdsm.integration.hooks import original_of
from asyncdsm.testing import Captured
from tests.integrations.kombu.clients import Broker, Seen, drain, fresh

pytestmark = pytest.mark.usefixtures("tidy_kombu", "instrumented_kombu")


def planted(*_: object, **__: object) -> None:
    raise RuntimeError("planted")


HOOKS: dict[str, tuple[Any, str]] = {
    "what goes out": (amqp, "begin_produce"),
    "what comes in": (amqp, "consume"),
    "whose it is, going out": (produce, "is_followed"),
    "whose it is, coming in": (consume, "is_followed"),
    "its type, going out": (produce, "type_of"),
    "its type, coming in": (consume, "type_of"),
    "its size": (amqp, "count_headers_bytes"),
    "its callback": (consume, "_fetches_ahead"),
}


@pytest.mark.parametrize("planted_in", HOOKS)
def test_error_in_a_hook_does_not_reach_the_program(
    kombu_broker: Broker, monkeypatch: pytest.MonkeyPatch, planted_in: str
) -> None:
    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams, kombu_broker.connected() as client:
        monkeypatch.setattr(*HOOKS[planted_in], planted)
        queue, seen, headers = Queue(fresh(), expires=600)(client.default_channel), Seen(), {"a": "b"}
        queue.declare()
        for number in range(3):
            client.Producer().publish(number, routing_key=queue.name, headers=headers)
        asked = queue.get(no_ack=True)
        with client.Consumer(queue, callbacks=[seen.callback]):
            drain(client, lambda: len(seen.messages) == 2)
        with client.SimpleQueue(queue, no_ack=True) as simple:
            client.Producer().publish(3, routing_key=queue.name, headers=headers)
            handed = simple.get(timeout=30)
        assert asked is not None
        assert [asked.payload, *(body for body, _ in seen.messages), handed.payload] == [0, 1, 2, 3]
        assert headers == {"a": "b"}
        assert asked.headers["a"] == handed.headers["a"] == "b"
        assert streams.stats.errors > 0


def test_error_at_a_clone_does_not_reach_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams, Connection("memory://") as client:
        asyncdsm.wrap(client)
        monkeypatch.setattr(tracking, "follow_connection", planted)
        with client.clone() as clone:
            assert clone.as_uri() == client.as_uri()
        assert streams.stats.errors == 1


def test_hooks_keep_signature_and_docstring() -> None:
    for kind, name in ((Producer, "publish"), (Queue, "consume"), (Queue, "get"), (SimpleBase, "get")):
        hooked = vars(kind)[name]
        original = original_of(hooked)
        assert original is not hooked
        assert hooked.__doc__ == original.__doc__
        assert inspect.signature(hooked) == inspect.signature(original)


def test_consumed_message_has_plain_dicts(captured_streams: Captured) -> None:
    with Connection("memory://") as connection:
        asyncdsm.wrap(connection)
        given = {"tenant": "x"}
        queue = Queue(fresh())(connection.default_channel)
        queue.declare()
        connection.Producer().publish("body", routing_key=queue.name, headers=given)
        message: Any = queue.get()
    assert given == {"tenant": "x"}
    assert len(captured_streams.consumed()) == 1
    assert asyncdsm_kombu.integration.pathway_of(message) == asyncdsm.current_pathway()
    current.set_current(None)
    for seen in (message.headers, message.delivery_info, message.properties):
        assert type(seen) is dict
        assert yaml.safe_load(yaml.safe_dump(seen)) == json.loads(json.dumps(seen)) == seen
        assert pickle.loads(pickle.dumps(seen)) == copy.deepcopy(seen) == seen  # noqa: S301


@pytest.mark.parametrize("headers", [None, {}, {"a": 1}])
def test_producer_subclass_sees_plain_headers(headers: Any, captured_streams: Captured) -> None:
    seen = list[Any]()

    class Own(Producer):
        def _prepare(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(kwargs.get("headers", args[-1] if args else None))
            prepare: Any = super()._prepare
            return prepare(*args, **kwargs)

    with Connection("memory://") as connection:
        asyncdsm.wrap(connection)
        producer: Any = Own
        producer(connection).publish("body", routing_key=fresh(), headers=headers)
    (sent,) = seen
    assert type(sent) is dict
    assert captured_streams.produced()[0].size == len(b"body") + sum(len(str(each)) for each in sent) + sum(
        8 if isinstance(each, int) else len(each) for each in sent.values()
    )
