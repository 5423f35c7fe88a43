"""Hooks on classes and on single objects: patched around, taken off, and handed arguments they do not know."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import AsyncMock, MagicMock, patch

import pytest

from asyncdsm import DataStreams, Settings
from asyncdsm._internal import log
from asyncdsm.delivery.exporters.memory import MemoryExporter
from asyncdsm.integration.hooks import Hooks, after, after_await, before, is_hook

counted: list[str] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    counted.clear()
    log.forget_warnings()


class Client:
    """A client with one plain and one asynchronous method."""

    def send(self, value: Any, *more: Any, **named: Any) -> Any:
        return ("sent", value, *more, *named.items())

    async def get(self, *more: Any, **named: Any) -> Any:
        return ("got", *more, *named.items())


def counting(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook a plain method."""

    def hooked(self: Any, *args: Any, **kwargs: Any) -> Any:
        counted.append("call")
        return original(self, *args, **kwargs)

    return hooked


def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return what another library's patch looks like."""

    @functools.wraps(original)
    def patched(self: Any, *args: Any, **kwargs: Any) -> Any:
        return ("patched", *original(self, *args, **kwargs))

    return patched


@pytest.fixture
def kind() -> type[Client]:
    """A class of this test alone."""
    return type("Own", (Client,), {name: vars(Client)[name] for name in ("send", "get")})


@pytest.mark.parametrize("mock", [MagicMock(return_value="mocked"), lambda *_: "mocked"])
def test_class_patched_after_wrap_is_called_and_restored(kind: type[Client], mock: Any) -> None:
    client = kind()
    Hooks().put(client, "send", counting)
    with patch.object(kind, "send", mock):
        assert client.send(1) == "mocked"
        assert len(counted) == 1
    assert client.send(1) == ("sent", 1)
    assert len(counted) == 2


def test_mock_on_a_class_is_called_as_without_the_hook(kind: type[Client]) -> None:
    client = kind()
    Hooks().put(client, "send", counting)
    with patch.object(kind, "send") as mock:
        client.send(1, a=2)
    mock.assert_called_once_with(1, a=2)
    with patch.object(kind, "send", autospec=True) as mock:
        client.send(1, a=2)
    mock.assert_called_once_with(client, 1, a=2)


async def test_async_mock_on_a_class_is_awaited(kind: type[Client]) -> None:
    client, awaited = kind(), []
    Hooks().put(client, "get", after_await(lambda result, *_, **__: awaited.append(result)))
    assert inspect.iscoroutinefunction(client.get) or asyncio.iscoroutinefunction(client.get)
    with patch.object(kind, "get", AsyncMock(return_value="mocked")):
        assert await client.get() == "mocked"
    assert await client.get() == ("got",)
    assert awaited == ["mocked", ("got",)]


def test_patch_on_a_base_class_is_called() -> None:
    class Derived(Client):
        """Inherits all of it."""

    client = Derived()
    Hooks().put(client, "send", counting)
    with patch.object(Client, "send", lambda *_: "mocked"):
        assert client.send(1) == "mocked"


def test_object_and_class_both_hooked_count_once(kind: type[Client]) -> None:
    hooks, client = Hooks(), kind()
    hooks.put(client, "send", counting)
    hooks.put(kind, "send", counting)
    assert client.send(1) == ("sent", 1)
    hooks.remove()
    assert client.send(1) == ("sent", 1)
    assert len(counted) == 2


def test_object_whose_class_calls_a_base_that_is_hooked_later_counts_once(kind: type[Client]) -> None:
    class Sub(kind):  # type: ignore[misc,valid-type]
        def send(self, value: Any, *more: Any, **named: Any) -> Any:
            return super().send(value, *more, **named)

    hooks, client = Hooks(), Sub()
    hooks.put(client, "send", counting)
    hooks.put(kind, "send", counting)
    assert client.send(1) == ("sent", 1)
    hooks.remove()
    assert client.send(1) == ("sent", 1)
    assert len(counted) == 2


@pytest.mark.parametrize("first", ["object", "class"])
def test_wrapper_around_a_class_hook_counts_once(kind: type[Client], first: str) -> None:
    hooks, client = Hooks(), kind()
    for owner in (client, kind) if first == "object" else (kind, client):
        hooks.put(owner, "send", counting)
    kind.send = wrapper(kind.send)  # type: ignore[method-assign]
    assert client.send(1) == ("patched", "sent", 1)
    assert len(counted) == 1


