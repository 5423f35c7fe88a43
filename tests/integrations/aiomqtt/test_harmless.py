"""aiomqtt: an error of asyncdsm does not reach the program, and the client's methods look as they did."""

from __future__ import annotations

import inspect
from typing import Any

import asyncdsm_aiomqtt.consume
import asyncdsm_aiomqtt.produce
import pytest
from aiomqtt import Client

import asyncdsm
from asyncdsm import DataStreams, Settings
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.mosquitto import Mosquitto
from tests.integrations.aiomqtt.clients import Name, make_client, make_properties, take, user_properties


async def test_error_in_a_hook_does_not_reach_the_program(
    mosquitto: Mosquitto, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("planted")

    async with DataStreams(Settings(service="s", enabled=True)) as streams:
        monkeypatch.setattr(asyncdsm_aiomqtt.produce, "begin_produce", broken)
        monkeypatch.setattr(asyncdsm_aiomqtt.consume, "consume", broken)
        async with asyncdsm.wrap(make_client(mosquitto)) as client:
            await client.subscribe(topic := name())
            await client.publish(topic, b"1", properties=make_properties(("h", "v")))
            (message,) = await take(client)
        assert (message.payload, user_properties(message)) == (b"1", [("h", "v")])
        assert (streams.stats.errors, streams.stats.recorded) == (2, 0)


@pytest.mark.usefixtures("client")
async def test_hooks_keep_signature_and_docstring() -> None:
    for method in ("publish", "subscribe", "unsubscribe", "__aenter__"):
        hooked = getattr(Client, method)
        original = inspect.unwrap(hooked)
        assert hooked is not original
        assert inspect.iscoroutinefunction(original)
        assert hooked.__doc__ == original.__doc__
        assert inspect.signature(hooked) == inspect.signature(original)


@pytest.mark.parametrize("value", ["", "no context", "AAAA", "é", "x" * 1000])
async def test_malformed_context_begins_a_pathway(
    client: Client, bare: Client, captured_streams: Captured, name: Name, value: str
) -> None:
    await client.subscribe(topic := name())
    await bare.publish(topic, b"body", properties=make_properties((HEADER, value)))
    (message,) = await take(client)
    assert message.payload == b"body"
    (made,) = captured_streams.consumed()
    assert made.parent == 0


async def test_arguments_that_a_later_release_adds_reach_the_client(
    mosquitto: Mosquitto, captured_streams: Captured, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    got, topic = list[Any](), name()

    class Later(Client):
        async def publish(self, *args: Any, later: Any = None, **kwargs: Any) -> None:
            got.append(later)
            await super().publish(*args, **kwargs)

    async with asyncdsm.wrap(Later("127.0.0.1", mosquitto.port)) as client:
        original = client._client.publish

        def publish(*args: Any, later: Any = None, **kwargs: Any) -> Any:
            got.append(later)
            return original(*args, **kwargs)

        monkeypatch.setattr(client._client, "publish", publish)
        await client.publish(topic, b"body", later=1)
        await Client.publish(client, topic, b"body", later=2)
    assert got == [1, None, 2]
    assert len(captured_streams.produced(topic)) == 2


@pytest.mark.parametrize("topic", [17, None, b"bytes", "with/#"])
async def test_topic_that_the_client_refuses_is_its_own_error(mosquitto: Mosquitto, topic: Any) -> None:
    errors = list[str]()
    async with DataStreams(Settings(service="s", enabled=True)) as streams:
        for client in (asyncdsm.wrap(make_client(mosquitto)), make_client(mosquitto)):
            async with client:
                with pytest.raises(Exception) as raised:  # noqa: PT011
                    await client.publish(topic, b"body")
                errors.append(repr(raised.value))
        assert errors[0] == errors[1]
        assert streams.stats.recorded == 0


async def test_nothing_is_changed_while_nothing_measures(mosquitto: Mosquitto, bare: Client, name: Name) -> None:
    await bare.subscribe(topic := name())
    async with DataStreams(Settings(service="s", enabled=False)), asyncdsm.wrap(make_client(mosquitto)) as client:
        await client.publish(topic, b"body")
        (message,) = await take(bare)
        assert user_properties(message) == []
