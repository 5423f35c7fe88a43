"""The hooks on aio-pika, Kombu, Celery and taskiq: unknown arguments, mocks, and patches by others."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, MagicMock, create_autospec

import asyncdsm_aio_pika
import asyncdsm_kombu
import asyncdsm_taskiq
import pytest
from asyncdsm_aio_pika.client import HOOKS as AIO_PIKA
from asyncdsm_aio_pika.client import hook_iterator
from asyncdsm_celery import tasks
from asyncdsm_kombu import consume, produce, tracking, transports
from asyncdsm_taskiq.consume import hook_listen
from asyncdsm_taskiq.produce import hook_kick
from celery import Celery
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Producer
from taskiq import AsyncBroker, InMemoryBroker

import asyncdsm
import asyncdsm.testing
from asyncdsm import Settings
from asyncdsm.core import current
from asyncdsm.delivery.exporters.memory import MemoryExporter
from tests.integrations.kombu.clients import fresh, tidy

INTEGRATIONS: tuple[Any, ...] = (asyncdsm_aio_pika.integration, asyncdsm_kombu.integration, asyncdsm_taskiq.integration)


HOOKS = [
    ("aio_pika", name, hook) for hooks in AIO_PIKA.values() for name, hook in hooks.items()
] + [
    ("aio_pika", "iterator", hook_iterator),
    ("kombu", "publish", produce.hook_publish),
    ("kombu", "_prepare", produce.hook_prepare),
    ("kombu", "consume", consume.hook_consume),
    ("kombu", "get", consume.hook_get),
    ("kombu", "simple get", consume.hook_get),
    ("kombu", "clone", tracking.hook_copy),
    ("kombu", "_get_bulk", transports.hook_receive),
    ("kombu", "_deliver", transports.hook_deliver),
    ("celery", "_connection", tasks.hook_connection),
    ("taskiq", "kick", hook_kick),
    ("taskiq", "listen", hook_listen),
    ("taskiq", "__init__", asyncdsm_taskiq.observe_init),
]  # fmt: skip


def test_table_has_every_hook() -> None:
    known = {code(hook(lambda *_: None)) for _, _, hook in HOOKS}
    for integration in INTEGRATIONS:
        integration.instrument()
        try:
            assert integration.hooks._replaced
            assert all(code(hooked) in known for _, _, _, hooked, _ in integration.hooks._replaced)
        finally:
            integration.uninstrument()


def code(hooked: Any) -> Any:
    """Return the code of a hook, below the switch that turns it off."""
    return inspect.getclosurevars(hooked).nonlocals.get("called", hooked).__code__


@pytest.mark.parametrize(("client", "name", "hook"), HOOKS, ids=lambda each: each if isinstance(each, str) else "")
def test_unknown_argument_reaches_the_client(client: str, name: str, hook: Any) -> None:
    """Given by position and by name, while something measures."""
    got = list[Any]()

    def original(*args: Any, **kwargs: Any) -> Any:
        got.append((args, kwargs))
        return "result"

    async def original_async(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs)

    is_async = (client == "aio_pika" and name != "iterator") or name == "kick"
    owner = SimpleNamespace(
        name="queue", exclusive=False, channel=None, _amqp_queue=SimpleNamespace(name="queue"), connection=None,
        queue=SimpleNamespace(channel=None, name="queue"), middlewares=[], exchange=None, routing_key="",
    )  # fmt: skip
    hooked = hook(original_async if is_async else original)

    async def call() -> Any:
        result = hooked(owner, "first", "second", "third", later=1)
        return await result if inspect.isawaitable(result) else result

    with asyncdsm.DataStreams(Settings(service="s"), exporter=MemoryExporter()):
        assert asyncio.run(call()) == "result"
    ((args, kwargs),) = got
    assert args[0] is owner
    assert args[2:] == ("second", "third")
    assert kwargs == {"later": 1}
    current.set_current(None)


@pytest.mark.parametrize("make", [MagicMock, AsyncMock])
@pytest.mark.parametrize("spec", [Connection, Celery, AsyncBroker, InMemoryBroker], ids=lambda kind: kind.__name__)
def test_wrap_returns_a_mock_unchanged(make: Any, spec: Any, caplog: pytest.LogCaptureFixture) -> None:
    for mock in (make(spec=spec), make(spec_set=spec), create_autospec(spec, instance=True)):
        before = list(mock.mock_calls)
        assert asyncdsm.wrap(mock) is mock
        assert mock.mock_calls == before
    assert caplog.records == []


@pytest.fixture
def patched() -> Iterator[Callable[[Any, str], list[Any]]]:
    """Patch a method so that its calls are noted, as a user's test or another library does; undo it afterwards."""
    taken_off = list[tuple[Any, str, Any]]()

    def patch(owner: Any, name: str) -> list[Any]:
        calls, own = list[Any](), getattr(owner, name)

        def patched(self: Any, *args: Any, **kwargs: Any) -> Any:
            calls.append(args)
            return own(self, *args, **kwargs)

        taken_off.append((owner, name, own))
        setattr(owner, name, patched)
        return calls

    yield patch
    for owner, name, own in reversed(taken_off):
        setattr(owner, name, own)


def test_class_patched_after_wrap_is_called(patched: Callable[[Any, str], list[Any]]) -> None:
    app: Any = Celery(fresh(), broker="memory://", set_as_current=False)
    asyncdsm.wrap(app)
    calls = patched(Celery, "_connection")
    with app, app.connection_for_write() as connection, asyncdsm.testing.capture() as captured:
        assert calls
        published = patched(Producer, "publish")
        connection.Producer().publish("x", routing_key=fresh())
        assert len(published) == len(captured.produced()) == 1
    tidy()


async def test_broker_class_patched_after_wrap_is_called(patched: Callable[[Any, str], list[Any]]) -> None:
    task_broker: Any = asyncdsm.wrap(InMemoryBroker())
    calls = patched(InMemoryBroker, "kick")

    @task_broker.task  # type: ignore[untyped-decorator]
    async def task() -> None:
        pass

    with asyncdsm.testing.capture() as captured:
        await task_broker.startup()
        await task.kiq()
        await task_broker.wait_all()
        await task_broker.shutdown()
        assert len(calls) == len(captured.produced()) == len(captured.consumed()) == 1


@pytest.fixture
def restored_kombu() -> Iterator[None]:
    """Restore Kombu's classes: two libraries that unpatch in the order in which they patched leave hooks there."""
    methods = [(Producer, "publish"), (Queue, "get")]
    before = [(kind, name, vars(kind)[name]) for kind, name in methods]
    yield
    for kind, name, own in before:
        setattr(kind, name, own)
    tidy()


def test_uninstrument_under_another_wrapper_counts_nothing(
    restored_kombu: None, patched: Callable[[Any, str], list[Any]]
) -> None:
    asyncdsm.instrument("kombu")
    calls = patched(Producer, "publish"), patched(Queue, "get")
    asyncdsm.uninstrument("kombu")
    with Connection("memory://") as connection, asyncdsm.testing.capture() as captured:
        queue = Queue(fresh())(connection.default_channel)
        queue.declare()
        connection.Producer().publish("x", routing_key=queue.name)
        message: Any = queue.get()
        assert message.payload == "x"
        assert captured.checkpoints == []
    assert all(calls)