def test_class_patched_before_it_is_hooked_keeps_the_patch_for_a_wrapped_object(kind: type[Client]) -> None:
    hooks, client = Hooks(), kind()
    hooks.put(client, "send", counting)
    kind.send = wrapper(kind.send)  # type: ignore[method-assign]
    hooks.put(kind, "send", counting)
    assert client.send(1) == ("patched", "sent", 1)
    assert len(counted) == 1


def test_hook_under_a_wrapper_counts_nothing_once_removed(kind: type[Client]) -> None:
    hooks = Hooks()
    hooks.put(kind, "send", counting)
    kind.send = wrapper(kind.send)  # type: ignore[method-assign]
    assert kind().send(1) == ("patched", "sent", 1)
    hooks.remove()
    assert kind().send(1, 2, a=3) == ("patched", "sent", 1, 2, ("a", 3))
    assert len(counted) == 1


async def test_asynchronous_hook_under_a_wrapper_counts_nothing_once_removed(kind: type[Client]) -> None:
    hooks, awaited = Hooks(), []
    hooks.put(kind, "get", after_await(lambda result, *_, **__: awaited.append(result)))
    held = kind.get

    async def patched(self: Client, *args: Any) -> Any:
        return ("patched", *await held(self, *args))

    kind.get = patched  # type: ignore[method-assign]
    hooks.remove()
    assert await kind().get(1) == ("patched", "got", 1)
    assert awaited == []


def test_class_can_be_hooked_again_above_a_wrapper_around_a_removed_hook(kind: type[Client]) -> None:
    hooks = Hooks()
    hooks.put(kind, "send", counting)
    kind.send = wrapper(kind.send)  # type: ignore[method-assign]
    hooks.remove()
    hooks.put(kind, "send", counting)
    assert kind().send(1) == ("patched", "sent", 1)
    assert len(counted) == 1
    hooks.remove()
    assert not is_hook(kind.send)
    kind().send(1)
    assert len(counted) == 1


def test_hooks_know_whether_they_are_on_classes(kind: type[Client]) -> None:
    hooks, client = Hooks(), kind()
    hooks.put(client, "send", counting)
    hooks.put(kind, "missing", counting)
    assert not hooks.is_on_classes
    hooks.put(kind, "send", counting)
    assert hooks.is_on_classes
    hooks.remove()
    assert not hooks.is_on_classes
    hooks.put(kind, "send", counting)
    assert hooks.is_on_classes
    hooks.remove()


def test_hooks_are_on_a_class_that_has_those_of_others(kind: type[Client]) -> None:
    """An integration may have others for clients that were wrapped: they stay when these are removed."""
    of_wrapped, hooks = Hooks(), Hooks()
    of_wrapped.put(kind, "send", counting)
    hooks.put(kind, "send", counting)
    assert hooks.is_on_classes
    hooks.remove()
    assert (hooks.is_on_classes, of_wrapped.is_on_classes) == (False, True)
    kind().send(1)
    assert len(counted) == 1
    of_wrapped.remove()


@pytest.mark.parametrize("owner", ["object", "class", "attribute", "patched"])
async def test_keywords_of_a_call_may_have_any_name(kind: type[Client], owner: str) -> None:
    """What a method takes by any name, as the attributes of a message, is not taken for a parameter of asyncdsm's."""
    names = dict.fromkeys(("args", "call", "found", "kwargs", "observe", "original", "owner", "result", "_owner"), 1)
    client = kind()
    if owner == "attribute":
        client.send, client.get = client.send, client.get  # type: ignore[method-assign]
    Hooks().put(kind if owner == "class" else client, "send", after(lambda *_, **__: counted.append("send")))
    Hooks().put(kind if owner == "class" else client, "get", after_await(lambda *_, **__: counted.append("get")))
    if owner == "patched":
        kind.send = wrapper(kind.send)  # type: ignore[method-assign]
    sent = client.send(1, **names)
    assert sent == (*(("patched",) if owner == "patched" else ()), "sent", 1, *names.items())
    assert await client.get(**names) == ("got", *names.items())
    assert counted == ["send", "get"]


@pytest.mark.parametrize("owner", ["object", "class"])
def test_error_of_a_wrong_call_is_that_of_the_original(kind: type[Client], owner: str) -> None:
    def hook(original: Callable[..., Any]) -> Callable[..., Any]:
        def send(client: Any, /, value: Any, *args: Any, **kwargs: Any) -> Any:
            return original(client, value, *args, **kwargs)

        return send

    def errors_of(client: Any) -> Iterator[str]:
        for args, kwargs in (((), {}), ((1,), {"value": 2})):
            with pytest.raises(TypeError) as raised:
                client.send(*args, **kwargs)
            yield str(raised.value)

    client = kind()
    expected = list(errors_of(client))
    Hooks().put(kind if owner == "class" else client, "send", hook)
    assert list(errors_of(client)) == expected


def test_observers_see_results_and_arguments_that_they_do_not_name(kind: type[Client]) -> None:
    seen = []

    @after
    def note(result: Any, client: Any, value: Any, *_args: Any, **_more: Any) -> None:
        seen.append((result, type(client), value))

    @before
    def announce(client: Any, value: Any, *_args: Any, **_more: Any) -> None:
        seen.append(("before", type(client), value))

    client = kind()
    Hooks().put(kind, "send", note)
    Hooks().put(client, "send", announce)
    result = client.send(1, 2, new=3)
    assert result == ("sent", 1, 2, ("new", 3))
    assert seen == [("before", kind, 1)]  # hooks of one object and of its class count once
    assert kind().send(1, 2, new=3) == result
    assert seen[1:] == [(result, kind, 1)]


@pytest.mark.parametrize("make", [after, before])
def test_error_of_an_observer_is_counted_and_kept_from_the_caller(
    kind: type[Client], make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "asyncdsm")

    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("of ours")

    Hooks().put(kind, "send", make(fail))
    with DataStreams(Settings(service="s"), exporter=MemoryExporter()) as streams:
        assert kind().send(1) == ("sent", 1)
        assert kind().send(1) == ("sent", 1)
    assert streams.stats.errors == 2
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    tracebacks = [record.exc_text for record in caplog.records if record.levelno == logging.DEBUG and record.exc_info]
    assert len(warnings) == 1
    assert len(tracebacks) == 2
    assert all("in fail" in str(text) for text in tracebacks)


async def test_error_of_the_original_is_not_observed(kind: type[Client]) -> None:
    async def refuse(self: Any) -> None:
        raise OSError("refused")

    kind.get = refuse  # type: ignore[method-assign]
    seen: list[Any] = []
    Hooks().put(kind, "get", after_await(lambda *args: seen.append(args)))
    with pytest.raises(OSError, match="refused"):
        await kind().get()
    assert seen == []


@pytest.mark.parametrize("first", ["object", "class"])
def test_wrapper_that_does_not_show_the_hook_below_counts_once(kind: type[Client], first: str) -> None:
    hooks, others, client = Hooks(), Hooks(), kind()
    for owner in (client, kind) if first == "object" else (kind, client):
        hooks.put(owner, "send", counting)
    held = kind.send
    kind.send = lambda self, *args: ("patched", *held(self, *args))  # type: ignore[method-assign]
    others.put(kind, "send", counting)
    late = kind()
    others.put(late, "send", counting)
    assert client.send(1) == late.send(1) == ("patched", "sent", 1)
    assert len(counted) == 2
    hooks.remove()
    assert kind().send(1) == ("patched", "sent", 1)
    assert len(counted) == 2


async def test_attribute_of_the_object_itself_is_called_as_before(kind: type[Client]) -> None:
    client, awaited = kind(), []
    client.send = MagicMock(return_value="mocked")  # type: ignore[method-assign]
    client.get = AsyncMock(return_value="mocked")  # type: ignore[method-assign]
    sent, got = client.send, client.get
    Hooks().put(client, "send", counting)
    Hooks().put(client, "get", after_await(lambda result, *_, **__: awaited.append(result)))
    assert client.send(1, a=2) == await client.get() == "mocked"
    sent.assert_called_once_with(1, a=2)
    got.assert_awaited_once_with()
    assert (len(counted), awaited) == (1, ["mocked"])
